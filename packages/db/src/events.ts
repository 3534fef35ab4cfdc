/** Reads and writes an event outside its line. */
import type { Pool } from 'pg'

/** The counters of an event. */
export interface EventStatus {
  eventId: number
  totalTickets: number
  availableTickets: number
  waitingListCount: number
}

interface StatusRow {
  event_id: string
  total_tickets: number
  available_tickets: number
  waiting_count: number
}

function toStatus(row: StatusRow): EventStatus {
  return {
    eventId: Number(row.event_id),
    totalTickets: row.total_tickets,
    availableTickets: row.available_tickets,
    waitingListCount: row.waiting_count,
  }
}

/** Reads the counters of these events, by id. Events that do not exist are left out. */
export async function readEventStatuses(
  pool: Pool,
  eventIds: number[],
): Promise<Map<number, EventStatus>> {
  const { rows } = await pool.query<StatusRow>({
    name: 'reads_events',
    text: `SELECT event_id, total_tickets, available_tickets, waiting_count
           FROM events WHERE event_id = ANY($1::bigint[])`,
    values: [eventIds],
  })
  return new Map(rows.map((row) => [Number(row.event_id), toStatus(row)]))
}

/** Reads the counters of up to `limit` events in order of id, after `afterEventId`. */
export async function pageEventStatuses(
  pool: Pool,
  afterEventId: number,
  limit: number,
): Promise<EventStatus[]> {
  const { rows } = await pool.query<StatusRow>({
    name: 'reads_events_page',
    text: `SELECT event_id, total_tickets, available_tickets, waiting_count
           FROM events WHERE event_id > $1 ORDER BY event_id LIMIT $2`,
    values: [afterEventId, limit],
  })
  return rows.map(toStatus)
}

/** An event, and whether this call created it. */
export interface CreatedEvent {
  created: boolean
  event: EventStatus
}

/**
 * Creates an event with all its tickets free. If the event exists, nothing changes, whatever its
 * size. This is the only write to `events` outside the lines. It is safe because no line has
 * commands for an event that does not exist yet.
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
