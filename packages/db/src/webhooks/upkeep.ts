import { sleep } from '@ticket-line/shared'
import type { Pool } from 'pg'

/** How many attempts of a webhook are kept. */
export const KEPT_ATTEMPTS = 1000
/** For how long an attempt is kept. */
const KEPT_FOR = `interval '30 days'`

/** Maximum number of rows that one statement removes. */
const ROWS_PER_STEP = 5000
/** Pause after a statement that removed that many rows, ms. */
const STEP_PAUSE_MS = 20

const OLD_ATTEMPTS = `DELETE FROM webhook_attempts WHERE attempt_id IN (
    SELECT attempt_id FROM webhook_attempts WHERE at < now() - ${KEPT_FOR} ORDER BY at LIMIT $1)`

const SURPLUS_ATTEMPTS = `DELETE FROM webhook_attempts WHERE attempt_id IN (
    SELECT surplus.attempt_id FROM webhooks w CROSS JOIN LATERAL (
      SELECT a.attempt_id FROM webhook_attempts a WHERE a.webhook_id = w.webhook_id
      AND a.attempt_id <= (
        SELECT b.attempt_id FROM webhook_attempts b WHERE b.webhook_id = w.webhook_id
        ORDER BY b.attempt_id DESC OFFSET ${KEPT_ATTEMPTS} LIMIT 1)
      ORDER BY a.attempt_id LIMIT $1
    ) AS surplus LIMIT $1)`

// A notifier may have created a cursor for a webhook while somebody deleted the webhook.
const ORPHANED_CURSORS = `DELETE FROM webhook_cursors WHERE ctid = ANY (ARRAY(
    SELECT c.ctid FROM webhook_cursors c
    WHERE NOT EXISTS (SELECT FROM webhooks w WHERE w.webhook_id = c.webhook_id) LIMIT $1))`

/**
 * Removes attempts that are too old or too many, and cursors of deleted webhooks. Any number of
 * processes may do so at the same time.
 *
 * @returns how many rows were removed
 */
export async function pruneWebhooks(pool: Pool, signal: AbortSignal): Promise<number> {
  let removed = 0
  for (const text of [OLD_ATTEMPTS, SURPLUS_ATTEMPTS, ORPHANED_CURSORS]) {
    while (!signal.aborted) {
      const { rowCount } = await pool.query({ text, values: [ROWS_PER_STEP] })
      removed += rowCount ?? 0
      if ((rowCount ?? 0) < ROWS_PER_STEP) break
      await sleep(STEP_PAUSE_MS, signal)
    }
  }
  return removed
}

/**
 * Makes all cursors of webhooks belong to the present epoch. In a new epoch, numbers of changes are
 * given out a second time, so each cursor is set to the last change of its event. If the cursors
 * never belonged to an epoch, this only records the present one.
 *
 * @returns true if cursors were set
 */
export async function adoptEpoch(pool: Pool): Promise<boolean> {
  const client = await pool.connect()
  let isBroken = true
  try {
    await client.query('BEGIN')
    const { rows } = await client.query<{ known: string | null; is_same: boolean }>(
      `SELECT webhook_epoch AS known, webhook_epoch IS NOT DISTINCT FROM epoch AS is_same
        FROM installation FOR UPDATE`,
    )
    const [installation] = rows
    const isNext =
      installation !== undefined && !installation.is_same && installation.known !== null
    if (isNext) {
      // Makes dispatches of other notifiers wait. They would mix old and new numbers.
      await client.query('LOCK TABLE webhook_cursors, webhook_dispatch IN EXCLUSIVE MODE')
      await client.query(`DELETE FROM webhook_cursors c
        WHERE NOT EXISTS (SELECT FROM events e WHERE e.event_id = c.event_id)`)
      await client.query(`UPDATE webhook_cursors c
        SET delivered_no = e.last_change, announced_no = e.last_change, batch_to = NULL,
          next_attempt_at = NULL, claimed_until = NULL, attempts = 0, failing_since = NULL
        FROM events e WHERE e.event_id = c.event_id`)
      await client.query('DELETE FROM webhook_dispatch')
      await client.query(`INSERT INTO webhook_dispatch (event_id, dispatched_no)
        SELECT event_id, last_change FROM events WHERE last_change > 0`)
    }
    if (installation !== undefined && !installation.is_same)
      await client.query('UPDATE installation SET webhook_epoch = epoch')
    await client.query('COMMIT')
    isBroken = false
    return isNext
  } finally {
    client.release(isBroken)
  }
}

/** How far the deliveries are behind. */
export interface WebhookLag {
  /** Changes that were dispatched to enabled endpoints and not delivered. */
  changes: number
  /**
   * Age of the oldest change that was never sent, although its endpoint is not failing, seconds; 0
   * if there is none.
   */
  seconds: number
}

/** Maximum number of cursors whose oldest change is looked up. */
const CURSORS_LOOKED_AT = 1000

const LAG = `SELECT coalesce(sum(b.announced_no - b.delivered_no), 0)::float8 AS changes,
  (SELECT extract(epoch FROM now() - min(oldest.at)) FROM (
    SELECT c.event_id, c.delivered_no FROM webhook_cursors c JOIN webhooks w USING (webhook_id)
    WHERE c.next_attempt_at <= now() AND c.attempts = 0
      AND w.disabled_at IS NULL AND w.failing_since IS NULL
    ORDER BY c.next_attempt_at LIMIT ${CURSORS_LOOKED_AT}
  ) AS late CROSS JOIN LATERAL (
    SELECT at FROM changes WHERE event_id = late.event_id AND no > late.delivered_no
    ORDER BY no LIMIT 1
  ) AS oldest)::float8 AS seconds
  FROM webhook_cursors b JOIN webhooks w USING (webhook_id)
  WHERE b.next_attempt_at IS NOT NULL AND w.disabled_at IS NULL`

/** Reads how far the deliveries are behind. */
export async function readWebhookLag(pool: Pool): Promise<WebhookLag> {
  const { rows } = await pool.query<{ changes: number; seconds: number | null }>({
    name: 'webhooks_lag',
    text: LAG,
  })
  return { changes: rows[0]?.changes ?? 0, seconds: Math.max(0, rows[0]?.seconds ?? 0) }
}
