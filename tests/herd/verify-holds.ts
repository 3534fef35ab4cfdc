import { findOvertaken } from '../model/real-time-order.ts'
import type { Purchase } from './verify.ts'

/** What one buyer sent and received for `POST /book` of an event with holds. */
export interface HoldPurchase extends Purchase {
  jobId: string | undefined
  bookingId: string | undefined
  /** ISO 8601. */
  expiresAt: string | undefined
}

/** One `POST /confirm`. */
export interface Confirmation {
  userId: string
  bookingId: string
  sentAtMs: number
  /** ISO 8601, by the clock of this machine. Undefined if there was no answer. */
  answeredAt: string | undefined
  outcome: string | undefined
  jobId: string | undefined
}

/** An offer as a buyer read it from `GET /events/:eventId/me`. */
export interface Offer {
  userId: string
  standing: string
  bookingId: string | null
  offered: boolean | null
}

/** The rows of the event. Times are ms since 1970. */
export interface HoldRows {
  event: { total: number; available: number; held: number; waiting: number }
  bookings: HoldRow[]
  entries: { sequence: number; userId: string; status: string; leftAtMs: number | null }[]
  claims: { userId: string; kind: string; sequence: number }[]
  commands: {
    commandId: string
    type: string
    outcome: string
    position: number | null
    bookingSequence: number | null
  }[]
}

export interface HoldRow {
  sequence: number
  userId: string
  status: string
  promoted: boolean
  bookedAtMs: number
  /** When it ended; null if it is live. */
  endedAtMs: number | null
  expiresAtMs: number
  confirmedAtMs: number | null
}

export interface HoldRun {
  eventId: number
  tickets: number
  purchases: HoldPurchase[]
  confirmations: Confirmation[]
  offers: Offer[]
  rows: HoldRows
  /** The lists that staff read at the end. */
  listed: { bookings: { bookingId: string }[]; waiting: { userId: string }[] }
}

export interface HoldFindings {
  held: number
  offered: number
  confirmed: number
  lapsed: number
  waiting: number
  oversold: number
  outOfOrder: number
  /** Requests that got no outcome, or one that the rules do not allow. */
  lost: number
  /** The longest time from the deadline of a hold to its end, in seconds. */
  latestLapseS: number
  /** What is wrong, in words: the first 20. */
  problems: string[]
}

const MAX_PROBLEMS = 20

/** Compares every answer with the rows, and the rows with the rules of holds and offers. Pure. */
export function verifyHolds(run: HoldRun): HoldFindings {
  const { bookings, entries } = run.rows
  const confirmed = bookings.filter(({ status }) => status === 'confirmed')
  const lapsed = bookings.filter(({ status }) => status === 'expired')
  const oversold = mostAtOnce(bookings) - run.tickets
  const order = findWrongOrder(run)
  const lost = findLost(run)
  const problems = [
    ...(oversold > 0 ? [`${oversold} more tickets were taken at once than there are`] : []),
    ...order,
    ...lost,
    ...findWrongEnds(run),
    ...findWrongCounts(run),
  ]
  const lateMs = lapsed.map(({ endedAtMs, expiresAtMs }) => (endedAtMs ?? 0) - expiresAtMs)
  return {
    held: bookings.filter(({ promoted }) => !promoted).length,
    offered: bookings.filter(({ promoted }) => promoted).length,
    confirmed: confirmed.length,
    lapsed: lapsed.length,
    waiting: entries.filter(({ status }) => status === 'waiting').length,
    oversold: Math.max(0, oversold),
    outOfOrder: order.length,
    lost: lost.length,
    latestLapseS: Math.round(Math.max(0, ...lateMs)) / 1000,
    problems: problems.slice(0, MAX_PROBLEMS),
  }
}

/**
 * The most tickets that were held or booked at the same time. A ticket that went on to the next
 * person in one transaction was never taken twice.
 */
