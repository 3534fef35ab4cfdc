import type { CursorKey } from '@ticket-line/db'
import { shardPrefix } from '@ticket-line/line'
import { chunksOf, type LineLayout } from '@ticket-line/shared'
import { WEBHOOK_QUEUE, type WebhookJobs } from '@ticket-line/webhooks'
import { Job, Queue } from 'bullmq'
import type { Redis } from 'ioredis'

/** Jobs that are added, or whose delay is ended, in one round trip. */
const JOBS_PER_ROUND_TRIP = 200

/** What the notifier keeps in the data of a replay between its requests. */
export type ReplayData = WebhookJobs['replay'] & {
  /** Failed attempts for the next changes. */
  failures?: number
  /** When the first of them failed, ms since 1970. */
  failingSinceMs?: number
}

/** The BullMQ queue of the notifiers. It has at most one job for an endpoint and an event. */
export interface DeliveryQueue {
  /** Adds jobs. Those that exist already stay as they are. */
  add(keys: readonly CursorKey[]): Promise<void>
  /** Adds jobs, and ends the delay of those that wait for a retry. */
  hurry(keys: readonly CursorKey[]): Promise<void>
  close(): Promise<void>
}

/** Finished jobs are removed, because a job that exists cannot be added again. */
const JOB_OPTIONS = { removeOnComplete: true, removeOnFail: true, attempts: 1 }

const jobIdOf = ({ webhookId, eventId }: CursorKey): string => `${webhookId}.${eventId}`

export function createDeliveryQueue(redis: Redis, layout: LineLayout): DeliveryQueue {
  const queue = new Queue(WEBHOOK_QUEUE, {
    connection: redis,
    prefix: shardPrefix(0, layout),
    skipVersionCheck: true,
  })
  // The connection has its own listener for errors.
  queue.on('error', () => undefined)

  async function add(keys: readonly CursorKey[]): Promise<void> {
    for (const chunk of chunksOf(keys, JOBS_PER_ROUND_TRIP)) {
      await queue.addBulk(
        chunk.map((key) => ({
          name: 'deliver',
          data: key,
          opts: { ...JOB_OPTIONS, jobId: jobIdOf(key) },
        })),
      )
    }
  }

  return {
    add,
    async hurry(keys) {
      await add(keys)
      for (const chunk of chunksOf(keys, JOBS_PER_ROUND_TRIP)) {
        // A job that is not delayed cannot be promoted, and need not be.
        await Promise.allSettled(
          chunk.map((key) => new Job(queue, 'deliver', key, {}, jobIdOf(key)).promote()),
        )
      }
    },
    close: () => queue.close(),
  }
}
