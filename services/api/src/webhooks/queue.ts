import { shardPrefix } from '@ticket-line/line'
import type { Availability } from '@ticket-line/line/client'
import type { LineLayout } from '@ticket-line/shared'
import { WEBHOOK_JOB_OPTIONS, WEBHOOK_QUEUE, type WebhookJobs } from '@ticket-line/webhooks'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { unavailable } from '../http/problem.js'

/** Adds jobs for the notifiers. */
export interface WebhookQueue {
  /** @throws AppError `unavailable` if Redis cannot be reached */
  add<Name extends keyof WebhookJobs>(name: Name, data: WebhookJobs[Name]): Promise<void>
}

export interface WebhookQueueDeps {
  /** A fail-fast connection. */
  redis: Redis
  layout: LineLayout
  availability: Pick<Availability, 'redis'>
}

export function createWebhookQueue({ redis, layout, availability }: WebhookQueueDeps) {
  let queue: Queue | undefined

  /** The queue object adds listeners to the connection, so it is created when it is needed. */
  function queueOfNotifiers(): Queue {
    if (queue !== undefined) return queue
    queue = new Queue(WEBHOOK_QUEUE, {
      connection: redis,
      prefix: shardPrefix(0, layout),
      skipVersionCheck: true,
      skipMetasUpdate: true,
      skipWaitingForReady: true,
      defaultJobOptions: WEBHOOK_JOB_OPTIONS,
    })
    // The connection has its own listener for errors. Without this one, BullMQ would print each
    // error, too.
    queue.on('error', () => undefined)
    return queue
  }

  const jobs: WebhookQueue = {
    async add(name, data) {
      if (!availability.redis()) throw unavailable()
      await queueOfNotifiers().add(name, data)
    },
  }
  return { jobs, queueOfNotifiers }
}
