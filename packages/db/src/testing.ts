import type { EventRow } from './line/load.js'

/** A row of `events` for tests: an event with one ticket, which is free. */
export function eventRow(changes: Partial<EventRow> = {}): EventRow {
  return {
    eventId: 1,
    totalTickets: 1,
    availableTickets: 1,
    waitingCount: 0,
    lastSequence: 0,
    waitlistHeadSequence: 0,
    ...changes,
  }
}
