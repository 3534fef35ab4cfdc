import type { Report } from './finding.ts'
import type { Rows } from './rows.ts'

/**
 * Checks that no event is oversold, that each user has at most one live claim, and that counters
 * and claims agree with the rows of bookings and waiting-list entries.
 */
export function checkFinalState(rows: Rows, report: Report): void {
  const bookings = Map.groupBy(rows.bookings, (row) => row.eventId)
  const entries = Map.groupBy(rows.entries, (row) => row.eventId)
  const claims = Map.groupBy(rows.claims, (row) => row.eventId)
  const blocks = new Map(rows.blockCounts.map((row) => [row.eventId, row.waiting]))
  for (const { eventId, totalTickets, availableTickets, waitingCount } of rows.events) {
    const live = (bookings.get(eventId) ?? []).filter((row) => row.status === 'confirmed')
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
    checkClaims(eventId, [...live, ...waiting], claims.get(eventId) ?? [], report)
  }
}

function checkClaims(
  eventId: number,
  held: { userId: string; sequence: number; status: string }[],
  claims: { userId: string; kind: string; sequence: number }[],
  report: Report,
): void {
  for (const [userId, rows] of Map.groupBy(held, (row) => row.userId)) {
    if (rows.length > 1)
      report('doubled', `event ${eventId}: ${userId} has ${rows.length} live claims`)
  }
  const nameOf = (userId: string, kind: string, sequence: number): string =>
    `${kind} ${sequence} of ${userId}`
  const expected = new Set(
    held.map((row) =>
      nameOf(row.userId, row.status === 'waiting' ? 'waiting' : 'booking', row.sequence),
    ),
  )
  const found = new Set(claims.map((row) => nameOf(row.userId, row.kind, row.sequence)))
  for (const name of expected)
    if (!found.has(name)) report('wrongAnswers', `event ${eventId}: no claim for ${name}`)
  for (const name of found)
    if (!expected.has(name))
      report('wrongAnswers', `event ${eventId}: a claim for ${name}, which is not live`)
}
