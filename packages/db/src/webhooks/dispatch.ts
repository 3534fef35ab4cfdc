import type { Pool } from 'pg'
import { isStaffSql } from '../events/staff.js'
import { OWNER_ROLE } from './endpoints.js'

/** An endpoint and an event: what a cursor is for. */
export interface CursorKey {
  webhookId: string
  eventId: number
}

// A new cursor begins at the last change that was decided before its webhook was made. If nothing
// was decided since then, the webhook gets no cursor yet. The scan for that change goes backwards,
// so it reads only changes that have to be delivered. All notifiers write the rows in the same
// order, so that they do not deadlock.
//
// A webhook whose owner is not staff of the event gets no cursor. If it already has one, the
// changes are announced, and the notifier passes over them. So the owner does not get them later,
// when they are staff again.
const DISPATCH = `WITH moved AS MATERIALIZED (
    SELECT e.event_id, e.last_change, e.owner, e.shared, coalesce(d.dispatched_no, 0) AS dispatched_no,
      (SELECT at FROM changes c WHERE c.event_id = e.event_id AND c.no = e.last_change) AS last_at
    FROM events e LEFT JOIN webhook_dispatch d USING (event_id)
    WHERE e.event_id = ANY ($1::bigint[]) AND e.last_change > coalesce(d.dispatched_no, 0)
  ), wanted AS (
    SELECT w.webhook_id, m.event_id, m.last_change, k.webhook_id IS NOT NULL AS has_cursor,
      coalesce(k.delivered_no, greatest(m.dispatched_no, (
        SELECT c.no FROM changes c WHERE c.event_id = m.event_id AND c.no > m.dispatched_no
          AND c.no <= m.last_change AND c.at <= w.created_at ORDER BY c.no DESC LIMIT 1
      ))) AS start
    FROM moved m
    JOIN webhooks w ON w.event_ids IS NULL OR m.event_id = ANY (w.event_ids)
    LEFT JOIN users u ON u.user_id = w.owner
    LEFT JOIN webhook_cursors k ON k.webhook_id = w.webhook_id AND k.event_id = m.event_id
    WHERE k.webhook_id IS NOT NULL
      OR (m.last_at > w.created_at AND ${isStaffSql('m', 'w.owner', OWNER_ROLE)})
  ), cursors AS (
    INSERT INTO webhook_cursors AS c
      (webhook_id, event_id, delivered_no, announced_no, next_attempt_at)
    SELECT webhook_id, event_id, start, last_change, now() FROM wanted
    WHERE has_cursor OR start < last_change ORDER BY webhook_id, event_id
    ON CONFLICT (webhook_id, event_id) DO UPDATE SET announced_no = excluded.announced_no,
      next_attempt_at = CASE WHEN excluded.announced_no > c.delivered_no
        THEN coalesce(c.next_attempt_at, now()) ELSE c.next_attempt_at END
    WHERE c.announced_no < excluded.announced_no
    RETURNING webhook_id, event_id, next_attempt_at <= now() AS is_due
  ), dispatched AS (
    INSERT INTO webhook_dispatch AS d (event_id, dispatched_no)
    SELECT event_id, last_change FROM moved ORDER BY event_id
    ON CONFLICT (event_id) DO UPDATE SET dispatched_no = excluded.dispatched_no
    WHERE d.dispatched_no < excluded.dispatched_no
  )
  SELECT c.webhook_id, c.event_id FROM cursors c JOIN webhooks w USING (webhook_id)
  WHERE c.is_due AND w.disabled_at IS NULL`

interface KeyRow {
  webhook_id: string
  event_id: string
}

const keyOf = (row: KeyRow): CursorKey => ({
  webhookId: row.webhook_id,
  eventId: Number(row.event_id),
})

/**
 * Dispatches the new changes of events to the webhooks that get them: creates missing cursors and
 * makes cursors due. Any number of notifiers may do so for the same events at the same time.
 *
 * @returns the cursors that are due now
 */
