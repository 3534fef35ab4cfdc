import {
  type ChangeType,
  MAX_WEBHOOKS_PER_USER,
  type Role,
  SECRET_OVERLAP_HOURS,
} from '@ticket-line/shared'
import type { Pool } from 'pg'
import { type CommitProgress, commitUnlessLate } from '../commit-unless-late.js'
import { msColumns } from '../sql-times.js'

/** What the owner of a webhook sets. */
export interface WebhookSettings {
  url: string
  /** Null for all types. */
  types: ChangeType[] | null
  /** Null for all events. */
  eventIds: number[] | null
  format: 'single' | 'batch'
  description: string | null
}

/** A webhook as its owner sees it. The times are ms since 1970. */
export interface Webhook extends WebhookSettings {
  webhookId: string
  createdAtMs: number
  /** Since when all deliveries have failed; null if the last one succeeded. */
  failingSinceMs: number | null
  disabledAtMs: number | null
  /** Why it is disabled; null if it is enabled. */
  disabledReason: 'gone' | 'failing' | 'user' | null
}

export interface NewWebhook extends WebhookSettings {
  /** A new UUID, with which the secret was encrypted. */
  webhookId: string
  owner: string
  ownerRole: Role
  /** The signing secret, encrypted. */
  secret: Buffer
}

/** The members that change. */
export type WebhookPatch = {
  [Member in keyof WebhookSettings]?: WebhookSettings[Member] | undefined
} & {
  /** Whether the webhook is disabled from now on. */
  disabled?: boolean | undefined
}

/** The driver returns numbers of 64 bits as text. */
const numberOrNull = (value: string | null): number | null =>
  value === null ? null : Number(value)

interface WebhookRow {
  webhook_id: string
  url: string
  types: ChangeType[] | null
  event_ids: string[] | null
  format: WebhookSettings['format']
  description: string | null
  created_at: number
  failing_since: number | null
  disabled_at: number | null
  disabled_reason: Webhook['disabledReason']
}

const COLUMNS = `webhook_id, url, types, event_ids, format, description, disabled_reason,
  ${msColumns('created_at', 'failing_since', 'disabled_at')}`

function webhookOf(row: WebhookRow): Webhook {
  return {
    webhookId: row.webhook_id,
    url: row.url,
    types: row.types,
    eventIds: row.event_ids?.map(Number) ?? null,
    format: row.format,
    description: row.description,
    createdAtMs: row.created_at,
    failingSinceMs: row.failing_since,
    disabledAtMs: row.disabled_at,
    disabledReason: row.disabled_reason,
  }
}

/** Creates a webhook. @returns undefined if its owner has as many as a user may have */
export async function createWebhook(
  pool: Pool,
  webhook: NewWebhook,
  progress: CommitProgress,
): Promise<Webhook | undefined> {
  const { webhookId, owner, ownerRole, url, types, eventIds, format, description, secret } = webhook
  return commitUnlessLate(pool, progress, async (client) => {
    // Makes concurrent requests of an owner wait for each other, so that each counts all webhooks.
    await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [
      `webhooks of ${owner}`,
    ])
    const { rows } = await client.query<WebhookRow>(
      `INSERT INTO webhooks (webhook_id, owner, owner_role, url, types, event_ids, format,
         description, secret, created_at)
       SELECT $1, $2, $3, $4, $5::text[], $6::bigint[], $7, $8, $9, clock_timestamp()
       WHERE (SELECT count(*) FROM webhooks WHERE owner = $2) < ${MAX_WEBHOOKS_PER_USER}
       RETURNING ${COLUMNS}`,
      [webhookId, owner, ownerRole, url, types, eventIds, format, description, secret],
    )
    return rows[0] && webhookOf(rows[0])
  })
}

/** All webhooks of a user, the oldest first. */
export async function listWebhooks(pool: Pool, owner: string): Promise<Webhook[]> {
  const { rows } = await pool.query<WebhookRow>(
    `SELECT ${COLUMNS} FROM webhooks w WHERE owner = $1 ORDER BY w.created_at, webhook_id`,
    [owner],
  )
  return rows.map(webhookOf)
}

