import type { Pool } from 'pg'
import { type EventStatus, readEventStatuses } from './reads/events.js'

/** An event, and whether this call created it. */
export interface CreatedEvent {
  created: boolean
  event: EventStatus
}

/**
 * Creates an event with all its tickets free. If the event exists, nothing changes, whatever its
 * size. This is the only write to `events` outside the lines. It is safe because no line has
 * commands of an event that does not exist.
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
  if (event === undefined) throw new Error(`event ${eventId} was deleted while it was created`)
  return { created: false, event }
}
