import type { Command, Outcome } from '@ticket-line/shared'
import type pg from 'pg'
import type { EventRow } from './load.js'
import { countOf, roundTrip, type Statement } from './statement.js'

/** Everything a decided batch changes. Rows of one kind are written by one statement. */
export interface BatchWrites {
  events: EventRow[]
  claimsAdded: ClaimWrite[]
  claimsMoved: ClaimWrite[]
  claimsRemoved: { eventId: number; userId: string }[]
  bookingsAdded: { eventId: number; sequence: number; userId: string; promoted: boolean; canceled: boolean }[]
  bookingsCanceled: RowKey[]
  entriesAdded: { eventId: number; sequence: number; userId: string; status: EntryStatus }[]
  entriesLeft: (RowKey & { status: EntryStatus })[]
  /** Net change of the number that waits in each stretch of 1,024 sequence numbers. */
  blocks: { eventId: number; block: number; delta: number }[]
  decided: { command: Command; outcome: Outcome; ownsKey: boolean }[]
  acceptedAtMs: number
  nowMs: number
}

export interface ClaimWrite {
  eventId: number
  userId: string
  kind: 'booking' | 'waiting'
  sequence: number
}

export type EntryStatus = 'waiting' | 'promoted' | 'withdrawn'

export interface RowKey {
  eventId: number
  sequence: number
}

/** Another line's batch stored one of these idempotency keys first: decide again, now seeing it. */
export class KeyConflictError extends Error {
  override name = 'KeyConflictError'
}

const updateEvents: Statement = {
  name: 'line_update_events',
  text: `UPDATE events e SET available_tickets = n.available, waiting_count = n.waiting, last_sequence = n.last,
      waitlist_head_sequence = n.head
    FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[], $5::bigint[])
      AS n (event_id, available, waiting, last, head) WHERE e.event_id = n.event_id`,
}
const insertClaims: Statement = {
  name: 'line_insert_claims',
  text: `INSERT INTO claims (event_id, user_id, kind, sequence)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[])`,
}
const moveClaims: Statement = {
  name: 'line_move_claims',
  text: `UPDATE claims c SET kind = n.kind, sequence = n.sequence
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) AS n (event_id, user_id, kind, sequence)
    WHERE c.event_id = n.event_id AND c.user_id = n.user_id COLLATE "C"`,
}
const deleteClaims: Statement = {
  name: 'line_delete_claims',
  text: `DELETE FROM claims c USING unnest($1::bigint[], $2::text[]) AS n (event_id, user_id)
    WHERE c.event_id = n.event_id AND c.user_id = n.user_id COLLATE "C"`,
}
const insertBookings: Statement = {
  name: 'line_insert_bookings',
  text: `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at, canceled_at)
    SELECT event_id, sequence, user_id, CASE WHEN canceled THEN 'canceled' ELSE 'confirmed' END, promoted, $6,
      CASE WHEN canceled THEN $6::timestamptz END
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bool[], $5::bool[])
      AS n (event_id, sequence, user_id, promoted, canceled)`,
}
const cancelBookings: Statement = {
  name: 'line_cancel_bookings',
  text: `UPDATE bookings b SET status = 'canceled', canceled_at = $3
    FROM unnest($1::bigint[], $2::bigint[]) AS n (event_id, sequence)
    WHERE b.event_id = n.event_id AND b.sequence = n.sequence AND b.status = 'confirmed'`,
}
const insertEntries: Statement = {
  name: 'line_insert_entries',
  text: `INSERT INTO waitlist_entries (event_id, sequence, user_id, status, since, left_at)
    SELECT event_id, sequence, user_id, status, $5, CASE WHEN status <> 'waiting' THEN $5::timestamptz END
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS n (event_id, sequence, user_id, status)`,
}
const leaveEntries: Statement = {
  name: 'line_leave_entries',
  text: `UPDATE waitlist_entries w SET status = n.status, left_at = $4
    FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS n (event_id, sequence, status)
    WHERE w.event_id = n.event_id AND w.sequence = n.sequence AND w.status = 'waiting'`,
}
// Two statements: a row that is proposed with a negative count would fail its CHECK before the conflict is seen.
const growBlocks: Statement = {
  name: 'line_grow_blocks',
  text: `INSERT INTO waitlist_blocks AS b (event_id, block, waiting_count)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[])
    ON CONFLICT (event_id, block) DO UPDATE SET waiting_count = b.waiting_count + excluded.waiting_count`,
}
const shrinkBlocks: Statement = {
  name: 'line_shrink_blocks',
  text: `UPDATE waitlist_blocks b SET waiting_count = b.waiting_count + n.delta
    FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS n (event_id, block, delta)
    WHERE b.event_id = n.event_id AND b.block = n.block`,
}
const insertCommands: Statement = {
  name: 'line_insert_commands',
  text: `INSERT INTO commands (command_id, type, event_id, user_id, caller, outcome, position, booking_sequence,
      promoted_user_id, replay_of, accepted_at, decided_at)
    SELECT n.*, $11, $12 FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[],
      $7::int[], $8::bigint[], $9::text[], $10::text[]) AS n`,
}
// A key of a day ago is free again and taken over where it stands. One that is held makes the row count fall short.
const insertKeys: Statement = {
  name: 'line_insert_keys',
  text: `INSERT INTO idempotency_keys AS k (caller, key_hash, command_id, created_at)
    SELECT caller, key_hash, command_id, $4 FROM unnest($1::text[], $2::text[], $3::text[])
      AS n (caller, key_hash, command_id)
    ON CONFLICT (caller, key_hash) DO UPDATE SET command_id = excluded.command_id, created_at = excluded.created_at
      WHERE k.created_at <= now() - interval '24 hours'`,
}