/** @returns undefined if the user has no such webhook */
export async function findWebhook(
  pool: Pool,
  owner: string,
  webhookId: string,
): Promise<Webhook | undefined> {
  const { rows } = await pool.query<WebhookRow>(
    `SELECT ${COLUMNS} FROM webhooks WHERE webhook_id = $1 AND owner = $2`,
    [webhookId, owner],
  )
  return rows[0] && webhookOf(rows[0])
}

/**
 * Changes a webhook. If its URL changes or it is enabled, its failures are forgotten: the notifier
 * disables it after five more days of failures at the earliest.
 *
 * @returns undefined if the user has no such webhook
 */
export async function updateWebhook(
  pool: Pool,
  owner: string,
  webhookId: string,
  patch: WebhookPatch,
  progress: CommitProgress,
): Promise<Webhook | undefined> {
  const values: unknown[] = [webhookId, owner]
  const param = (value: unknown): string => `$${values.push(value)}`
  const { url, types, eventIds, format, description, disabled } = patch
  const sets = [
    // Keeps the statement valid if the patch is empty.
    'webhook_id = webhook_id',
    ...(url === undefined ? [] : [`url = ${param(url)}`]),
    ...(types === undefined ? [] : [`types = ${param(types)}::text[]`]),
    ...(eventIds === undefined ? [] : [`event_ids = ${param(eventIds)}::bigint[]`]),
    ...(format === undefined ? [] : [`format = ${param(format)}`]),
    ...(description === undefined ? [] : [`description = ${param(description)}`]),
    ...(url === undefined && disabled !== false ? [] : ['failing_since = NULL']),
    ...(disabled === undefined ? [] : disabled ? DISABLE : ENABLE),
  ]
  return commitUnlessLate(pool, progress, async (client) => {
    const { rows } = await client.query<WebhookRow>(
      `UPDATE webhooks SET ${sets.join(', ')} WHERE webhook_id = $1 AND owner = $2 RETURNING ${COLUMNS}`,
      values,
    )
    return rows[0] && webhookOf(rows[0])
  })
}

const ENABLE = ['disabled_at = NULL', 'disabled_reason = NULL']
/** A webhook that is disabled already keeps its reason. */
const DISABLE = [
  'disabled_at = coalesce(disabled_at, clock_timestamp())',
  `disabled_reason = coalesce(disabled_reason, 'user')`,
]

/**
 * Replaces the signing secret. For a day, deliveries are also signed with the previous one.
 *
 * @returns the webhook, and until when the previous secret is used, ms since 1970; undefined if the
 * user has no such webhook
 */
export async function rotateWebhookSecret(
  pool: Pool,
  owner: string,
  webhookId: string,
  secret: Buffer,
  progress: CommitProgress,
): Promise<{ webhook: Webhook; previousUntilMs: number } | undefined> {
  return commitUnlessLate(pool, progress, async (client) => {
    const { rows } = await client.query<WebhookRow & { previous_secret_until: number }>(
      `UPDATE webhooks SET previous_secret = secret, secret = $3,
         previous_secret_until = clock_timestamp() + interval '${SECRET_OVERLAP_HOURS} hours'
       WHERE webhook_id = $1 AND owner = $2
       RETURNING ${COLUMNS}, ${msColumns('previous_secret_until')}`,
      [webhookId, owner, secret],
    )
    const [row] = rows
    return row && { webhook: webhookOf(row), previousUntilMs: row.previous_secret_until }
  })
}

/**
 * Deletes a webhook with its cursors and attempts.
 *
 * @returns false if the user has no such webhook
 */
