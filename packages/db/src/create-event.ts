import type { Pool } from 'pg'
import { type EventStatus, readEventStatuses } from './reads/events.js'

/** The event as it stands, and whether this call made it. */
export interface CreatedEvent {
  created: boolean
  event: EventStatus
}

/**
 * Makes an event with all its tickets free, unless it exists: then nothing changes and the event is given back as it
 * stands, whatever its size. The one write to `events` outside the lines: nothing can stand in a line before it.
 */
export async function createEvent(
  pool: Pool,
  eventId: number,
  totalTickets: number,
): Promise<CreatedEvent> {
  const { rowCount } = await pool.query(
    `INSERT INTO events (event_id, total_tickets, available_tickets) VALUES ($1, $2, $2)
     ON CONFLICT (event_id) DO NOTHING`,
    [eventId, totalTickets],
  )
  if (rowCount === 1) {
    const event = { eventId, totalTickets, availableTickets: totalTickets, waitingListCount: 0 }
    return { created: true, event }
  }
  const event = (await readEventStatuses(pool, [eventId])).get(eventId)
  if (event === undefined)
    throw new Error(`event ${eventId} stood in the way of its creation and is gone`)
  return { created: false, event }
}
