import type { Report } from './finding.ts'
import type { BookingRow, EventRow, Rows } from './rows.ts'

/**
 * Checks that no event is oversold, that each user has at most one live claim, that counters and
 * claims agree with the rows of bookings and waiting-list entries, and that nothing is left due.
 */
export function checkFinalState(rows: Rows, report: Report): void {
  const bookings = Map.groupBy(rows.bookings, (row) => row.eventId)
  const entries = Map.groupBy(rows.entries, (row) => row.eventId)
  const claims = Map.groupBy(rows.claims, (row) => row.eventId)
  const blocks = new Map(rows.blockCounts.map((row) => [row.eventId, row.waiting]))
  for (const event of rows.events) {
    const { eventId, totalTickets, availableTickets, waitingCount } = event
    const live = (bookings.get(eventId) ?? []).filter(
      (row) => row.status === 'confirmed' || row.status === 'held',
    )
    const waiting = (entries.get(eventId) ?? []).filter((row) => row.status === 'waiting')
    if (live.length > totalTickets) {
      report(
        'oversold',
        `event ${eventId}: ${live.length} live bookings for ${totalTickets} tickets`,
      )
    }
    if (availableTickets !== totalTickets - live.length) {
      report(
        'wrongAnswers',
        `event ${eventId}: ${availableTickets} tickets are available, but ${live.length} of ${totalTickets} are booked`,
      )
    }
    if (waitingCount !== waiting.length || (blocks.get(eventId) ?? 0) !== waiting.length) {
      report(
        'wrongAnswers',
        `event ${eventId}: ${waiting.length} entries wait, but the event counts ${waitingCount} and the blocks count ${blocks.get(eventId) ?? 0}`,
      )
    }
    if (waiting.length > 0 && live.length < totalTickets) {
      report(
        'wrongAnswers',
        `event ${eventId}: a ticket is free while ${waiting.length} entries wait`,
      )
    }
    checkCirculation(event, live, report)
    const lapsed = (bookings.get(eventId) ?? []).filter((row) => row.status === 'expired')
    checkClaims(eventId, { live: [...live, ...waiting], lapsed }, claims.get(eventId) ?? [], report)
  }
}

/** Checks the tickets that are held, withheld or about to leave, and that nothing is due. */
function checkCirculation(event: EventRow, live: BookingRow[], report: Report): void {
  const { eventId, totalTickets, capacity, availableTickets, waitingCount, canceled } = event
  const wrong = (text: string): void => report('wrongAnswers', `event ${eventId}: ${text}`)
  const held = live.filter((row) => row.status === 'held').length
  if (event.heldCount !== held) wrong(`${held} tickets are held, but it counts ${event.heldCount}`)
  if (availableTickets > 0 && (canceled || totalTickets > capacity))
    wrong(`${availableTickets} tickets are free that should have left the event`)
  if (!canceled && totalTickets < capacity && waitingCount === 0)
    wrong(`${capacity - totalTickets} tickets are withheld, but nobody waits`)
  if (event.isDue) report('lost', `event ${eventId}: a settle is still due`)
  else if (canceled && live.length + waitingCount > 0)
    report(
      'lost',
      `event ${eventId} is canceled, but has ${live.length + waitingCount} live claims`,
    )
}

interface Claimants {
  live: { userId: string; sequence: number; status: string }[]
  lapsed: { userId: string; sequence: number }[]
}

const CLAIM_KINDS: Record<string, string> = {
  confirmed: 'booking',
  held: 'held',
  waiting: 'waiting',
}

/** A lapsed hold may have a claim, which a late confirmation finds. */
function checkClaims(
  eventId: number,
  { live, lapsed }: Claimants,
  claims: { userId: string; kind: string; sequence: number }[],
  report: Report,
): void {
  for (const [userId, rows] of Map.groupBy(live, (row) => row.userId)) {
    if (rows.length > 1)
      report('doubled', `event ${eventId}: ${userId} has ${rows.length} live claims`)
  }
  const nameOf = (userId: string, kind: string, sequence: number): string =>
    `${kind} ${sequence} of ${userId}`
  const expected = new Set(
    live.map((row) => nameOf(row.userId, CLAIM_KINDS[row.status] ?? row.status, row.sequence)),
  )
  const allowed = new Set(lapsed.map((row) => nameOf(row.userId, 'lapsed', row.sequence)))
  const found = new Set(claims.map((row) => nameOf(row.userId, row.kind, row.sequence)))
  for (const name of expected)
    if (!found.has(name)) report('wrongAnswers', `event ${eventId}: no claim for ${name}`)
  for (const name of found)
    if (!expected.has(name) && !allowed.has(name))
      report('wrongAnswers', `event ${eventId}: a claim for ${name}, which is not live`)
}
