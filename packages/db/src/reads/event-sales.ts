import type { Pool } from 'pg'
import { arrayOf } from '../line/array-literal.js'

// Reads the newest entries of the index on `decided_at`, however many commands there are. The rows
// of these commands are next to each other. The LATERAL with a LIMIT is one index search for each
// event; without the LIMIT, PostgreSQL may read all events instead.
const LATEST_DECISIONS = `SELECT counted.event_id, decisions
  FROM (
    SELECT event_id, count(*)::int AS decisions
    FROM (SELECT event_id FROM commands ORDER BY decided_at DESC LIMIT $1::int) AS latest
    GROUP BY event_id
  ) AS counted
  CROSS JOIN LATERAL (
    SELECT FROM events WHERE events.event_id = counted.event_id LIMIT 1
  ) AS existing`

/**
 * Counts the latest decisions by event. Events that do not exist any more are left out.
 *
 * @param limit how many decisions to count
 * @returns how many of them each event has, by event id
 */
export async function countLatestDecisions(
  pool: Pool,
  limit: number,
): Promise<Map<number, number>> {
  const { rows } = await pool.query<{ event_id: string; decisions: number }>({
    name: 'reads_latest_decisions',
    text: LATEST_DECISIONS,
    values: [limit],
  })
  return new Map(rows.map((row) => [Number(row.event_id), row.decisions]))
}

/** The tickets and the waiting list of an event. If it is canceled, it has none. */
export interface EventSales {
  eventId: number
  freeTickets: number
  heldTickets: number
  bookedTickets: number
  waitingEntries: number
}

// The claims of a canceled event end in portions. Until then its row still counts them.
const EVENT_SALES = `SELECT event_id, available_tickets AS free,
    CASE WHEN canceled_at IS NULL THEN held_count ELSE 0 END AS held,
    CASE WHEN canceled_at IS NULL THEN total_tickets - available_tickets - held_count ELSE 0 END
      AS booked,
    CASE WHEN canceled_at IS NULL THEN waiting_count ELSE 0 END AS waiting
  FROM events WHERE event_id = ANY ($1::bigint[])`

interface EventSalesRow extends Record<'free' | 'held' | 'booked' | 'waiting', number> {
  event_id: string
}

/** Reads the sales of events. Events that do not exist are left out. */
export async function readEventSales(
  pool: Pool,
  eventIds: readonly number[],
): Promise<EventSales[]> {
  const { rows } = await pool.query<EventSalesRow>({
    name: 'reads_event_sales',
    text: EVENT_SALES,
    values: [arrayOf(eventIds)],
  })
  return rows.map((row) => ({
    eventId: Number(row.event_id),
    freeTickets: row.free,
    heldTickets: row.held,
    bookedTickets: row.booked,
    waitingEntries: row.waiting,
  }))
}