function mostAtOnce(bookings: HoldRow[]): number {
  const steps = bookings.flatMap(({ bookedAtMs, endedAtMs }) => [
    { atMs: bookedAtMs, by: 1 },
    ...(endedAtMs === null ? [] : [{ atMs: endedAtMs, by: -1 }]),
  ])
  steps.sort((a, b) => a.atMs - b.atMs || a.by - b.by)
  let taken = 0
  let most = 0
  for (const { by } of steps) {
    taken += by
    most = Math.max(most, taken)
  }
  return most
}

/**
 * Nobody is overtaken: requests are decided in the order in which they were accepted, offers go to
 * the list in its order, and nobody gets a ticket past it.
 */
function findWrongOrder({ purchases, rows }: HoldRun): string[] {
  const { bookings, entries } = rows
  const asked = [...bookings.filter(({ promoted }) => !promoted), ...entries].sort(
    (a, b) => a.sequence - b.sequence,
  )
  const placeOf = new Map(asked.map(({ userId }, place) => [userId, place]))
  const decided = purchases.flatMap(({ userId, sentAtMs, acceptedAtMs }) => {
    const place = placeOf.get(userId)
    return place === undefined ? [] : { userId, place, sentAtMs, answeredAtMs: acceptedAtMs }
  })
  const faults = findOvertaken(decided).map(
    ({ overtaken, by }) =>
      `${by.userId} sent its request after ${overtaken.userId} was accepted, and was decided first`,
  )

  const offers = bookings.filter(({ promoted }) => promoted)
  offers.forEach((offer, index) => {
    const next = entries[index]
    if (next?.userId !== offer.userId)
      faults.push(`offer ${index + 1} went to ${offer.userId} instead of ${next?.userId}`)
  })
  entries.forEach(({ userId, status }, index) => {
    const expected = index < offers.length ? 'promoted' : 'waiting'
    if (status !== expected) faults.push(`entry ${index + 1}, ${userId}, is ${status}`)
  })

  // The first entry that was still on the list when each hold began.
  let first = 0
  for (const { userId, promoted, sequence, bookedAtMs } of bookings) {
    if (promoted) continue
    while (first < entries.length && (entries[first]?.leftAtMs ?? Infinity) <= bookedAtMs) first++
    const head = entries[first]
    if (head !== undefined && head.sequence < sequence)
      faults.push(`${userId} got a ticket while ${head.userId} was on the waiting list`)
  }
  return faults
}

/** Every request has an outcome, and the answer is what the database has. */
function findLost({ eventId, purchases, confirmations, offers, rows }: HoldRun): string[] {
  const stored = new Map(rows.commands.map((row) => [row.commandId, row]))
  const faults: string[] = []
  const compare = (
    { userId, jobId, outcome }: HoldPurchase | Confirmation,
    type: string,
    members: { bookingId?: string | undefined; position?: number | undefined },
  ): void => {
    const row = stored.get(jobId ?? '')
    if (outcome === undefined || row === undefined) {
      faults.push(
        `${type} of ${userId}: ${outcome ?? 'no answer'}, and ${row?.outcome ?? 'no row'}`,
      )
      return
    }
    const rowId = row.bookingSequence === null ? undefined : `${eventId}-${row.bookingSequence}`
    if (
      row.type !== type ||
      row.outcome !== outcome ||
      (members.position ?? null) !== row.position ||
      (rowId !== undefined && rowId !== members.bookingId)
    )
      faults.push(`${type} of ${userId} was answered ${outcome}, but ${jobId} is ${row.outcome}`)
  }

  for (const purchase of purchases) {
    compare(purchase, 'book', purchase)
    if (purchase.outcome !== 'held' && purchase.outcome !== 'waiting')
      faults.push(`book of ${purchase.userId} was answered ${purchase.outcome}`)
  }
  const holdOf = new Map(rows.bookings.map((row) => [`${eventId}-${row.sequence}`, row]))
  for (const { userId, outcome, bookingId, expiresAt } of purchases) {
    if (outcome !== 'held') continue
    const row = holdOf.get(bookingId ?? '')
    if (row?.userId !== userId || row.expiresAtMs !== Date.parse(expiresAt ?? ''))
      faults.push(`the hold of ${userId}, ${bookingId} until ${expiresAt}, is not stored`)
  }
  for (const { userId, standing, bookingId, offered } of offers) {
    const row = holdOf.get(bookingId ?? '')
    if (standing === 'held' && (row?.userId !== userId || row.promoted !== offered))
      faults.push(`${userId} read an offer ${bookingId} that is not stored`)
  }
  for (const confirmation of confirmations) {
    const { userId, bookingId, outcome, answeredAt = '' } = confirmation
    compare(confirmation, 'confirm', { bookingId })
    const row = holdOf.get(bookingId)
    if (outcome === 'confirmed' && row?.status !== 'confirmed')
      faults.push(`${userId} confirmed ${bookingId}, which is ${row?.status}`)
    // A hold is promised until its deadline.
    if (outcome !== 'confirmed' && row !== undefined && Date.parse(answeredAt) < row.expiresAtMs)
      faults.push(`${userId} was refused ${bookingId} before its deadline: ${outcome}`)
  }
  const asked = new Set(confirmations.map(({ bookingId }) => bookingId))
  for (const [bookingId, { userId, status }] of holdOf)
    if (status === 'confirmed' && !asked.has(bookingId))
      faults.push(`${userId} has the booking ${bookingId}, which nobody confirmed`)
  return faults
}

