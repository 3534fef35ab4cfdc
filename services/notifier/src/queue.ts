import type { CursorKey } from '@ticket-line/db'
import { shardPrefix } from '@ticket-line/line'
import { chunksOf, type LineLayout } from '@ticket-line/shared'
import { WEBHOOK_QUEUE, type WebhookJobs } from '@ticket-line/webhooks'
import { Job, Queue } from 'bullmq'
import type { Redis } from 'ioredis'

/** Maximum number of jobs that are added, or whose delay ends, in one round trip. */
const JOBS_PER_ROUND_TRIP = 200

/** What the notifier keeps in the data of a replay between its requests. */
export type ReplayData = WebhookJobs['replay'] & {
  /** Failed attempts for the next changes. */
  failures?: number
  /** When the first of them failed, ms since 1970. */
  failingSinceMs?: number
  /** Set if they have failed: the last change that the next request may have. */
  endNo?: number
}

/** The BullMQ queue of the notifiers. It has at most one job `deliver` for each cursor. */
export interface DeliveryQueue {
  /** Adds the jobs of cursors. A job that exists already stays as it is. */
  add(keys: readonly CursorKey[]): Promise<void>
  /** Adds the jobs of cursors. If a job exists already and is delayed, its delay ends. */
  hurry(keys: readonly CursorKey[]): Promise<void>
  close(): Promise<void>
}

/** BullMQ adds no job with the id of one that exists, so finished jobs are removed. */
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
        // BullMQ refuses to promote a job that is not delayed. Such a job needs no promotion.
        await Promise.allSettled(
          chunk.map((key) => new Job(queue, 'deliver', key, {}, jobIdOf(key)).promote()),
        )
      }
    },
    close: () => queue.close(),
  }
}
