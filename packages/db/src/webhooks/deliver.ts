import type { ChangeType, LoggedChange, LoggedChangeData } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { isStaffSql } from '../events/staff.js'
import { msOf } from '../sql-times.js'
import type { CursorKey } from './dispatch.js'
import { OWNER_ROLE } from './endpoints.js'

/** How far an endpoint has received the changes of an event, and the failures since then. */
export interface Cursor {
  /** The last change that was delivered, parked or passed over. */
  deliveredNo: number
  /** The last change that was dispatched to the endpoint. */
  announcedNo: number
  /** The last change of the batch that was begun; null if none was. */
  batchTo: number | null
  /** Failed attempts to send the next changes. */
  attempts: number
  /** When the first of them failed, ms since 1970; null if there was none. */
  failingSinceMs: number | null
}

/** A cursor with which no other notifier sends anything until the claim ends. */
export interface ClaimedCursor extends Cursor {
  /** The next changes of the event, in order of `no`. */
  changes: LoggedChange[]
  /** The epoch of the installation. */
  epoch: string
  /** False if the cursors still belong to an earlier epoch. Nothing may be sent then. */
  isOfEpoch: boolean
  /** True if the owner of the webhook is staff of the event, so that it may get the changes. */
  ownerIsStaff: boolean
}

/** One request to an endpoint, as the list of deliveries shows it. */
export interface Attempt {
  webhookId: string
  /** Null for a test call, like `firstNo` and `lastNo`. */
  eventId: number | null
  firstNo: number | null
  lastNo: number | null
  messageId: string
  /** Which attempt for these changes it was, from 1. */
  attempt: number
  kind: 'live' | 'replay' | 'test'
  state: 'delivered' | 'failed' | 'parked'
  tookMs: number
  /** Status of the answer; null if there was none. */
  status: number | null
  /** Why it failed; null if it did not. */
  error: string | null
}

/**
 * How early a cursor may be claimed, ms. The clock that ends the delay of its job may be ahead of
 * PostgreSQL's by this much.
 */
const EARLY_MS = 250

const CHANGE_COLUMNS = `c.no, ${msOf('c.at')} AS at_ms, c.type, c.user_id, c.sequence, c.actor,
  c.command_id, c.data`

interface ChangeRow {
  no: string | null
  at_ms: number
  type: ChangeType
  user_id: string | null
  sequence: string | null
  actor: string | null
  command_id: string | null
  data: LoggedChangeData | null
}

function changesOf(eventId: number, rows: readonly ChangeRow[]): LoggedChange[] {
  return rows.flatMap((row) =>
    row.no === null
      ? []
      : {
          eventId,
          no: Number(row.no),
          type: row.type,
          atMs: row.at_ms,
          userId: row.user_id,
          sequence: row.sequence === null ? null : Number(row.sequence),
          actor: row.actor,
          commandId: row.command_id,
          data: row.data,
        },
  )
}

/**
 * Selects whether the owner of a webhook is staff of an event. A deleted event has no staff. Its
 * remaining cursors are those of its last staff (`deleteEvent`). These owners get its changes as
 * long as they are organizers or admins.
 */
const ownerIsStaff = (webhookId: string, eventId: string): string =>
  `SELECT CASE WHEN e.event_id IS NULL THEN ${OWNER_ROLE} IN ('organizer', 'admin')
      ELSE ${isStaffSql('e', 'w.owner', OWNER_ROLE)} IS TRUE END AS is_staff FROM webhooks w
    LEFT JOIN users u ON u.user_id = w.owner LEFT JOIN events e ON e.event_id = ${eventId}
    WHERE w.webhook_id = ${webhookId}`

