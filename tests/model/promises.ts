import { isDeepStrictEqual } from 'node:util'
import type { LoggedChange } from '@ticket-line/shared'
import type { NaiveClaim, NaiveEvent, NaiveModel } from './naive-model.ts'
import type { BookingRow, EventRows, RowStore } from './row-store.ts'

/** A promise does not hold. */
export class BrokenPromiseError extends Error {
  override name = 'BrokenPromiseError'
}

/**
 * Checks the rows of some events against the promises and against the naive model.
 * @param lastSequenceBefore the last sequence number that each event had used before
 * @param nowMs the time of the last decision
 * @throws BrokenPromiseError for the first broken promise
 */
export function checkPromises(
  store: RowStore,
  model: NaiveModel,
  eventIds: Iterable<number>,
  lastSequenceBefore: number,
  nowMs: number,
): void {
  must(store.commands.size === model.outcomes.size, 'each command has one stored outcome')
  for (const eventId of eventIds) {
    const rows = store.events.get(eventId)
    if (rows === undefined) continue
    try {
      checkEvent(rows, model.events.get(eventId) as NaiveEvent, lastSequenceBefore, nowMs)
    } catch (error) {
      throw new BrokenPromiseError(`event ${eventId}: ${(error as Error).message}`)
    }
  }
}

function checkEvent(
  rows: EventRows,
  expected: NaiveEvent,
  lastSequenceBefore: number,
  nowMs: number,
): void {
  const { lastSequence } = rows.row
  const tickets: Numbered<BookingRow>[] = []
  const waiting: Numbered<{ userId: string }>[] = []
  const promoted: string[] = []
  const leftByPromotion: string[] = []
  let lastPromoted = 0
  for (const [sequence, row] of ascending(rows.bookings)) {
    if (row.status === 'confirmed' || row.status === 'held') tickets.push({ sequence, ...row })
    if (row.promoted) promoted.push(row.userId)
    must(
      row.status !== 'expired' || (row.endedAtMs as number) >= (row.expiresAtMs as number),
      'no hold lapses before its deadline',
    )
  }
  for (const [sequence, { userId, status }] of ascending(rows.entries)) {
    if (status === 'waiting') waiting.push({ sequence, userId })
    if (status !== 'promoted') continue
    leftByPromotion.push(userId)
    lastPromoted = sequence
  }

  must(
    same(promoted, leftByPromotion, (a, b) => a === b),
    'entries are promoted in order',
  )
  must(
    waiting[0] === undefined || waiting[0].sequence > lastPromoted,
    'nobody is promoted before somebody who has waited longer',
  )
  checkCirculation(rows, tickets, waiting.length, nowMs)
  checkDue(rows, tickets, expected, nowMs)
  must(
    lastSequence === lastSequenceBefore + expected.made.length,
    'each booking and each entry used one sequence number',
  )
  must(
    rows.bookings.size + rows.entries.size === lastSequence - lastSequenceBefore,
    'no sequence number is used twice',
  )
  checkMade(rows, expected)
  checkClaims(rows, tickets, waiting)
  checkLog(rows, expected)
  checkBlocks(rows, waiting)
}

type Numbered<Row> = Row & { sequence: number }

/** Checks the counters of the event: which tickets are booked, held, free and withheld. */
function checkCirculation(
  { row }: EventRows,
  tickets: BookingRow[],
  waiting: number,
  nowMs: number,
): void {
  const { capacity, totalTickets, availableTickets, heldCount, waitingCount, canceledAtMs } = row
  must(tickets.length <= totalTickets, 'there are at most as many bookings and holds as tickets')
  must(
    availableTickets === totalTickets - tickets.length,
    'available tickets are those that are neither booked nor held',
  )
  must(
    heldCount === tickets.filter(({ status }) => status === 'held').length,
    'the number of held tickets is the number of rows',
  )
  must(waitingCount === waiting, 'the waiting count is the number of rows')
  must(
    waiting === 0 || availableTickets === 0,
    'no ticket is free while the waiting list has entries',
  )
  must(
    availableTickets === 0 || (totalTickets <= capacity && canceledAtMs === null),
    'free tickets leave an event that shrinks or is canceled',
  )
  const withheld = canceledAtMs === null ? Math.max(0, capacity - totalTickets) : 0
  must(withheld === 0 || waiting > 0, 'tickets are withheld only from a waiting list')
  must(
    withheld === 0 || !isPromoting(row, nowMs) || isDue(row, nowMs),
    'withheld tickets go to the waiting list as soon as promotion is allowed',
  )
}

