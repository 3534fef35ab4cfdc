import { createNaiveEvent } from '../model/naive-model.ts'
import { findOvertaken } from '../model/real-time-order.ts'

/** What one buyer sent and received. Times are milliseconds of one clock. */
export interface Purchase {
  userId: string
  sentAtMs: number
  /** First answer, with an outcome or a 202: the booking's place in the line is fixed by then. */
  acceptedAtMs: number
  /** The answer with the outcome. */
  answeredAtMs: number
  /** Undefined if no outcome was received. */
  outcome: string | undefined
  /** Position in the waiting list at the decision, if the answer named it. */
  position: number | undefined
}

/** The lists of an event as staff read them, in their order. */
export interface EventLists {
  bookings: { userId: string; promoted: boolean; bookedAt: string }[]
  waiting: { userId: string; position: number; since: string }[]
  availableTickets: number
}

export interface Findings {
  booked: number
  waiting: number
  promoted: number
  oversold: number
  outOfOrder: number
  /** Buyers who received no outcome, or one other than `booked` and `waiting`. */
  unanswered: number
  /** What is wrong, in words: the first 20. */
  problems: string[]
}

const MAX_PROBLEMS = 20

/** Compares the answers with the lists before and after the cancellations. Pure. */
export function verify(run: {
  tickets: number
  purchases: Purchase[]
  /** Users with a ticket who then canceled it. */
  canceled: string[]
  before: EventLists
  after: EventLists
}): Findings {
  const { tickets, purchases, before, after } = run
  const problems: string[] = []
  const report = (problem: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push(problem)
  }

  const booked = purchases.filter(({ outcome }) => outcome === 'booked').length
  const waiting = purchases.filter(({ outcome }) => outcome === 'waiting').length
  const unanswered = purchases.length - booked - waiting
  if (unanswered > 0) report(`${unanswered} buyers did not get the answer "booked" or "waiting"`)
  if (booked !== Math.min(tickets, purchases.length))
    report(`${booked} buyers got the answer "booked", for ${tickets} tickets`)

  const oversold = Math.max(
    0,
    ...[booked, before.bookings.length, after.bookings.length].map((sold) => sold - tickets),
    -before.availableTickets,
    -after.availableTickets,
  )
  if (oversold > 0) report(`${oversold} more bookings than tickets`)

  const faults = [
    ...findWrongDecisions(run),
    ...findWrongTimes(before),
    ...findWrongRealTimeOrder(purchases, before),
  ]
  for (const fault of faults) report(fault)
  return {
    booked,
    waiting,
    promoted: after.bookings.filter((booking) => booking.promoted).length,
    oversold,
    outOfOrder: faults.length,
    unanswered,
    problems,
  }
}

/**
 * Decides everything again with the naive model, in the order in which the lists show the
 * decisions. The order of the cancellations is not known and does not matter: each of them gives
 * up a ticket of the first decision, and all of them together promote the head of the list.
 */
function findWrongDecisions({
  tickets,
  purchases,
  canceled,
  before,
  after,
}: Parameters<typeof verify>[0]): string[] {
  const faults: string[] = []
  const purchaseOf = new Map(purchases.map((purchase) => [purchase.userId, purchase]))
  const model = createNaiveEvent(0, tickets)
  for (const { userId } of [...before.bookings, ...before.waiting]) {
    const { outcome, position } = model.decide({ type: 'book', userId }, 0)
    const purchase = purchaseOf.get(userId)
    if (purchase?.outcome !== outcome)
      faults.push(`${userId} got ${purchase?.outcome ?? 'no answer'} instead of ${outcome}`)
    else if (purchase.position !== undefined && purchase.position !== position)
      faults.push(`${userId} got position ${purchase.position} instead of ${position}`)
  }
  faults.push(...differencesOf('before the cancellations', before, model))
  for (const userId of canceled) model.decide({ type: 'cancel', userId }, 0)
  faults.push(...differencesOf('after the cancellations', after, model))
  return faults
}

function differencesOf(
  when: string,
  { bookings, waiting }: EventLists,
  model: ReturnType<typeof createNaiveEvent>,
): string[] {
  const describeBooking = (one: { userId: string; promoted: boolean }): string =>
    `${one.userId}${one.promoted ? ' (promoted)' : ''}`
  const describeEntry = ({ userId }: { userId: string }, position: number): string =>
    `${userId} at position ${position}`
  return [
    ...differencesOfLists(
      `booking ${when}`,
      bookings.map(describeBooking),
      model.booked.map(describeBooking),
    ),
    ...differencesOfLists(
      `waiting-list entry ${when}`,
      waiting.map((entry) => describeEntry(entry, entry.position)),
      model.waiting.map((entry, index) => describeEntry(entry, index + 1)),
    ),
  ]
}

function differencesOfLists(what: string, found: string[], expected: string[]): string[] {
  const differences: string[] = []
  for (let i = 0; i < Math.max(found.length, expected.length); i++) {
    if (found[i] !== expected[i])
      differences.push(`${what}, number ${i + 1}: ${found[i]} instead of ${expected[i]}`)
  }
  return differences
}

function findWrongTimes({ bookings, waiting }: EventLists): string[] {
  const times = [...bookings.map(({ bookedAt }) => bookedAt), ...waiting.map(({ since }) => since)]
  return times.flatMap((time, index) => {
    const previous = times[index - 1]
    return previous !== undefined && Date.parse(time) < Date.parse(previous)
      ? [`${time} is listed after the later time ${previous}`]
      : []
  })
}

function findWrongRealTimeOrder(
  purchases: Purchase[],
  { bookings, waiting }: EventLists,
): string[] {
  const purchaseOf = new Map(purchases.map((purchase) => [purchase.userId, purchase]))
  const decided = [...bookings, ...waiting].flatMap(({ userId }, place) => {
    const purchase = purchaseOf.get(userId)
    if (purchase === undefined) return []
    return { userId, place, sentAtMs: purchase.sentAtMs, answeredAtMs: purchase.acceptedAtMs }
  })
  return findOvertaken(decided).map(
    ({ overtaken, by }) =>
      `${by.userId} sent its request after ${overtaken.userId} was accepted, and was decided first`,
  )
}