const CLAIM = `WITH claimed AS (
    UPDATE webhook_cursors SET claimed_until = now() + $3 * interval '1 millisecond'
    WHERE webhook_id = $1 AND event_id = $2
      AND next_attempt_at <= now() + interval '${EARLY_MS} milliseconds'
      AND (claimed_until IS NULL OR claimed_until <= now())
    RETURNING event_id, delivered_no, announced_no, batch_to, attempts,
      ${msOf('failing_since')} AS failing_since_ms, (${ownerIsStaff('$1', '$2')}) AS is_staff
  )
  SELECT k.is_staff, k.delivered_no, k.announced_no, k.batch_to, k.attempts, k.failing_since_ms, i.epoch,
    i.webhook_epoch IS NOT DISTINCT FROM i.epoch AS is_of_epoch, ${CHANGE_COLUMNS}
  FROM claimed k CROSS JOIN installation i LEFT JOIN LATERAL (
    SELECT * FROM changes WHERE event_id = k.event_id AND no > k.delivered_no
    ORDER BY no LIMIT $4
  ) AS c ON true ORDER BY c.no`

interface ClaimRow extends ChangeRow {
  delivered_no: string
  announced_no: string
  batch_to: string | null
  attempts: number
  failing_since_ms: number | null
  epoch: string
  is_of_epoch: boolean
  /** Null if the webhook was just deleted. */
  is_staff: boolean | null
}

/**
 * Claims a cursor that is due, and reads the next changes.
 *
 * @param forMs how long the claim lasts, ms
 * @param limit how many changes to read at most
 * @returns undefined if the cursor is not due, or another notifier has claimed it
 */
export async function claimCursor(
  pool: Pool,
  { webhookId, eventId }: CursorKey,
  forMs: number,
  limit: number,
): Promise<ClaimedCursor | undefined> {
  const { rows } = await pool.query<ClaimRow>({
    name: 'webhooks_claim',
    text: CLAIM,
    values: [webhookId, eventId, forMs, limit],
  })
  const [row] = rows
  return (
    row && {
      deliveredNo: Number(row.delivered_no),
      announcedNo: Number(row.announced_no),
      batchTo: row.batch_to === null ? null : Number(row.batch_to),
      attempts: row.attempts,
      failingSinceMs: row.failing_since_ms,
      epoch: row.epoch,
      isOfEpoch: row.is_of_epoch,
      ownerIsStaff: row.is_staff === true,
      changes: changesOf(eventId, rows),
    }
  )
}

const OWNER_IS_STAFF = ownerIsStaff('$1', '$2')

/** Reads whether the owner of a webhook is staff of an event now. */
export async function readOwnerIsStaff(
  pool: Pool,
  { webhookId, eventId }: CursorKey,
): Promise<boolean> {
  const { rows } = await pool.query<{ is_staff: boolean }>({
    name: 'webhooks_owner_is_staff',
    text: OWNER_IS_STAFF,
    values: [webhookId, eventId],
  })
  return rows[0]?.is_staff === true
}

const CHANGES_AFTER = `SELECT ${CHANGE_COLUMNS} FROM changes c
  WHERE c.event_id = $1 AND c.no > $2 AND c.no <= $3 ORDER BY c.no LIMIT $4`

/** Reads the changes of an event after `afterNo`, up to `toNo`, in order. */
export async function readChangesToDeliver(
  pool: Pool,
  eventId: number,
  afterNo: number,
  toNo: number,
  limit: number,
): Promise<LoggedChange[]> {
  const { rows } = await pool.query<ChangeRow>({
    name: 'webhooks_changes',
    text: CHANGES_AFTER,
    values: [eventId, afterNo, toNo, limit],
  })
  return changesOf(eventId, rows)
}

const SENT_MESSAGE = `SELECT first_no, last_no FROM webhook_attempts
  WHERE webhook_id = $1 AND event_id = $2 AND kind = 'live' AND last_no >= $3
  ORDER BY last_no, first_no LIMIT 1`

/**
 * Finds the first live message that had a change from `fromNo` on, among the attempts that are
 * kept.
 *
 * @returns its first and its last change; undefined if there is no such message
 */
export async function findSentMessage(
  pool: Pool,
  { webhookId, eventId }: CursorKey,
  fromNo: number,
): Promise<{ firstNo: number; lastNo: number } | undefined> {
  const { rows } = await pool.query<{ first_no: string; last_no: string }>({
    name: 'webhooks_sent_message',
    text: SENT_MESSAGE,
    values: [webhookId, eventId, fromNo],
  })
  const [row] = rows
  return row && { firstNo: Number(row.first_no), lastNo: Number(row.last_no) }
}

