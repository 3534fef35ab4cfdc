import type { Command, Outcome } from '@ticket-line/shared'
import type pg from 'pg'
import type { EventRow } from './load.js'
import { countOf, roundTrip, type Statement } from './statement.js'
import {
  cancelBookings,
  deleteClaims,
  growBlocks,
  insertBookings,
  insertClaims,
  insertCommands,
  insertEntries,
  insertKeys,
  leaveEntries,
  moveClaims,
  shrinkBlocks,
  updateEvents,
} from './write-statements.js'

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

/**
 * Writes a decided batch inside the caller's transaction, in one round trip.
 * @throws KeyConflictError where a concurrent batch of another line holds one of the keys; roll back and decide again
 * @throws Error where fewer rows were touched than the batch decided on: the rows and the counters disagree
 */
export async function writeBatch(client: pg.ClientBase, writes: BatchWrites): Promise<void> {
  const now = new Date(writes.nowMs)
  const pending: Promise<unknown>[] = []
  const run = (statement: Statement, expected: number, values: unknown[]): void => {
    if (expected > 0)
      pending.push(countOf(client, statement, values).then((count) => mustTouch(statement, expected, count)))
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
    .map(({ command }) => ({
      caller: command.caller,
      keyHash: command.keyHash as string,
      commandId: command.commandId,
    }))
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
