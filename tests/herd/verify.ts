/** What one buyer asked and got. Times are of one clock, in ms. */
export interface Ask {
  userId: string
  sentAt: number
  /** The first answer: final, or the 202 that promises one. Its place in the line was fixed by then. */
  acceptedAt: number
  /** The final answer. */
  answeredAt: number
  /** Undefined where none came. */
  outcome: string | undefined
  /** Its rank in the waiting list at the decision, where the answer told. */
  position: number | undefined
}

/** The lists of an event as staff read them, in their order. */
export interface Standing {
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
  /** Buyers without a final answer, or with one that no promise allows. */
  unanswered: number
  /** Everything wrong, in words, at most a handful of each kind. */
  problems: string[]
}

/**
 * Holds the answers against the lists before and after the cancellations. Pure: what it says follows from what it was given.
 */
export function verify(input: {
  tickets: number
  asks: Ask[]
  canceled: string[]
  before: Standing
  after: Standing
}): Findings {
  const { tickets, asks, canceled, before, after } = input
  const problems: string[] = []
  const note = (problem: string) => void (problems.length < 20 && problems.push(problem))

  const booked = asks.filter((ask) => ask.outcome === 'booked').length
  const waiting = asks.filter((ask) => ask.outcome === 'waiting').length
  const unanswered = asks.length - booked - waiting
  if (unanswered > 0) note(`${unanswered} buyers were not answered with "booked" or "waiting"`)
  if (booked !== Math.min(tickets, asks.length)) note(`${booked} booked of ${tickets} tickets`)

  const oversold = Math.max(
    ...[booked, before.bookings.length, after.bookings.length].map((sold) =>
      Math.max(0, sold - tickets),
    ),
    Math.max(0, -before.availableTickets, -after.availableTickets),
  )
  if (oversold > 0) note(`${oversold} more booked than there are tickets`)

  const promoted = after.bookings.filter((booking) => booking.promoted)
  const expected = before.waiting.slice(0, canceled.length)
  if (promoted.length !== expected.length)
    note(`${promoted.length} promoted instead of ${expected.length}`)

  const outOfOrder =
    countListFaults(asks, before, note) +
    countOvertakings(asks, before, note) +
    countPromotionFaults(before, after, canceled, note)
  return { booked, waiting, promoted: promoted.length, oversold, outOfOrder, unanswered, problems }
}

type Note = (problem: string) => void

/** Lists that contradict the answers, or themselves. */
function countListFaults(asks: Ask[], before: Standing, note: Note): number {
  let faults = 0
  const fault = (problem: string) => {
    faults++
    note(problem)
  }
  const outcomes = new Map(asks.map((ask) => [ask.userId, ask]))
  for (const { userId } of before.bookings) {
    if (outcomes.get(userId)?.outcome !== 'booked')
      fault(`${userId} has a ticket but was told otherwise`)
  }
  before.waiting.forEach(({ userId, position }, index) => {
    const ask = outcomes.get(userId)
    if (ask?.outcome !== 'waiting') fault(`${userId} waits but was told otherwise`)
    else if (ask.position !== undefined && ask.position !== index + 1) {
      fault(`${userId} was told position ${ask.position} and stands at ${index + 1}`)
    }
    if (position !== index + 1)
      fault(`position ${position} stands at place ${index + 1} of the list`)
  })
  const times = [
    ...before.bookings.map((booking) => booking.bookedAt),
    ...before.waiting.map((entry) => entry.since),
  ]
  times.forEach((time, index) => {
    if (index > 0 && Date.parse(time) < Date.parse(times[index - 1] as string))
      fault(`${time} stands behind a later time`)
  })
  const distinct = new Set([...before.bookings, ...before.waiting].map((entry) => entry.userId))
    .size
  const listed = before.bookings.length + before.waiting.length
  if (distinct !== listed) fault(`${listed - distinct} buyers stand in the lists twice`)
  return faults
}

/** Who asked only after somebody else had been accepted must not have been decided before that other one. */
function countOvertakings(asks: Ask[], before: Standing, note: Note): number {
  const byUser = new Map(asks.map((ask) => [ask.userId, ask]))
  const decided = [...before.bookings, ...before.waiting].flatMap(
    ({ userId }) => byUser.get(userId) ?? [],
  )
  let faults = 0
  let earliest: Ask | undefined
  for (const ask of decided.reverse()) {
    if (earliest !== undefined && ask.sentAt > earliest.acceptedAt) {
      faults++
      note(`${ask.userId} asked after ${earliest.userId} had been accepted, and was decided first`)
    }
    if (earliest === undefined || ask.acceptedAt < earliest.acceptedAt) earliest = ask
  }
  return faults
}

/** Promotions take the head of the list, in its order, and leave the rest as it was. */
function countPromotionFaults(
  before: Standing,
  after: Standing,
  canceled: string[],
  note: Note,
): number {
  const order = before.waiting.map((entry) => entry.userId)
  const promoted = after.bookings
    .filter((booking) => booking.promoted)
    .map((booking) => booking.userId)
  const left = after.waiting.map((entry) => entry.userId)
  const gone = new Set(canceled)
  const still = after.bookings.filter((booking) => gone.has(booking.userId))
  for (const { userId } of still) note(`${userId} canceled and still has a ticket`)
  return (
    still.length +
    countDifferences('promoted', promoted, order.slice(0, canceled.length), note) +
    countDifferences('left waiting', left, order.slice(canceled.length), note)
  )
}

function countDifferences(what: string, found: string[], expected: string[], note: Note): number {
  let faults = 0
  for (let i = 0; i < Math.max(found.length, expected.length); i++) {
    if (found[i] === expected[i]) continue
    faults++
    note(`${what} ${i + 1}: ${found[i] ?? 'nobody'} instead of ${expected[i] ?? 'nobody'}`)
  }
  return faults
}
