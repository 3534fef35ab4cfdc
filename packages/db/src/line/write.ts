import type {
  AcceptedCommand,
  EventDetails,
  LoggedChange,
  Outcome,
  SaleRules,
} from '@ticket-line/shared'
import { settingsJson } from '../events/setting-columns.js'
import type { bookings, ClaimKind, waitlistEntries } from '../schema.js'
import { arrayOf, sparseArrayOf } from './array-literal.js'
import { dataOf } from './columns.js'
import type { EventRow } from './load.js'
import type { LineConnection, Send, Statement } from './transaction.js'
import {
  changeBookings,
  deleteClaims,
  deleteExpiredKeys,
  growBlocks,
  insertBooked,
  insertBookings,
  insertChanges,
  insertClaims,
  insertCommands,
  insertEntries,
  insertHolds,
  insertKeys,
  leaveEntries,
  moveClaims,
  shrinkBlocks,
  updateEvents,
  updateSettings,
} from './write-statements.js'

/** Everything that a decided batch changes. One statement writes all rows of a kind. */
export interface BatchWrites {
  /** Rows of `events` after the batch, without settings. */
  events: EventRow[]
  /** Settings after the batch, of the events whose settings it changed. */
  settings: (SaleRules & EventDetails & { eventId: number })[]
  claimsAdded: ClaimWrite[]
  /** Claims that replace an earlier claim of the same user for the event. */
  claimsMoved: ClaimWrite[]
  claimsRemoved: { eventId: number; userId: string }[]
  bookingsAdded: BookingWrite[]
  bookingsChanged: BookingChange[]
  entriesAdded: { eventId: number; sequence: number; userId: string; status: EntryStatus }[]
  /** Entries that left the waiting list, with their last status. */
  entriesLeft: (RowKey & { status: EntryStatus })[]
  /** By how much the number of waiting entries changes in each block of 1,024 sequence numbers. */
  blocks: { eventId: number; block: number; delta: number }[]
  /** The rows of the change log, in order of decision. */
  log: Omit<LoggedChange, 'atMs'>[]
  /** The commands, in order of decision. */
  decided: DecidedWrite[]
  /** When the batch was decided, ms since 1970. */
  nowMs: number
}

/** A command that the batch decided, and what is stored of it. */
export interface DecidedWrite {
  command: AcceptedCommand
  outcome: Outcome
  /** True if the command is the first with its idempotency key. */
  ownsKey: boolean
  /**
   * Set if the command booked a free ticket for a user who had no row in `claims`, and the batch
   * then left the booking as it is: its number, and the number of its change. One statement writes
   * the command, the claim, the booking and the change, so the other members of `BatchWrites` do
   * not contain them.
   */
  booked: { sequence: number; no: number } | undefined
}

export interface ClaimWrite {
  eventId: number
  userId: string
  kind: ClaimKind
  sequence: number
}

export type BookingStatus = (typeof bookings.$inferSelect)['status']

/** A booking or hold that began in the batch, as it is after the batch. */
export interface BookingWrite extends RowKey {
  userId: string
  promoted: boolean
  granted: boolean
  status: BookingStatus
  /** First length of the hold, in seconds; null if it began as a booking. It began at `nowMs`. */
  holdSeconds: number | null
  /** Ms since 1970; null if it began as a booking. */
  expiresAtMs: number | null
  /** True if a hold became a booking in the batch. */
  confirmed: boolean
}

/** What the batch did to a booking or hold that began earlier. */
export interface BookingChange extends RowKey {
  /** Its status before the batch. */
  was: BookingStatus
  status: BookingStatus
  /** Its new deadline, ms since 1970; null if it keeps the old one. */
  expiresAtMs: number | null
  /** True if it became a booking in the batch, even if the batch then ended it. */
  confirmed: boolean
  /** True if it was logged as expiring. */
  reminded: boolean
}

export type EntryStatus = (typeof waitlistEntries.$inferSelect)['status']

export interface RowKey {
  eventId: number
  sequence: number
}

/**
 * Thrown if a statement wrote more or fewer rows than it was given, because rows and counters
 * disagree.
 */
export class RowCountError extends Error {
  override name = 'RowCountError'
}

/** A statement of a batch, and the rows it writes. */
interface Write {
  statement: Statement
  /** One value per parameter. */
  values: unknown[]
  /** How many rows it must write; undefined if that need not be checked. */
  rowCount: number | undefined
}

/**
 * Statements whose row counts need not be checked: inserts, which write all their rows or fail; the
 * update of events, which the transaction has locked; and a deletion of rows that may be missing.
 */
const UNCHECKED: ReadonlySet<Statement> = new Set([
  updateEvents,
  insertBooked,
  insertClaims,
  insertBookings,
  insertHolds,
  insertEntries,
  insertCommands,
  insertChanges,
  insertKeys,
  growBlocks,
  deleteExpiredKeys,
])