export async function dispatchChanges(
  pool: Pick<Pool, 'query'>,
  eventIds: readonly number[],
): Promise<CursorKey[]> {
  const { rows } = await pool.query<KeyRow>({
    name: 'webhooks_dispatch',
    text: DISPATCH,
    values: [eventIds],
  })
  return rows.map(keyOf)
}

const UNDISPATCHED = `SELECT e.event_id FROM events e LEFT JOIN webhook_dispatch d USING (event_id)
  WHERE e.event_id > $1 AND ($2::bigint[] IS NULL OR e.event_id = ANY ($2))
    AND e.last_change > coalesce(d.dispatched_no, 0)
  ORDER BY e.event_id LIMIT $3`

/**
 * Finds events with changes that were not dispatched, in order of their ids.
 *
 * @param after the last id of the page before; 0 for the first page
 * @param among the events to look at; null for all
 */
export async function findUndispatchedEvents(
  pool: Pool,
  after: number,
  among: readonly number[] | null,
  limit: number,
): Promise<number[]> {
  const { rows } = await pool.query<{ event_id: string }>({
    name: 'webhooks_undispatched',
    text: UNDISPATCHED,
    values: [after, among, limit],
  })
  return rows.map((row) => Number(row.event_id))
}

const UNCLAIMED = '(c.claimed_until IS NULL OR c.claimed_until <= now())'

const DUE_OF_WEBHOOK = `SELECT c.webhook_id, c.event_id FROM webhook_cursors c
  JOIN webhooks w USING (webhook_id)
  WHERE c.webhook_id = $1 AND c.next_attempt_at <= now() AND ${UNCLAIMED} AND w.disabled_at IS NULL
  ORDER BY c.next_attempt_at LIMIT $2`

/** Finds cursors of one webhook that are due, the longest due first. */
export async function findDueCursors(
  pool: Pool,
  webhookId: string,
  limit: number,
): Promise<CursorKey[]> {
  const { rows } = await pool.query<KeyRow>({
    name: 'webhooks_due_of_webhook',
    text: DUE_OF_WEBHOOK,
    values: [webhookId, limit],
  })
  return rows.map(keyOf)
}

const DUE_OF_ALL = `SELECT w.webhook_id, due.event_id FROM webhooks w CROSS JOIN LATERAL (
    SELECT c.event_id FROM webhook_cursors c
    WHERE c.webhook_id = w.webhook_id AND c.next_attempt_at <= now() - $1 * interval '1 millisecond'
      AND ${UNCLAIMED}
    ORDER BY c.next_attempt_at LIMIT $2
  ) AS due WHERE w.disabled_at IS NULL`

/**
 * Finds cursors of all webhooks that have been due for a while, some of each webhook.
 *
 * @param forMs how long they must have been due, ms
 * @param limit how many cursors of each webhook to return at most
 */
export async function findOverdueCursors(
  pool: Pool,
  forMs: number,
  limit: number,
): Promise<CursorKey[]> {
  const { rows } = await pool.query<KeyRow>({
    name: 'webhooks_overdue',
    text: DUE_OF_ALL,
    values: [forMs, limit],
  })
  return rows.map(keyOf)
}

const STILL_DUE = `SELECT c.webhook_id, c.event_id
  FROM unnest($1::uuid[], $2::bigint[]) AS k (webhook_id, event_id)
  JOIN webhook_cursors c ON c.webhook_id = k.webhook_id AND c.event_id = k.event_id
  JOIN webhooks w ON w.webhook_id = c.webhook_id
  WHERE c.next_attempt_at <= now() AND ${UNCLAIMED} AND w.disabled_at IS NULL`

/** Selects those of the cursors that are due. */
export async function selectDueCursors(
  pool: Pool,
  keys: readonly CursorKey[],
): Promise<CursorKey[]> {
  const { rows } = await pool.query<KeyRow>({
    name: 'webhooks_still_due',
    text: STILL_DUE,
    values: [keys.map(({ webhookId }) => webhookId), keys.map(({ eventId }) => eventId)],
  })
  return rows.map(keyOf)
}
