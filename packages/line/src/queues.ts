import type { JobPayload, LineLayout } from '@ticket-line/shared'
import { type BackendFactory, Queue, type RedisQueueBackend } from 'bullmq'
import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { linePrefix } from './keys.js'
import { type LineRedis, onEachShard } from './line-redis.js'

/** BullMQ's queue objects of lines. */
export interface LineQueues {
  /** The queue of a line. Getting it creates no key in Redis. */
  queueOf(lineName: string): Queue
}

/**
 * Maximum number of queue objects that are kept. Each takes about 10 kB and no connection. Making
 * one takes longer than adding a job to it.
 */
const QUEUES_KEPT = 2000

/**
 * The queues of a shard share its connection (`IQueueBackend.forQueue`). With thousands of lines, a
 * connection for each would be too many, and so would the listeners that BullMQ adds to a
 * connection for each queue.
 */
export function createLineQueues(redis: LineRedis, layout: LineLayout): LineQueues {
  const rootOf = onEachShard(redis, createRoot)
  const cache = new LRUCache<string, Queue>({ max: QUEUES_KEPT })
  return {
    queueOf(lineName) {
      let queue = cache.get(lineName)
      if (queue === undefined) {
        const prefix = linePrefix(lineName, layout)
        const { root, options } = rootOf(prefix)
        const factory = (() => root.forQueue(lineName, prefix)) as unknown as BackendFactory
        queue = new Queue(lineName, { ...options, prefix }, factory as never)
        cache.set(lineName, queue)
      }
      return queue
    },
  }
}

/** The backend from which those of the queues on a connection are derived. */
function createRoot(connection: Redis) {
  const options = {
    connection,
    skipVersionCheck: true,
    skipMetasUpdate: true,
    skipWaitingForReady: true,
  }
  // `Queue` is the documented way to a backend. No job is ever added to this queue.
  const rootQueue = new Queue('root', options)
  // The connection has its own listener for errors. Without this one, BullMQ would print each error
  // too.
  rootQueue.on('error', () => undefined)
  const root: RedisQueueBackend = rootQueue.getBackend()
  return { root, options }
}

/** A job on its way into Redis. */
export interface JobToStore {
  lineName: string
  jobId: string
  payload: JobPayload
}

/**
 * Adds a job behind all others of its line, and sends a wake-up to the workers.
 *
 * @param wakeUp sends a wake-up for a line on the connection of the queues
 * @returns when Redis has stored the job
 */
export async function addJob(
  { queueOf }: LineQueues,
  { lineName, jobId, payload }: JobToStore,
  wakeUp: (lineName: string) => void,
): Promise<void> {
  const added = queueOf(lineName).add('commands', payload, { jobId, attempts: 1 })
  // The wake-up must follow the add on the same connection, so that Redis executes it after the
  // add. BullMQ sends the add within the microtasks of this turn. A tick that is requested in a
  // microtask runs after all of them.
  queueMicrotask(() => process.nextTick(wakeUp, lineName))
  await added
}
