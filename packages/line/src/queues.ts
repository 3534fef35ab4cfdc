import type { LineLayout } from '@ticket-line/shared'
import { type BackendFactory, Queue, type RedisQueueBackend } from 'bullmq'
import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { linePrefix } from './keys.js'

/** BullMQ queue objects of lines, made when asked for. */
export interface LineQueues {
  /** The queue of a line; creates no key in Redis. */
  queueOf(lineName: string): Queue
}

/** Objects kept: each is some ten kilobytes and no connection. Making one takes longer than adding a job to it. */
const QUEUES_KEPT = 2000

/**
 * All queues are siblings over the one connection they are given (`IQueueBackend.forQueue`): a connection or even the
 * event listeners of one per line would not do for thousands of lines.
 */
export function createLineQueues(redis: Redis, layout: LineLayout): LineQueues {
  const options = {
    connection: redis,
    skipVersionCheck: true,
    skipMetasUpdate: true,
    skipWaitingForReady: true,
  }
  // `Queue` is the documented way to a backend; this one is never added to.
  const rootQueue = new Queue('root', options)
  // The connection has a listener of its own; without one here BullMQ prints each error.
  rootQueue.on('error', () => undefined)
  const root: RedisQueueBackend = rootQueue.getBackend()
  const cache = new LRUCache<string, Queue>({ max: QUEUES_KEPT })
  return {
    queueOf(lineName) {
      let queue = cache.get(lineName)
      if (queue === undefined) {
        const prefix = linePrefix(lineName, layout)
        const factory = (() => root.forQueue(lineName, prefix)) as unknown as BackendFactory
        queue = new Queue(lineName, { ...options, prefix }, factory as never)
        cache.set(lineName, queue)
      }
      return queue
    },
  }
}