function isPromoting(row: EventRows['row'], nowMs: number): boolean {
  const { promoting, paused, opensAtMs, closesAtMs } = row
  const isInWindow =
    (opensAtMs === null || opensAtMs <= nowMs) && (closesAtMs === null || nowMs < closesAtMs)
  return promoting && !paused && isInWindow
}

function isDue({ dueAtMs }: EventRows['row'], nowMs: number): boolean {
  return dueAtMs !== null && dueAtMs <= nowMs
}

function checkDue(
  { row }: EventRows,
  tickets: BookingRow[],
  expected: NaiveEvent,
  nowMs: number,
): void {
  const dueAtMs = row.dueAtMs ?? Number.POSITIVE_INFINITY
  for (const { status, expiresAtMs } of tickets)
    must(
      status !== 'held' || dueAtMs <= Math.max(nowMs, expiresAtMs as number),
      'a settle is due when a hold lapses',
    )
  must(dueAtMs <= expected.dueAtMs(nowMs), 'no settle is due too late')
}

/** Checks that the rows have everything that was ever made, in the order of decision. */
function checkMade({ row, bookings, entries }: EventRows, expected: NaiveEvent): void {
  const isAsMade = (claim: NaiveClaim): boolean => {
    const { sequence, userId, status } = claim
    if (claim.kind === 'waiting') {
      const entry = entries.get(sequence)
      return entry?.userId === userId && entry.status === status
    }
    const booking = bookings.get(sequence)
    return (
      booking?.userId === userId &&
      booking.status === status &&
      booking.promoted === claim.promoted &&
      booking.granted === claim.granted &&
      booking.heldAtMs === (claim.hold?.heldAtMs ?? null) &&
      booking.holdSeconds === (claim.hold?.seconds ?? null) &&
      booking.expiresAtMs === (claim.hold?.expiresAtMs ?? null) &&
      booking.isReminded === (claim.hold?.isReminded ?? false) &&
      booking.endedAtMs === (claim.endedAtMs ?? null)
    )
  }
  for (const claim of expected.made) {
    if (isAsMade(claim)) continue
    const stored = bookings.get(claim.sequence) ?? entries.get(claim.sequence)
    must(false, `${JSON.stringify(claim)} is stored as ${JSON.stringify(stored)}`)
  }
  const { capacity, availableTickets, waitingCount, canceledAtMs } = row
  const view = expected.view()
  must(capacity === expected.totalTickets, 'the event has the size of the model')
  must(availableTickets === view.availableTickets, 'as many tickets are free as in the model')
  must(waitingCount === view.waitingListCount, 'the waiting list is as long as in the model')
  must(canceledAtMs === expected.canceledAtMs, 'the event is canceled as in the model')
  must(row.version === view.version, 'the version is that of the model')
}

function checkClaims(
  { row, claims, bookings }: EventRows,
  tickets: Numbered<BookingRow>[],
  waiting: Numbered<{ userId: string }>[],
): void {
  const isClaim = (kind: string, { sequence, userId }: Numbered<{ userId: string }>): boolean => {
    const claim = claims.get(userId)
    return claim?.kind === kind && claim.sequence === sequence
  }
  for (const ticket of tickets)
    must(
      isClaim(ticket.status === 'held' ? 'held' : 'booking', ticket),
      'claims refer to bookings and holds',
    )
  for (const entry of waiting) must(isClaim('waiting', entry), 'claims refer to entries')
  let lapsed = 0
  for (const [userId, { kind, sequence }] of claims) {
    if (kind !== 'lapsed') continue
    lapsed += 1
    const booking = bookings.get(sequence)
    must(
      booking?.status === 'expired' && booking.userId === userId,
      'lapsed claims refer to holds that expired',
    )
  }
  must(claims.size === tickets.length + waiting.length + lapsed, 'each user has one claim')
  const head = Math.min(
    waiting[0]?.sequence ?? Number.POSITIVE_INFINITY,
    (row.canceledAtMs === null ? undefined : tickets[0]?.sequence) ?? Number.POSITIVE_INFINITY,
  )
  must(head >= row.waitlistHeadSequence, 'no entry waits before the head')
}

