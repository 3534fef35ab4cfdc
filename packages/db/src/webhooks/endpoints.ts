import type { ChangeType } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { msOf } from '../sql-times.js'

/** A webhook as the notifier needs it. */
export interface EndpointRow {
  webhookId: string
  url: string
  /** The types that it gets; null for all. */
  types: ChangeType[] | null
  /** The events whose changes it gets; null for all. */
  eventIds: number[] | null
  format: 'single' | 'batch'
  /** The encrypted secrets with which requests are signed now, the newest first. */
  secrets: Buffer[]
  /** Since when all deliveries have failed, ms since 1970; null if the last one succeeded. */
  failingSinceMs: number | null
  disabledReason: 'gone' | 'failing' | 'user' | null
}

/** All webhooks, and the epoch of the installation. */
export interface EndpointsRead {
  epoch: string
  /** False if the cursors belong to an earlier epoch. */
  isOfEpoch: boolean
  endpoints: EndpointRow[]
}

/**
 * SQL of the role that the owner of the webhook `w` has now, with the account `u` if there is one.
 */
export const OWNER_ROLE = `CASE WHEN u.disabled THEN 'user' ELSE coalesce(u.role, w.owner_role) END`

const ENDPOINTS = `SELECT w.webhook_id, w.url, w.types, w.event_ids, w.format, w.secret,
    CASE WHEN w.previous_secret_until > now() THEN w.previous_secret END AS previous_secret,
    ${msOf('w.failing_since')} AS failing_since_ms, w.disabled_reason,
    w.disabled_at IS NOT NULL AS disabled
  FROM webhooks w`

const EPOCH = `SELECT epoch, webhook_epoch IS NOT DISTINCT FROM epoch AS is_of_epoch
  FROM installation`

interface Row {
  webhook_id: string
  url: string
  types: ChangeType[] | null
  event_ids: string[] | null
  format: 'single' | 'batch'
  secret: Buffer
  previous_secret: Buffer | null
  failing_since_ms: number | null
  disabled: boolean
  disabled_reason: 'gone' | 'failing' | 'user' | null
}

/** Reads all webhooks with what decides whether they get changes. */
export async function readEndpoints(pool: Pool): Promise<EndpointsRead> {
  const [epochs, { rows }] = await Promise.all([
    pool.query<{ epoch: string; is_of_epoch: boolean }>({ name: 'webhooks_epoch', text: EPOCH }),
    pool.query<Row>({ name: 'webhooks_endpoints', text: ENDPOINTS }),
  ])
  const [installation] = epochs.rows
  return {
    epoch: installation?.epoch ?? '',
    isOfEpoch: installation?.is_of_epoch ?? false,
    endpoints: rows.map((row) => ({
      webhookId: row.webhook_id,
      url: row.url,
      types: row.types,
      eventIds: row.event_ids?.map(Number) ?? null,
      format: row.format,
      secrets: row.previous_secret === null ? [row.secret] : [row.secret, row.previous_secret],
      failingSinceMs: row.failing_since_ms,
      disabledReason: row.disabled ? (row.disabled_reason ?? 'user') : null,
    })),
  }
}
