import {
  type CommitProgress,
  createWebhook,
  type DeliveryFilter,
  deleteWebhook,
  findWebhook,
  listWebhooks,
  type NewWebhook,
  type Pool,
  pageDeliveries,
  type RetainedChanges,
  readRetainedChanges,
  rotateWebhookSecret,
  updateWebhook,
  type Webhook,
  type WebhookDelivery,
  type WebhookPatch,
} from '@ticket-line/db'
import { shardPrefix } from '@ticket-line/line'
import type { Availability } from '@ticket-line/line/client'
import type { LineLayout } from '@ticket-line/shared'
import { WEBHOOK_JOB_OPTIONS, WEBHOOK_QUEUE, type WebhookJobs } from '@ticket-line/webhooks'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { callPostgres, changePostgres, type PostgresAccess } from '../http/postgres-access.js'
import { unavailable } from '../http/problem.js'

/**
 * Webhooks in PostgreSQL. Each call returns undefined if the user has no such webhook. If PostgreSQL
 * is unavailable, it fails with AppError `unavailable` within the timeout, and has no effect then.
 */
export interface WebhookStore {
  /** @returns undefined if the owner has as many webhooks as a user may have */
  create(webhook: NewWebhook): Promise<Webhook | undefined>
  list(owner: string): Promise<Webhook[]>
  find(owner: string, webhookId: string): Promise<Webhook | undefined>
  update(owner: string, webhookId: string, patch: WebhookPatch): Promise<Webhook | undefined>
  rotateSecret(
    owner: string,
    webhookId: string,
    secret: Buffer,
  ): Promise<{ webhook: Webhook; previousUntilMs: number } | undefined>
  /** @returns false if the user has no such webhook */
  remove(owner: string, webhookId: string): Promise<boolean>
  deliveries(webhookId: string, filter: DeliveryFilter): Promise<WebhookDelivery[]>
  /** @returns undefined if there never was such an event */
  retainedChanges(eventId: number): Promise<RetainedChanges | undefined>
}

const UNKNOWN_CHANGE =
  'The service lost the connection to its database during this request. Check whether the webhook was changed.'

export function createWebhookStore(pool: Pool, postgres: PostgresAccess): WebhookStore {
  const read = <T>(query: () => Promise<T>): Promise<T> => callPostgres(postgres, query)
  const change = <T>(run: (progress: CommitProgress) => Promise<T>): Promise<T> =>
    changePostgres(postgres, UNKNOWN_CHANGE, run)

  return {
    create: (webhook) => change((progress) => createWebhook(pool, webhook, progress)),
    list: (owner) => read(() => listWebhooks(pool, owner)),
    find: (owner, id) => read(() => findWebhook(pool, owner, id)),
    update: (owner, id, patch) =>
      change((progress) => updateWebhook(pool, owner, id, patch, progress)),
    rotateSecret: (owner, id, secret) =>
      change((progress) => rotateWebhookSecret(pool, owner, id, secret, progress)),
    remove: (owner, id) => change((progress) => deleteWebhook(pool, owner, id, progress)),
    deliveries: (id, filter) => read(() => pageDeliveries(pool, id, filter)),
    retainedChanges: (eventId) => read(() => readRetainedChanges(pool, eventId)),
  }
}

/** Hands work to the notifiers. */
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
    queue ??= new Queue(WEBHOOK_QUEUE, {
      connection: redis,
      prefix: shardPrefix(0, layout),
      skipVersionCheck: true,
      skipMetasUpdate: true,
      skipWaitingForReady: true,
      defaultJobOptions: WEBHOOK_JOB_OPTIONS,
    })
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