/**
 * Writes a decided batch inside the caller's transaction, in one round trip.
 * @throws KeyConflictError where a concurrent batch of another line holds one of the keys; roll back and decide again
 * @throws Error where fewer rows were touched than the batch decided on: the rows and the counters disagree
 */
export async function writeBatch(client: pg.ClientBase, writes: BatchWrites): Promise<void> {
  const now = new Date(writes.nowMs)
  const pending: Promise<unknown>[] = []
  const run = (statement: Statement, expected: number, values: unknown[]): void => {
    if (expected > 0) pending.push(countOf(client, statement, values).then((count) => mustTouch(statement, expected, count)))
  }
  const { events, bookingsAdded, bookingsCanceled, entriesAdded, entriesLeft, blocks, decided } = writes

  runKeys(writes, run, now)
  run(updateEvents, events.length, [
    events.map((row) => row.eventId),
    events.map((row) => row.availableTickets),
    events.map((row) => row.waitingCount),
    events.map((row) => row.lastSequence),
    events.map((row) => row.waitlistHeadSequence),
  ])
  for (const [statement, claims] of [
    [insertClaims, writes.claimsAdded],
    [moveClaims, writes.claimsMoved],
  ] as const) {
    run(statement, claims.length, [
      claims.map((row) => row.eventId),
      claims.map((row) => row.userId),
      claims.map((row) => row.kind),
      claims.map((row) => row.sequence),
    ])
  }
  run(deleteClaims, writes.claimsRemoved.length, [
    writes.claimsRemoved.map((row) => row.eventId),
    writes.claimsRemoved.map((row) => row.userId),
  ])
  run(insertBookings, bookingsAdded.length, [
    bookingsAdded.map((row) => row.eventId),
    bookingsAdded.map((row) => row.sequence),
    bookingsAdded.map((row) => row.userId),
    bookingsAdded.map((row) => row.promoted),
    bookingsAdded.map((row) => row.canceled),
    now,
  ])
  run(cancelBookings, bookingsCanceled.length, [...keysOf(bookingsCanceled), now])
  run(insertEntries, entriesAdded.length, [
    ...keysOf(entriesAdded),
    entriesAdded.map((row) => row.userId),
    entriesAdded.map((row) => row.status),
    now,
  ])
  run(leaveEntries, entriesLeft.length, [...keysOf(entriesLeft), entriesLeft.map((row) => row.status), now])
  for (const [statement, rows] of [
    [growBlocks, blocks.filter((row) => row.delta > 0)],
    [shrinkBlocks, blocks.filter((row) => row.delta < 0)],
  ] as const) {
    run(statement, rows.length, [
      rows.map((row) => row.eventId),
      rows.map((row) => row.block),
      rows.map((row) => row.delta),
    ])
  }
  runCommands(writes, decided, run, now)
  await roundTrip(pending)
}

type Run = (statement: Statement, expected: number, values: unknown[]) => void

function runKeys(writes: BatchWrites, run: Run, now: Date): void {
  // In one order for everybody, so that two batches wait for each other instead of dying in a deadlock.
  const owners = writes.decided
    .filter((row) => row.ownsKey)
    .map(({ command }) => ({ caller: command.caller, keyHash: command.keyHash as string, commandId: command.commandId }))
    .sort((a, b) => compare(a.caller, b.caller) || compare(a.keyHash, b.keyHash))
  run(insertKeys, owners.length, [
    owners.map((row) => row.caller),
    owners.map((row) => row.keyHash),
    owners.map((row) => row.commandId),
    now,
  ])
}

function runCommands(writes: BatchWrites, decided: BatchWrites['decided'], run: Run, now: Date): void {
  run(insertCommands, decided.length, [
    decided.map((row) => row.command.commandId),
    decided.map((row) => row.command.type),
    decided.map((row) => row.command.eventId),
    decided.map((row) => row.command.userId),
    decided.map((row) => row.command.caller),
    decided.map((row) => row.outcome.outcome),
    decided.map((row) => row.outcome.position ?? null),
    decided.map((row) => sequenceOf(row.outcome.bookingId)),
    decided.map((row) => row.outcome.promotedUserId ?? null),
    decided.map((row) => row.outcome.replayOf ?? null),
    new Date(writes.acceptedAtMs),
    now,
  ])
}

function mustTouch(statement: Statement, expected: number, touched: number): void {
  if (touched === expected) return
  if (statement === insertKeys) throw new KeyConflictError('an idempotency key is held by another line')
  throw new Error(`${statement.name} touched ${touched} rows instead of ${expected}`)
}

function keysOf(rows: RowKey[]): [number[], number[]] {
  return [rows.map((row) => row.eventId), rows.map((row) => row.sequence)]
}

function sequenceOf(bookingId: string | undefined): number | null {
  return bookingId === undefined ? null : Number(bookingId.slice(bookingId.lastIndexOf('-') + 1))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