export async function deleteWebhook(
  pool: Pool,
  owner: string,
  webhookId: string,
  progress: CommitProgress,
): Promise<boolean> {
  return commitUnlessLate(pool, progress, async (client) => {
    const { rowCount } = await client.query(
      `WITH gone AS (DELETE FROM webhooks WHERE webhook_id = $1 AND owner = $2 RETURNING webhook_id),
         cursors AS (DELETE FROM webhook_cursors c USING gone WHERE c.webhook_id = gone.webhook_id),
         attempts AS (DELETE FROM webhook_attempts a USING gone WHERE a.webhook_id = gone.webhook_id)
       SELECT webhook_id FROM gone`,
      [webhookId, owner],
    )
    return rowCount === 1
  })
}

/** One attempt to deliver changes, or a test call. */
export interface WebhookDelivery {
  attemptId: number
  messageId: string
  kind: 'live' | 'replay' | 'test'
  /** Null for a test call, as are the first and the last change. */
  eventId: number | null
  firstNo: number | null
  lastNo: number | null
  /** Which attempt for these changes it was, from 1. */
  attempt: number
  state: DeliveryState
  /** Ms since 1970. */
  atMs: number
  tookMs: number
  /** Status of the answer; null if there was none. */
  status: number | null
  /** Why it failed; null if it did not. */
  error: string | null
}

export type DeliveryState = (typeof DELIVERY_STATES)[number]
export const DELIVERY_STATES = ['delivered', 'failed', 'parked'] as const

export interface DeliveryFilter {
  states: readonly DeliveryState[]
  /** Only attempts with a lower number than this. */
  before: number
  limit: number
}

/** The attempts for a webhook, the latest first. The notifier keeps the last 1,000, for 30 days. */
export async function pageDeliveries(
  pool: Pool,
  webhookId: string,
  { states, before, limit }: DeliveryFilter,
): Promise<WebhookDelivery[]> {
  const { rows } = await pool.query<{
    attempt_id: string
    message_id: string
    kind: WebhookDelivery['kind']
    event_id: string | null
    first_no: string | null
    last_no: string | null
    attempt: number
    state: DeliveryState
    at: number
    took_ms: number
    status: number | null
    error: string | null
  }>(
    `SELECT attempt_id, message_id, kind, event_id, first_no, last_no, attempt, state,
       ${msColumns('at')}, took_ms, status, error
     FROM webhook_attempts
     WHERE webhook_id = $1 AND attempt_id < $2 AND state = ANY($3)
     ORDER BY attempt_id DESC LIMIT $4`,
    [webhookId, before, states, limit],
  )
  return rows.map((row) => ({
    attemptId: Number(row.attempt_id),
    messageId: row.message_id,
    kind: row.kind,
    eventId: numberOrNull(row.event_id),
    firstNo: numberOrNull(row.first_no),
    lastNo: numberOrNull(row.last_no),
    attempt: row.attempt,
    state: row.state,
    atMs: row.at,
    tookMs: row.took_ms,
    status: row.status,
    error: row.error,
  }))
}

/** The changes of an event that can be sent again. */
export interface RetainedChanges {
  /** Numbers of the oldest and the last change; null if the event has none. */
  oldest: number | null
  last: number | null
}

/** @returns undefined if there never was such an event */
export async function readRetainedChanges(
  pool: Pool,
  eventId: number,
): Promise<RetainedChanges | undefined> {
  // A deleted event keeps its changes, and an event of an earlier release has none.
  const { rows } = await pool.query<{
    oldest: string | null
    last: string | null
    exists: boolean
  }>(
    `SELECT (SELECT min(no) FROM changes WHERE event_id = $1
         AND no >= coalesce((SELECT first_change FROM events WHERE event_id = $1), 1)) AS oldest,
       (SELECT max(no) FROM changes WHERE event_id = $1) AS last,
       EXISTS (SELECT FROM events WHERE event_id = $1) AS exists`,
    [eventId],
  )
  const [row] = rows
  if (row === undefined || (!row.exists && row.last === null)) return undefined
  return { oldest: numberOrNull(row.oldest), last: numberOrNull(row.last) }
}
