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
import { callPostgres, changePostgres, type PostgresAccess } from '../http/postgres-access.js'

/**
 * Webhooks in PostgreSQL. Each call returns undefined if the user has no such webhook. If
 * PostgreSQL is unavailable, it fails with AppError `unavailable` within the timeout, and has no
 * effect. If the connection breaks during COMMIT, it fails with `unknown`.
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
