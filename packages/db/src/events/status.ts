import type { Pool, PoolClient } from 'pg'

/** The counters of an event. The claims of a canceled event do not count. */
export interface EventStatus {
  eventId: number
  /** The size that the organizer wants. */
  totalTickets: number
  availableTickets: number
  waitingListCount: number
}

export interface StatusRow {
  event_id: string
  capacity: number
  available_tickets: number
  waiting_count: number
}

/** SQL of the columns of a {@link StatusRow}. */
export const STATUS_COLUMNS = `event_id, coalesce(capacity, total_tickets) AS capacity, available_tickets,
  CASE WHEN canceled_at IS NULL THEN waiting_count ELSE 0 END AS waiting_count`

export function statusOfRow(row: StatusRow): EventStatus {
  return {
    eventId: Number(row.event_id),
    totalTickets: row.capacity,
    availableTickets: row.available_tickets,
    waitingListCount: row.waiting_count,
  }
}

/** Reads the names of these events, by id. Events without a name are left out. */
export async function readEventNames(pool: Pool, eventIds: number[]): Promise<Map<number, string>> {
  const { rows } = await pool.query<{ event_id: string; name: string }>({
    name: 'reads_event_names',
    text: 'SELECT event_id, name FROM events WHERE event_id = ANY($1::bigint[]) AND name IS NOT NULL',
    values: [eventIds],
  })
  return new Map(rows.map(({ event_id, name }) => [Number(event_id), name]))
}

/** Reads the counters of these events, by id. Events that do not exist are left out. */
export async function readEventStatuses(
  pool: Pool | PoolClient,
  eventIds: number[],
): Promise<Map<number, EventStatus>> {
  const { rows } = await pool.query<StatusRow>({
    name: 'reads_events',
    text: `SELECT ${STATUS_COLUMNS} FROM events WHERE event_id = ANY($1::bigint[])`,
    values: [eventIds],
  })
  return new Map(rows.map((row) => [Number(row.event_id), statusOfRow(row)]))
}
