import type { Command, Outcome } from '@ticket-line/shared'
import type pg from 'pg'
import type { EventRow } from './load.js'
import { arrayOf, type RoundTrip, roundTrip, type Statement } from './statement.js'
import {
  cancelBookings,
  deleteClaims,
  deleteExpiredKeys,
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
  bookingsAdded: {
    eventId: number
    sequence: number
    userId: string
    promoted: boolean
    canceled: boolean
  }[]
  bookingsCanceled: RowKey[]
  entriesAdded: { eventId: number; sequence: number; userId: string; status: EntryStatus }[]
  entriesLeft: (RowKey & { status: EntryStatus })[]
  /** Net change of the number that waits in each stretch of 1,024 sequence numbers. */
  blocks: { eventId: number; block: number; delta: number }[]
  decided: { command: Command; outcome: Outcome; ownsKey: boolean; acceptedAtMs: number }[]
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

/**
 * Writes a decided batch and commits it, in one round trip. Nothing is left to be looked at between the two: a row that is
 * missing, taken or out of bounds fails its statement, and PostgreSQL then rolls back instead of committing.
 *
 * @throws unique violation where a concurrent batch of another line holds one of the idempotency keys: decide again
 * @throws division by zero (22012) where fewer rows were touched than decided on: rows and counters disagree
 */
export async function commitBatch(client: pg.ClientBase, writes: BatchWrites): Promise<void> {
  const results = await roundTrip(client, (trip) => [
    ...sendWrites(trip, writes),
    trip.control('COMMIT'),
  ])
  if (results.at(-1) !== 'COMMIT') throw new Error(`the transaction ended with ${results.at(-1)}`)
}

/** Writes a decided batch and leaves its transaction open. @throws as {@link commitBatch} does */
export async function writeBatch(client: pg.ClientBase, writes: BatchWrites): Promise<void> {
  await roundTrip(client, (trip) => sendWrites(trip, writes))
}

function sendWrites(trip: RoundTrip, writes: BatchWrites): Promise<unknown>[] {
  const pending: Promise<unknown>[] = []
  const run: Run = (statement, rows, columns) => {
    if (rows.length > 0) pending.push(trip.rows(statement, columns()))
  }
  const now = new Date(writes.nowMs).toISOString()
  sendKeys(writes, run)
  sendEvents(writes, run)
  sendClaims(writes, run)
  sendBookings(writes, run, now)
  sendEntries(writes, run, now)
  sendCommands(writes, run, now)
  return pending
}

type Run = (statement: Statement, rows: readonly unknown[], columns: () => unknown[]) => void

function sendKeys(writes: BatchWrites, run: Run): void {
  // In one order for everybody, so that two batches wait for each other instead of dying in a deadlock.
  const owners = writes.decided
    .filter((row) => row.ownsKey)
    .map(({ command, acceptedAtMs }) => ({
      caller: command.caller,
      keyHash: command.keyHash as string,
      commandId: command.commandId,
      acceptedAtMs,
    }))
    .sort((a, b) => compare(a.caller, b.caller) || compare(a.keyHash, b.keyHash))
  const callers = () => arrayOf(owners.map((row) => row.caller))
  const hashes = () => arrayOf(owners.map((row) => row.keyHash))
  const accepted = () => arrayOf(owners.map((row) => row.acceptedAtMs))
  run(deleteExpiredKeys, owners, () => [callers(), hashes(), accepted()])
  run(insertKeys, owners, () => [
    callers(),
    hashes(),
    arrayOf(owners.map((row) => row.commandId)),
    accepted(),
  ])
}

function sendEvents({ events, blocks }: BatchWrites, run: Run): void {
  run(updateEvents, events, () => [
    arrayOf(events.map((row) => row.eventId)),
    arrayOf(events.map((row) => row.availableTickets)),
    arrayOf(events.map((row) => row.waitingCount)),
    arrayOf(events.map((row) => row.lastSequence)),
    arrayOf(events.map((row) => row.waitlistHeadSequence)),
    events.length,
  ])
  const grown = blocks.filter((row) => row.delta > 0)
  const shrunk = blocks.filter((row) => row.delta < 0)
  const columns = (rows: typeof blocks): string[] => [
    arrayOf(rows.map((row) => row.eventId)),
    arrayOf(rows.map((row) => row.block)),
    arrayOf(rows.map((row) => row.delta)),
  ]
  run(growBlocks, grown, () => columns(grown))
  run(shrinkBlocks, shrunk, () => [...columns(shrunk), shrunk.length])
}

function sendClaims({ claimsAdded, claimsMoved, claimsRemoved }: BatchWrites, run: Run): void {
  const columns = (rows: ClaimWrite[]): string[] => [
    arrayOf(rows.map((row) => row.eventId)),
    arrayOf(rows.map((row) => row.userId)),
    arrayOf(rows.map((row) => row.kind)),
    arrayOf(rows.map((row) => row.sequence)),
  ]
  run(insertClaims, claimsAdded, () => columns(claimsAdded))
  run(moveClaims, claimsMoved, () => [...columns(claimsMoved), claimsMoved.length])
  run(deleteClaims, claimsRemoved, () => [
    arrayOf(claimsRemoved.map((row) => row.eventId)),
    arrayOf(claimsRemoved.map((row) => row.userId)),
    claimsRemoved.length,
  ])
}

function sendBookings(
  { bookingsAdded, bookingsCanceled }: BatchWrites,
  run: Run,
  now: string,
): void {
  run(insertBookings, bookingsAdded, () => [
    ...keysOf(bookingsAdded),
    arrayOf(bookingsAdded.map((row) => row.userId)),
    arrayOf(bookingsAdded.map((row) => row.promoted)),
    arrayOf(bookingsAdded.map((row) => row.canceled)),
    now,
  ])
  run(cancelBookings, bookingsCanceled, () => [
    ...keysOf(bookingsCanceled),
    now,
    bookingsCanceled.length,
  ])
}

function sendEntries({ entriesAdded, entriesLeft }: BatchWrites, run: Run, now: string): void {
  run(insertEntries, entriesAdded, () => [
    ...keysOf(entriesAdded),
    arrayOf(entriesAdded.map((row) => row.userId)),
    arrayOf(entriesAdded.map((row) => row.status)),
    now,
  ])
  run(leaveEntries, entriesLeft, () => [
    ...keysOf(entriesLeft),
    arrayOf(entriesLeft.map((row) => row.status)),
    now,
    entriesLeft.length,
  ])
}

function sendCommands({ decided }: BatchWrites, run: Run, now: string): void {
  run(insertCommands, decided, () => [
    arrayOf(decided.map((row) => row.command.commandId)),
    arrayOf(decided.map((row) => row.command.type)),
    arrayOf(decided.map((row) => row.command.eventId)),
    arrayOf(decided.map((row) => row.command.userId)),
    arrayOf(decided.map((row) => row.command.caller)),
    arrayOf(decided.map((row) => row.outcome.outcome)),
    arrayOf(decided.map((row) => row.outcome.position ?? null)),
    arrayOf(decided.map((row) => sequenceOf(row.outcome.bookingId))),
    arrayOf(decided.map((row) => row.outcome.promotedUserId ?? null)),
    arrayOf(decided.map((row) => row.outcome.replayOf ?? null)),
    arrayOf(decided.map((row) => row.acceptedAtMs)),
    arrayOf(decided.map((row) => row.command.keyHash ?? null)),
    now,
  ])
}

function keysOf(rows: RowKey[]): [string, string] {
  return [arrayOf(rows.map((row) => row.eventId)), arrayOf(rows.map((row) => row.sequence))]
}

function sequenceOf(bookingId: string | undefined): number | null {
  return bookingId === undefined ? null : Number(bookingId.slice(bookingId.lastIndexOf('-') + 1))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
