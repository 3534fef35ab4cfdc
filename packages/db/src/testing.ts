import { DEFAULT_SALE_RULES } from '@ticket-line/shared'
import type { EventRow } from './line/load.js'

/**
 * A row of `events` for tests: an event with one ticket, which is free. Its capacity is the number
 * of its tickets in circulation, unless the test says otherwise.
 */
export function eventRow(changes: Partial<EventRow> = {}): EventRow {
  return {
    ...DEFAULT_SALE_RULES,
    eventId: 1,
    capacity: changes.totalTickets ?? 1,
    totalTickets: 1,
    availableTickets: 1,
    heldCount: 0,
    waitingCount: 0,
    lastSequence: 0,
    waitlistHeadSequence: 0,
    dueAtMs: null,
    canceledAtMs: null,
    version: 1,
    lastChange: 0,
    ...changes,
  }
}