const BEGIN_BATCH = `UPDATE webhook_cursors SET batch_to = $4
  WHERE webhook_id = $1 AND event_id = $2 AND delivered_no = $3`

/**
 * Records where a batch ends, before it is sent for the first time. So every attempt sends the same
 * changes.
 *
 * @returns false if the cursor has moved
 */
export async function beginBatch(
  pool: Pool,
  { webhookId, eventId }: CursorKey,
  deliveredNo: number,
  batchTo: number,
): Promise<boolean> {
  const { rowCount } = await pool.query({
    name: 'webhooks_begin_batch',
    text: BEGIN_BATCH,
    values: [webhookId, eventId, deliveredNo, batchTo],
  })
  return rowCount === 1
}

const LOG_ATTEMPT = `INSERT INTO webhook_attempts (webhook_id, event_id, first_no, last_no,
    message_id, attempt, kind, state, at, took_ms, status, error)
  SELECT a.webhook_id, a.event_id, a.first_no, a.last_no, a.message_id, a.attempt, a.kind, a.state,
    now(), a.took_ms, a.status, a.error
  FROM jsonb_populate_record(NULL::webhook_attempts, $1::jsonb) AS a WHERE $1::jsonb IS NOT NULL`

/** The attempt as a row in JSON; null if no request was made. */
const attemptRow = (attempt: Attempt | undefined): string | null =>
  attempt === undefined
    ? null
    : JSON.stringify({
        webhook_id: attempt.webhookId,
        event_id: attempt.eventId,
        first_no: attempt.firstNo,
        last_no: attempt.lastNo,
        message_id: attempt.messageId,
        attempt: attempt.attempt,
        kind: attempt.kind,
        state: attempt.state,
        took_ms: Math.round(attempt.tookMs),
        status: attempt.status,
        error: attempt.error,
      })

/** Adds an attempt of a replay or a test call to the list of deliveries. */
export async function logAttempt(pool: Pool, attempt: Attempt): Promise<void> {
  await pool.query({
    name: 'webhooks_log_attempt',
    text: LOG_ATTEMPT,
    values: [attemptRow(attempt)],
  })
}

const MOVE = `WITH logged AS (${LOG_ATTEMPT})
  UPDATE webhook_cursors SET delivered_no = $5, batch_to = NULL, attempts = 0, failing_since = NULL,
    next_attempt_at = CASE WHEN NOT $6::boolean OR announced_no > $5 THEN now() END,
    claimed_until = CASE WHEN NOT $6::boolean THEN now() + $7 * interval '1 millisecond' END
  WHERE webhook_id = $2 AND event_id = $3 AND delivered_no = $4
  RETURNING next_attempt_at IS NOT NULL AS is_due`

/** A move of a cursor to a later change. */
export interface CursorMove {
  key: CursorKey
  /** The cursor moves only if it is still at this change. */
  fromNo: number
  toNo: number
  /** The attempt that ends the changes up to `toNo`; undefined if they are passed over. */
  attempt?: Attempt | undefined
  /** How long the claim continues, ms; undefined to end it. */
  claimForMs: number | undefined
}

/**
 * Moves a cursor past changes that were delivered, parked, or that the endpoint did not ask for.
 *
 * @returns whether more is due now; `lost` if another notifier has moved the cursor
 */
export async function moveCursor(
  pool: Pool,
  { key, fromNo, toNo, attempt, claimForMs }: CursorMove,
): Promise<'due' | 'caught_up' | 'lost'> {
  const { rows } = await pool.query<{ is_due: boolean }>({
    name: 'webhooks_move',
    text: MOVE,
    values: [
      attemptRow(attempt),
      key.webhookId,
      key.eventId,
      fromNo,
      toNo,
      claimForMs === undefined,
      claimForMs ?? 0,
    ],
  })
  const [row] = rows
  if (row === undefined) return 'lost'
  return row.is_due ? 'due' : 'caught_up'
}