/**
 * Writes a decided batch in one round trip. If no row count needs a check, the statements share the
 * round trip of COMMIT, and COMMIT throws the errors of the driver.
 *
 * @throws RowCountError if a row to change is missing
 * @throws the driver's error for a unique violation if a concurrent batch of another line has
 * stored one of the idempotency keys: decide again
 */
export async function write(connection: LineConnection, writes: BatchWrites): Promise<void> {
  const all = writesOf(writes)
  const sendAll = (send: Send) => all.map(({ statement, values }) => send(statement, values))
  if (all.every(({ rowCount }) => rowCount === undefined)) {
    connection.sendLast(sendAll)
    return
  }
  const results = await connection.roundTrip(sendAll)
  for (const [i, { statement, rowCount }] of all.entries())
    if (rowCount !== undefined) requireRowCount(statement, results[i]?.rowCount, rowCount)
}

function requireRowCount(
  { name }: Statement,
  actual: number | null | undefined,
  expected: number,
): void {
  if (actual !== expected)
    throw new RowCountError(`${name} wrote ${actual} rows and should have written ${expected}`)
}

/** Adds a statement, unless there are no rows for it. `columns` returns one value per parameter. */
type Add = <Row>(statement: Statement, rows: Row[], columns: (rows: Row[]) => unknown[]) => void

function writesOf(writes: BatchWrites): Write[] {
  const all: Write[] = []
  const add: Add = (statement, rows, columns) => {
    if (rows.length === 0) return
    const rowCount = UNCHECKED.has(statement) ? undefined : rows.length
    all.push({ statement, values: columns(rows), rowCount })
  }
  const now = new Date(writes.nowMs).toISOString()
  addKeys(writes, add)
  addEvents(writes, add)
  addBooked(writes, add, now)
  addClaims(writes, add)
  addBookings(writes, add, now)
  addEntries(writes, add, now)
  addCommands(writes, add, now)
  addLog(writes, add, now)
  return all
}

function addKeys({ decided }: BatchWrites, add: Add): void {
  // All batches write keys in the same order. If two batches have the same keys, one waits for the
  // other instead of failing with a deadlock.
  const owners = decided
    .filter((row) => row.ownsKey)
    .map((row) => row.command)
    .sort((a, b) => compare(a.caller, b.caller) || compare(keyHashOf(a), keyHashOf(b)))
  add(deleteExpiredKeys, owners, (rows) => [
    arrayOf(rows.map((row) => row.caller)),
    arrayOf(rows.map(keyHashOf)),
    arrayOf(rows.map((row) => row.acceptedAtMs)),
  ])
  add(insertKeys, owners, (rows) => [
    arrayOf(rows.map((row) => row.caller)),
    arrayOf(rows.map(keyHashOf)),
    arrayOf(rows.map((row) => row.commandId)),
    arrayOf(rows.map((row) => row.requestHash ?? null)),
    arrayOf(rows.map((row) => row.acceptedAtMs)),
  ])
}

function addEvents({ events, settings, blocks }: BatchWrites, add: Add): void {
  add(updateEvents, events, (rows) => [
    arrayOf(rows.map((row) => row.eventId)),
    arrayOf(rows.map((row) => row.capacity)),
    arrayOf(rows.map((row) => row.totalTickets)),
    arrayOf(rows.map((row) => row.availableTickets)),
    arrayOf(rows.map((row) => row.heldCount)),
    arrayOf(rows.map((row) => row.waitingCount)),
    arrayOf(rows.map((row) => row.lastSequence)),
    arrayOf(rows.map((row) => row.waitlistHeadSequence)),
    arrayOf(rows.map((row) => row.dueAtMs)),
    arrayOf(rows.map((row) => row.canceledAtMs)),
    arrayOf(rows.map((row) => row.version)),
    arrayOf(rows.map((row) => row.lastChange)),
  ])
  add(updateSettings, settings, (rows) => [JSON.stringify(rows.map(settingsJson))])
  const columns = (rows: typeof blocks): string[] => [
    arrayOf(rows.map((row) => row.eventId)),
    arrayOf(rows.map((row) => row.block)),
    arrayOf(rows.map((row) => row.delta)),
  ]
  add(
    growBlocks,
    blocks.filter((row) => row.delta > 0),
    columns,
  )
  add(
    shrinkBlocks,
    blocks.filter((row) => row.delta < 0),
    columns,
  )
}

function addBooked({ decided }: BatchWrites, add: Add, now: string): void {
  const booked = decided.flatMap(({ command, booked }) =>
    booked === undefined ? [] : [{ command, ...booked }],
  )
  add(insertBooked, booked, (rows) => [
    arrayOf(rows.map((row) => row.command.eventId)),
    arrayOf(rows.map((row) => row.sequence)),
    arrayOf(rows.map((row) => row.no)),
    arrayOf(rows.map((row) => row.command.userId)),
    arrayOf(rows.map((row) => row.command.commandId)),
    sparseArrayOf(
      rows.map(({ command: { caller, userId } }) => (caller === userId ? null : caller)),
    ),
    sparseArrayOf(rows.map((row) => row.command.keyHash ?? null)),
    arrayOf(rows.map((row) => row.command.acceptedAtMs)),
    now,
  ])
}

