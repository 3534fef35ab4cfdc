import { IDEMPOTENCY_KEY_HOURS } from '@ticket-line/shared'
import { SETTINGS_COLUMNS, SETTINGS_RECORD, SETTINGS_VALUES } from '../events/setting-columns.js'
import { timeOf } from '../sql-times.js'
import { COMMAND_COLUMNS } from './columns.js'
import { storeBookings } from './store-bookings.js'
import type { Statement } from './transaction.js'

// Each statement takes one array per column and turns them into rows with `unnest`, so one
// statement writes any number of rows of a kind. It must write all of them: `write.ts` compares the
// row counts.

/**
 * SQL that finds the row of `table` for each of the given rows by its key, and adds its `ctid` as
 * `found`. PostgreSQL searches the index once per key. Without the OFFSET, it would turn the
 * searches into a join, which it may execute by reading the whole table (see `load.ts`).
 */
function withCtid(table: string, key: string, rows: string): string {
  return `(SELECT n.*, (SELECT ctid FROM ${table} WHERE ${key}) AS found FROM ${rows} OFFSET 0) AS n`
}

export const updateEvents: Statement = {
  name: 'line_update_events',
  text: `UPDATE events e SET capacity = n.capacity, total_tickets = n.total, available_tickets = n.available,
      held_count = n.held, waiting_count = n.waiting, last_sequence = n.last, waitlist_head_sequence = n.head,
      due_at = ${timeOf('n.due_ms')}, canceled_at = ${timeOf('n.canceled_ms')}, version = n.version,
      last_change = n.last_change
    FROM ${withCtid(
      'events',
      'event_id = n.event_id',
      `unnest($1::bigint[], $2::int[], $3::int[], $4::int[], $5::int[], $6::int[], $7::bigint[], $8::bigint[],
        $9::float8[], $10::float8[], $11::int[], $12::bigint[]) AS n (event_id, capacity, total, available, held,
        waiting, last, head, due_ms, canceled_ms, version, last_change)`,
    )} WHERE e.ctid = n.found`,
}
export const updateSettings: Statement = {
  name: 'line_update_settings',
  text: `UPDATE events e SET (${SETTINGS_COLUMNS.join(', ')}) = ROW (${SETTINGS_VALUES.join(', ')})
    FROM ${withCtid(
      'events',
      'event_id = n."eventId"',
      `jsonb_to_recordset($1::jsonb) AS n ("eventId" bigint, ${SETTINGS_RECORD})`,
    )} WHERE e.ctid = n.found`,
}
export const insertClaims: Statement = {
  name: 'line_insert_claims',
  text: `INSERT INTO claims (event_id, user_id, kind, sequence)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[])`,
}
export const moveClaims: Statement = {
  name: 'line_move_claims',
  text: `UPDATE claims c SET kind = n.kind, sequence = n.sequence
    FROM ${withCtid(
      'claims',
      'event_id = n.event_id AND user_id = n.user_id COLLATE "C"',
      'unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) AS n (event_id, user_id, kind, sequence)',
    )} WHERE c.ctid = n.found`,
}
export const deleteClaims: Statement = {
  name: 'line_delete_claims',
  text: `DELETE FROM claims c USING ${withCtid(
    'claims',
    'event_id = n.event_id AND user_id = n.user_id COLLATE "C"',
    'unnest($1::bigint[], $2::text[]) AS n (event_id, user_id)',
  )} WHERE c.ctid = n.found`,
}
const endedAt = (status: string, now: string): string =>
  `CASE WHEN ${status} NOT IN ('confirmed', 'held') THEN ${now}::timestamptz END`

