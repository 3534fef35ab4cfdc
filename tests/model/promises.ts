import type { NaiveClaim, NaiveEvent, NaiveModel } from './naive-model.ts'
import type { EventRows, RowStore } from './row-store.ts'

/** A promise does not hold. */
export class BrokenPromiseError extends Error {
  override name = 'BrokenPromiseError'
}

/**
 * Checks the rows of some events against the promises and against the naive model.
 * @param lastSequenceBefore the last sequence number that each event had used before
 * @throws BrokenPromiseError for the first broken promise
 */
export function checkPromises(
  store: RowStore,
  model: NaiveModel,
  eventIds: Iterable<number>,
  lastSequenceBefore: number,
): void {
  must(store.commands.size === model.outcomes.size, 'each command has one stored outcome')
  for (const eventId of eventIds) {
    const rows = store.events.get(eventId)
    if (rows === undefined) continue
    try {
      checkEvent(rows, model.events.get(eventId) as NaiveEvent, lastSequenceBefore)
    } catch (error) {
      throw new BrokenPromiseError(`event ${eventId}: ${(error as Error).message}`)
    }
  }
}

function checkEvent(rows: EventRows, expected: NaiveEvent, lastSequenceBefore: number): void {
  const { totalTickets, availableTickets, waitingCount, lastSequence, waitlistHeadSequence } =
    rows.row
  const booked: NaiveClaim[] = []
  const waiting: NaiveClaim[] = []
  const promoted: string[] = []
  const leftByPromotion: string[] = []
  for (const [sequence, { userId, promoted: isPromoted, status }] of ascending(rows.bookings)) {
    if (status === 'confirmed')
      booked.push({ userId, kind: 'booking', sequence, promoted: isPromoted })
    if (isPromoted) promoted.push(userId)
  }
  for (const [sequence, { userId, status }] of ascending(rows.entries)) {
    if (status === 'waiting') waiting.push({ userId, kind: 'waiting', sequence, promoted: false })
    if (status === 'promoted') leftByPromotion.push(userId)
  }

  must(booked.length <= totalTickets, 'there are at most as many bookings as tickets')
  must(
    waiting.length === 0 || booked.length === totalTickets,
    'no ticket is free while the waiting list has entries',
  )
  must(same(booked, expected.booked, isSameClaim), 'bookings are in the order of decision')
  must(same(waiting, expected.waiting, isSameClaim), 'the waiting list is in the order of decision')
  must(
    same(promoted, leftByPromotion, (a, b) => a === b),
    'entries are promoted in order',
  )
  must(
    availableTickets === totalTickets - booked.length,
    'available tickets are those that are not booked',
  )
  must(waitingCount === waiting.length, 'the waiting count is the number of rows')
  must(
    lastSequence === lastSequenceBefore + expected.made.length,
    'each booking and each entry used one sequence number',
  )
  must(
    rows.bookings.size + rows.entries.size === lastSequence - lastSequenceBefore,
    'no sequence number is used twice',
  )
  must(
    waiting[0] === undefined || waiting[0].sequence >= waitlistHeadSequence,
    'no entry waits before the head',
  )
  checkClaims(rows, booked, waiting)
  checkBlocks(rows, waiting)
}

function checkClaims({ claims }: EventRows, booked: NaiveClaim[], waiting: NaiveClaim[]): void {
  must(claims.size === booked.length + waiting.length, 'each user has one claim')
  const holds = (kind: string) => (holder: NaiveClaim) => {
    const claim = claims.get(holder.userId)
    return claim?.kind === kind && claim.sequence === holder.sequence
  }
  must(
    booked.every(holds('booking')) && waiting.every(holds('waiting')),
    'claims refer to bookings and entries',
  )
}

function checkBlocks({ blocks }: EventRows, waiting: NaiveClaim[]): void {
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

function isSameClaim(a: NaiveClaim, b: NaiveClaim): boolean {
  return a.userId === b.userId && a.sequence === b.sequence && a.promoted === b.promoted
}

function same<T>(a: T[], b: T[], isSame: (a: T, b: T) => boolean): boolean {
  return a.length === b.length && a.every((one, i) => isSame(one, b[i] as T))
}

function must(holds: boolean, promise: string): void {
  if (!holds) throw new BrokenPromiseError(`broken promise: ${promise}`)
}