/** A hold lapses at its deadline or later, and never once it is confirmed. */
function findWrongEnds({ rows }: HoldRun): string[] {
  return rows.bookings.flatMap(({ sequence, status, endedAtMs, expiresAtMs, confirmedAtMs }) => {
    if (status === 'expired' && (endedAtMs ?? 0) >= expiresAtMs && confirmedAtMs === null) return []
    if (status === 'confirmed' && endedAtMs === null && confirmedAtMs !== null) return []
    return [`booking ${sequence} is ${status}, with the deadline ${expiresAtMs}, end ${endedAtMs}`]
  })
}

/** Every ticket that somebody would confirm is confirmed, and counters, claims and lists agree. */
function findWrongCounts({ eventId, tickets, rows, listed }: HoldRun): string[] {
  const { event, bookings, entries, claims } = rows
  const confirmed = bookings.filter(({ status }) => status === 'confirmed')
  const waiting = entries.filter(({ status }) => status === 'waiting')
  const faults: string[] = []
  const expectEqual = (what: string, found: unknown, expected: unknown): void => {
    if (found !== expected) faults.push(`${what}: ${found} instead of ${expected}`)
  }
  if (waiting.length > 0)
    expectEqual('confirmed bookings while people wait', confirmed.length, tickets)
  expectEqual('tickets of the event', event.total, tickets)
  expectEqual('free tickets', event.available, tickets - confirmed.length)
  expectEqual('held tickets', event.held, 0)
  expectEqual('entries on the waiting list', event.waiting, waiting.length)
  const nameOf = (kind: string, { userId, sequence }: { userId: string; sequence: number }) =>
    `${kind} ${sequence} of ${userId}`
  expectEqual(
    'claims',
    claims
      .map((claim) => nameOf(claim.kind, claim))
      .sort()
      .join(),
    [
      ...confirmed.map((row) => nameOf('booking', row)),
      ...waiting.map((row) => nameOf('waiting', row)),
    ]
      .sort()
      .join(),
  )
  expectEqual(
    'the list of bookings',
    listed.bookings.map(({ bookingId }) => bookingId).join(),
    confirmed.map(({ sequence }) => `${eventId}-${sequence}`).join(),
  )
  expectEqual(
    'the waiting list',
    listed.waiting.map(({ userId }) => userId).join(),
    waiting.map(({ userId }) => userId).join(),
  )
  return faults.map((fault) => fault.slice(0, 300))
}
