import type { Report } from './finding.ts'
import type { Rows } from './rows.ts'

/** No oversell, one live claim a user, and counters and ranks that agree with the rows. */
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
        `event ${eventId}: ${live.length} live bookings of ${totalTickets} tickets`,
      )
    }
    if (availableTickets !== totalTickets - live.length) {
      report(
        'wrongAnswers',
        `event ${eventId}: ${availableTickets} available, ${live.length} of ${totalTickets} booked`,
      )
    }
    if (waitingCount !== waiting.length || (blocks.get(eventId) ?? 0) !== waiting.length) {
      report(
        'wrongAnswers',
        `event ${eventId}: ${waiting.length} wait, the event counts ${waitingCount}, the ranks ${blocks.get(eventId) ?? 0}`,
      )
    }
    if (waiting.length > 0 && live.length < totalTickets) {
      report('wrongAnswers', `event ${eventId}: ${waiting.length} wait while a ticket is free`)
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
      report('doubled', `event ${eventId}: ${userId} holds ${rows.length} live claims`)
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
    if (!expected.has(name)) report('wrongAnswers', `event ${eventId}: a claim without ${name}`)
}