function addClaims({ claimsAdded, claimsMoved, claimsRemoved }: BatchWrites, add: Add): void {
  const columns = (rows: ClaimWrite[]): string[] => [
    arrayOf(rows.map((row) => row.eventId)),
    arrayOf(rows.map((row) => row.userId)),
    arrayOf(rows.map((row) => row.kind)),
    arrayOf(rows.map((row) => row.sequence)),
  ]
  add(insertClaims, claimsAdded, columns)
  add(moveClaims, claimsMoved, columns)
  add(deleteClaims, claimsRemoved, (rows) => [
    arrayOf(rows.map((row) => row.eventId)),
    arrayOf(rows.map((row) => row.userId)),
  ])
}

function addBookings({ bookingsAdded, bookingsChanged }: BatchWrites, add: Add, now: string): void {
  const columns = (rows: BookingWrite[]): string[] => [
    ...keysOf(rows),
    arrayOf(rows.map((row) => row.userId)),
    arrayOf(rows.map((row) => row.status)),
    arrayOf(rows.map((row) => row.promoted)),
  ]
  add(
    insertBookings,
    bookingsAdded.filter((row) => row.holdSeconds === null),
    (rows) => [...columns(rows), arrayOf(rows.map((row) => row.granted)), now],
  )
  add(
    insertHolds,
    bookingsAdded.filter((row) => row.holdSeconds !== null),
    (rows) => [
      ...columns(rows),
      arrayOf(rows.map((row) => row.holdSeconds)),
      arrayOf(rows.map((row) => row.expiresAtMs)),
      arrayOf(rows.map((row) => row.confirmed)),
      now,
    ],
  )
  add(changeBookings, bookingsChanged, (rows) => [
    ...keysOf(rows),
    arrayOf(rows.map((row) => row.was)),
    arrayOf(rows.map((row) => row.status)),
    arrayOf(rows.map((row) => row.expiresAtMs)),
    arrayOf(rows.map((row) => row.confirmed)),
    arrayOf(rows.map((row) => row.reminded)),
    now,
  ])
}

function addEntries({ entriesAdded, entriesLeft }: BatchWrites, add: Add, now: string): void {
  add(insertEntries, entriesAdded, (rows) => [
    ...keysOf(rows),
    arrayOf(rows.map((row) => row.userId)),
    arrayOf(rows.map((row) => row.status)),
    now,
  ])
  add(leaveEntries, entriesLeft, (rows) => [
    ...keysOf(rows),
    arrayOf(rows.map((row) => row.status)),
    now,
  ])
}

function addCommands({ decided }: BatchWrites, add: Add, now: string): void {
  const others = decided.filter(({ booked }) => booked === undefined)
  add(insertCommands, others, (rows) => [
    arrayOf(rows.map((row) => row.command.commandId)),
    arrayOf(rows.map((row) => row.command.type)),
    arrayOf(rows.map((row) => row.command.eventId)),
    arrayOf(rows.map((row) => row.command.userId)),
    arrayOf(rows.map((row) => row.command.caller)),
    arrayOf(rows.map((row) => row.command.keyHash ?? null)),
    arrayOf(rows.map((row) => row.outcome.outcome)),
    arrayOf(rows.map((row) => row.outcome.position ?? null)),
    arrayOf(rows.map((row) => sequenceOf(row.outcome.bookingId))),
    arrayOf(rows.map((row) => row.outcome.promotedUserId ?? null)),
    arrayOf(rows.map((row) => dataOf(row.outcome))),
    arrayOf(rows.map((row) => row.outcome.replayOf ?? null)),
    arrayOf(rows.map((row) => row.command.acceptedAtMs)),
    now,
  ])
}

function addLog({ log }: BatchWrites, add: Add, now: string): void {
  add(insertChanges, log, (rows) => [
    arrayOf(rows.map((row) => row.eventId)),
    arrayOf(rows.map((row) => row.no)),
    arrayOf(rows.map((row) => row.type)),
    arrayOf(rows.map((row) => row.userId)),
    arrayOf(rows.map((row) => row.sequence)),
    arrayOf(rows.map((row) => row.actor)),
    arrayOf(rows.map((row) => row.commandId)),
    arrayOf(rows.map((row) => (row.data === null ? null : JSON.stringify(row.data)))),
    now,
  ])
}

/** The key hash of a command that owns its key. */
function keyHashOf({ keyHash }: AcceptedCommand): string {
  return keyHash as string
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