export const insertBookings: Statement = {
  name: 'line_insert_bookings',
  text: `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, granted, booked_at, canceled_at)
    SELECT event_id, sequence, user_id, status, promoted, granted, $7, ${endedAt('status', '$7')}
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bool[], $6::bool[])
      AS n (event_id, sequence, user_id, status, promoted, granted)`,
}
export const insertHolds: Statement = {
  name: 'line_insert_holds',
  text: `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, hold_seconds, expires_at, booked_at,
      held_at, confirmed_at, canceled_at)
    SELECT event_id, sequence, user_id, status, promoted, hold_seconds, ${timeOf('expires_ms')}, $9, $9,
      CASE WHEN confirmed THEN $9::timestamptz END, ${endedAt('status', '$9')}
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bool[], $6::int[], $7::float8[], $8::bool[])
      AS n (event_id, sequence, user_id, status, promoted, hold_seconds, expires_ms, confirmed)`,
}
// A late confirmation turns a hold that had ended into a booking, so it clears `canceled_at`.
export const changeBookings: Statement = {
  name: 'line_change_bookings',
  text: `UPDATE bookings b SET status = n.status, expires_at = coalesce(${timeOf('n.expires_ms')}, b.expires_at),
      reminded_at = CASE WHEN n.reminded THEN $8 WHEN n.expires_ms IS NULL THEN b.reminded_at END,
      confirmed_at = CASE WHEN n.confirmed THEN $8::timestamptz ELSE b.confirmed_at END,
      canceled_at = ${endedAt('n.status', '$8')}
    FROM ${withCtid(
      'bookings',
      'event_id = n.event_id AND sequence = n.sequence',
      `unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::float8[], $6::bool[], $7::bool[])
        AS n (event_id, sequence, was, status, expires_ms, confirmed, reminded)`,
    )} WHERE b.ctid = n.found AND b.status = n.was`,
}
export const insertEntries: Statement = {
  name: 'line_insert_entries',
  text: `INSERT INTO waitlist_entries (event_id, sequence, user_id, status, since, left_at)
    SELECT event_id, sequence, user_id, status, $5, CASE WHEN status <> 'waiting' THEN $5::timestamptz END
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS n (event_id, sequence, user_id, status)`,
}
// The condition is not `status = 'waiting'`: PostgreSQL might then use the index of waiting entries
// and read all of them.
export const leaveEntries: Statement = {
  name: 'line_leave_entries',
  text: `UPDATE waitlist_entries w SET status = n.status, left_at = $4
    FROM ${withCtid(
      'waitlist_entries',
      'event_id = n.event_id AND sequence = n.sequence',
      'unnest($1::bigint[], $2::bigint[], $3::text[]) AS n (event_id, sequence, status)',
    )} WHERE w.ctid = n.found AND w.status NOT IN ('promoted', 'withdrawn', 'granted', 'event_canceled')`,
}
// Growing and shrinking are two statements. PostgreSQL checks a proposed row before it looks for a
// conflict, so an upsert with a negative count would break the CHECK.
export const growBlocks: Statement = {
  name: 'line_grow_blocks',
  text: `INSERT INTO waitlist_blocks AS b (event_id, block, waiting_count)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[])
    ON CONFLICT (event_id, block) DO UPDATE SET waiting_count = b.waiting_count + excluded.waiting_count`,
}
export const shrinkBlocks: Statement = {
  name: 'line_shrink_blocks',
  text: `UPDATE waitlist_blocks b SET waiting_count = b.waiting_count + n.delta
    FROM ${withCtid(
      'waitlist_blocks',
      'event_id = n.event_id AND block = n.block',
      'unnest($1::bigint[], $2::bigint[], $3::int[]) AS n (event_id, block, delta)',
    )} WHERE b.ctid = n.found`,
}
const storedBookings = storeBookings('n', '$9')
export const insertBooked: Statement = {
  name: 'line_insert_booked',
  text: `WITH n AS (
      SELECT event_id, sequence, no, user_id, command_id, coalesce(caller, user_id) AS caller, key_hash, accepted_ms
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::float8[])
        AS n (event_id, sequence, no, user_id, command_id, caller, key_hash, accepted_ms)
    ), ${storedBookings.rest} ${storedBookings.commands}`,
}
export const insertCommands: Statement = {
  name: 'line_insert_commands',
  text: `INSERT INTO commands (${COMMAND_COLUMNS})
    SELECT command_id, type, event_id, user_id, caller, key_hash, outcome, position, booking_sequence,
      promoted_user_id, data, replay_of, to_timestamp(accepted_ms / 1000), $14
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[],
      $9::bigint[], $10::text[], $11::jsonb[], $12::text[], $13::float8[]) AS n (command_id, type, event_id, user_id,
      caller, key_hash, outcome, position, booking_sequence, promoted_user_id, data, replay_of, accepted_ms)`,
}
export const insertChanges: Statement = {
  name: 'line_insert_changes',
  text: `INSERT INTO changes (event_id, no, at, type, user_id, sequence, actor, command_id, data)
    SELECT event_id, no, $9, type, user_id, sequence, actor, command_id, data
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::jsonb[])
      AS n (event_id, no, type, user_id, sequence, actor, command_id, data)`,
}
// Removes expired keys that get new owners. Like `decideBatch`, it computes in whole milliseconds.
// It compares the age of a key instead of `created_at` itself. Otherwise PostgreSQL would use the
// index on that column and read all old keys. A key whose command was pruned has expired, too.
export const deleteExpiredKeys: Statement = {
  name: 'line_delete_expired_keys',
  text: `DELETE FROM idempotency_keys k USING ${withCtid(
    'idempotency_keys',
    'caller = n.caller COLLATE "C" AND key_hash = n.key_hash COLLATE "C"',
    'unnest($1::text[], $2::text[], $3::float8[]) AS n (caller, key_hash, accepted_ms)',
  )} WHERE k.ctid = n.found AND (
      to_timestamp(n.accepted_ms / 1000) - date_trunc('milliseconds', k.created_at) >= interval '${IDEMPOTENCY_KEY_HOURS} hours'
      OR (SELECT command_id FROM commands WHERE command_id = k.command_id LIMIT 1) IS NULL)`,
}
export const insertKeys: Statement = {
  name: 'line_insert_keys',
  text: `INSERT INTO idempotency_keys (caller, key_hash, command_id, request_hash, created_at)
    SELECT caller, key_hash, command_id, request_hash, to_timestamp(accepted_ms / 1000)
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float8[])
      AS n (caller, key_hash, command_id, request_hash, accepted_ms)`,
}
