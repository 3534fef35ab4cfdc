import { randomUUID } from 'node:crypto'
import type { ChangeType } from '@ticket-line/shared'
import { encryptSecret, newSecret, readSecretKeys } from '@ticket-line/webhooks'
import type pg from 'pg'

/** The owner of the events and webhooks for which a test names none. */
const MAKER = 'maker'

type Queryable = Pick<pg.Pool, 'query'>

export interface WebhookRow {
  url: string
  owner?: string
  ownerRole?: 'user' | 'organizer' | 'admin'
  types?: ChangeType[]
  eventIds?: number[]
  format?: 'single' | 'batch'
  /** How long ago it was made, ms. Default: now. */
  madeMsAgo?: number
}

/** Writes a webhook as the API does. @returns its id and its secret */
export async function addWebhook(
  pool: Queryable,
  secretKey: string,
  row: WebhookRow,
): Promise<{ webhookId: string; secret: string }> {
  const keys = readSecretKeys({ optional: () => secretKey } as never, false)
  if (keys === undefined) throw new Error('the key is empty')
  const webhookId = randomUUID()
  const secret = newSecret()
  await pool.query(
    `INSERT INTO webhooks (webhook_id, owner, owner_role, url, types, event_ids, format, secret, created_at)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() - $9 * interval '1 ms')`,
    [
      webhookId,
      row.owner ?? MAKER,
      row.ownerRole ?? 'organizer',
      row.url,
      row.types ?? null,
      row.eventIds ?? null,
      row.format ?? 'single',
      encryptSecret(keys, webhookId, secret),
      row.madeMsAgo ?? 0,
    ],
  )
  return { webhookId, secret }
}

/** Writes an event without changes. */
export async function addEvent(
  pool: Queryable,
  eventId: number,
  owner: string | null = MAKER,
): Promise<void> {
  await pool.query(
    `INSERT INTO events (event_id, capacity, total_tickets, available_tickets, owner)
      VALUES ($1, 1000000, 1000000, 1000000, $2)`,
    [eventId, owner],
  )
}

/**
 * Writes changes as a worker does, without the claims that they are about.
 *
 * @returns the number of the last change of the event
 */
export async function addChanges(
  pool: Queryable,
  eventId: number,
  count: number,
  type: ChangeType = 'waitlist.promoted',
): Promise<number> {
  const { rows } = await pool.query<{ last_change: string }>(
    `WITH event AS (
      UPDATE events SET last_change = last_change + $2 WHERE event_id = $1 RETURNING last_change
    ), written AS (
      INSERT INTO changes (event_id, no, at, sequence, type, user_id)
      SELECT $1, last_change - $2 + n, clock_timestamp(), last_change - $2 + n, $3, 'u' || n
      FROM event, generate_series(1, $2::int) AS n
    ) SELECT last_change FROM event`,
    [eventId, count, type],
  )
  return Number(rows[0]?.last_change)
}