/** A log is only ever added to, so each check goes on where the last one ended. */
interface CheckedLog {
  /** How many changes were compared with the model. */
  compared: number
  /** The last change of each user. */
  last: Map<string, LoggedChange>
}

const checkedLogs = new WeakMap<EventRows, CheckedLog>()

/** Checks that the log has every change of the model, and that it adds up to the claims. */
function checkLog(rows: EventRows, { log: expected }: NaiveEvent): void {
  const { row, log } = rows
  const checked = checkedLogs.get(rows) ?? { compared: 0, last: new Map() }
  checkedLogs.set(rows, checked)
  for (; checked.compared < Math.max(log.length, expected.length); checked.compared++) {
    const [change, wanted] = [log[checked.compared], expected[checked.compared]]
    if (!isDeepStrictEqual(change, wanted))
      must(false, `${JSON.stringify(wanted)} is logged as ${JSON.stringify(change)}`)
    if (change?.userId != null) checked.last.set(change.userId, change)
  }
  must(row.lastChange === log.length, 'the last number of the log is its length')
  checkFold(rows, checked)
}

/** Checks that the last change of each user says what the user has. */
function checkFold({ claims, bookings }: EventRows, { last }: CheckedLog): void {
  let live = 0
  for (const [userId, { type, sequence, data }] of last) {
    const kind = standingAfter(type, data)
    const claim = claims.get(userId)
    if (kind === undefined) {
      must(
        claim === undefined || claim.kind === 'lapsed',
        'a user without a claim has none by the log',
      )
      continue
    }
    live += 1
    must(claim?.kind === kind && claim.sequence === sequence, 'the log adds up to the claims')
    must(
      kind !== 'held' || bookings.get(sequence as number)?.expiresAtMs === data?.expiresAtMs,
      'the log adds up to the deadlines of holds',
    )
  }
  let claimed = 0
  for (const { kind } of claims.values()) if (kind !== 'lapsed') claimed += 1
  must(live === claimed, 'the log has all claims')
}

/** What a user has after a change. */
function standingAfter(
  type: LoggedChange['type'],
  data: LoggedChange['data'],
): 'booking' | 'held' | 'waiting' | undefined {
  switch (type) {
    case 'waitlist.joined':
      return 'waiting'
    case 'booking.confirmed':
      return 'booking'
    case 'waitlist.promoted':
      return data?.expiresAtMs === undefined ? 'booking' : 'held'
    case 'booking.held':
    case 'booking.extended':
    case 'booking.expiring':
      return 'held'
    default:
      return undefined
  }
}

function checkBlocks({ blocks }: EventRows, waiting: Numbered<{ userId: string }>[]): void {
  const counted = new Map<number, number>()
  for (const { sequence } of waiting) {
    const block = Math.floor(sequence / 1024)
    counted.set(block, (counted.get(block) ?? 0) + 1)
  }
  for (const [block, count] of counted) must(blocks.get(block) === count, 'blocks count their rows')
  for (const [block, count] of blocks)
    must((counted.get(block) ?? 0) === count, 'blocks count their rows')
}

/** Iterates over rows, which must be in the order of their sequence numbers. */
function* ascending<V>(table: Map<number, V>): Iterable<[number, V]> {
  let last = Number.NEGATIVE_INFINITY
  for (const row of table) {
    must(row[0] > last, 'rows are written in order')
    last = row[0]
    yield row
  }
}

function same<T>(a: T[], b: T[], isSame: (a: T, b: T) => boolean): boolean {
  return a.length === b.length && a.every((one, i) => isSame(one, b[i] as T))
}

function must(holds: boolean, promise: string): void {
  if (!holds) throw new BrokenPromiseError(`broken promise: ${promise}`)
}
