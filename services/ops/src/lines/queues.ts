import { type LineLayout, linePrefix } from '@ticket-line/shared'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'

/** BullMQ's own objects of lines, for what is better left to its documented methods. */
export interface LineQueues {
  queueOf(lineName: string): Queue
  close(): Promise<void>
}

/** All share the one connection; making one creates no key. */
export function createLineQueues(redis: Redis, layout: LineLayout): LineQueues {
  redis.setMaxListeners(0)
  const queues = new Map<string, Queue>()
  return {
    queueOf(lineName) {
      let queue = queues.get(lineName)
      if (queue === undefined) {
        queue = new Queue(lineName, {
          connection: redis,
          prefix: linePrefix(lineName, layout),
          skipVersionCheck: true,
          skipMetasUpdate: true,
          streams: { events: { maxLen: 100 } },
        })
        queue.on('error', () => undefined)
        queues.set(lineName, queue)
      }
      return queue
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()))
    },
  }
}