const DISABLE_AFTER = `interval '5 days'`

const FAIL = `WITH logged AS (${LOG_ATTEMPT}), cursor AS (
    UPDATE webhook_cursors SET attempts = attempts + 1,
      failing_since = coalesce(failing_since, now()),
      next_attempt_at = now() + $5 * interval '1 millisecond', claimed_until = NULL
    WHERE webhook_id = $2 AND event_id = $3 AND delivered_no = $4
  )
  UPDATE webhooks SET failing_since = coalesce(failing_since, now()),
    disabled_at = CASE WHEN $6::boolean OR failing_since < now() - ${DISABLE_AFTER} THEN now() END,
    disabled_reason = CASE WHEN $6::boolean THEN 'gone'
      WHEN failing_since < now() - ${DISABLE_AFTER} THEN 'failing' END
  WHERE webhook_id = $2 AND disabled_at IS NULL
    AND ($6::boolean OR failing_since IS NULL OR failing_since < now() - ${DISABLE_AFTER})
  RETURNING disabled_reason`

export interface CursorFailure {
  key: CursorKey
  deliveredNo: number
  attempt: Attempt
  /** Pause before the next attempt, ms. */
  retryInMs: number
  /** True if the endpoint answered 410. This disables it. */
  gone: boolean
}

/**
 * Records a failed attempt. An endpoint whose attempts have all failed for five days is disabled.
 *
 * @returns why the endpoint is disabled from now on; undefined if it is not
 */
export async function failCursor(
  pool: Pool,
  { key, deliveredNo, attempt, retryInMs, gone }: CursorFailure,
): Promise<'gone' | 'failing' | undefined> {
  const { rows } = await pool.query<{ disabled_reason: 'gone' | 'failing' | null }>({
    name: 'webhooks_fail',
    text: FAIL,
    values: [attemptRow(attempt), key.webhookId, key.eventId, deliveredNo, retryInMs, gone],
  })
  return rows[0]?.disabled_reason ?? undefined
}

const GIVE_BACK = `UPDATE webhook_cursors
  SET claimed_until = NULL, next_attempt_at = now() + $4 * interval '1 millisecond'
  WHERE webhook_id = $1 AND event_id = $2 AND delivered_no = $3`

/**
 * Ends a claim without an attempt.
 *
 * @param dueInMs when the cursor is due again, ms from now
 */
export async function giveBackCursor(
  pool: Pool,
  { webhookId, eventId }: CursorKey,
  deliveredNo: number,
  dueInMs: number,
): Promise<void> {
  await pool.query({
    name: 'webhooks_give_back',
    text: GIVE_BACK,
    values: [webhookId, eventId, deliveredNo, dueInMs],
  })
}

const RECOVER =
  'UPDATE webhooks SET failing_since = NULL WHERE webhook_id = $1 AND failing_since IS NOT NULL'

/** Records that an endpoint answers again. */
export async function recordRecovery(pool: Pool, webhookId: string): Promise<void> {
  await pool.query({ name: 'webhooks_recover', text: RECOVER, values: [webhookId] })
}

const RELEASE = `WITH recovered AS (${RECOVER}), delayed AS (
    SELECT webhook_id, event_id FROM webhook_cursors
    WHERE webhook_id = $1 AND next_attempt_at > now() ORDER BY event_id FOR UPDATE SKIP LOCKED
  )
  UPDATE webhook_cursors c SET next_attempt_at = now() FROM delayed d
  WHERE c.webhook_id = d.webhook_id AND c.event_id = d.event_id
  RETURNING c.event_id`

/**
 * Records that an endpoint answers again, and makes all its cursors due.
 *
 * @returns the events of the cursors that waited for a retry
 */
export async function releaseCursors(pool: Pool, webhookId: string): Promise<number[]> {
  const { rows } = await pool.query<{ event_id: string }>({
    name: 'webhooks_release',
    text: RELEASE,
    values: [webhookId],
  })
  return rows.map((row) => Number(row.event_id))
}
