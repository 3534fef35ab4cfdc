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

/** What `ops status` shows about a database. */
export interface DatabaseOverview {
  /** The version of PostgreSQL. */
  version: string
  /** Null if they were not counted. */
  events: number | null
  /** Waiting-list entries of all events; null if they were not counted. */
  waiting: number | null
}

/**
 * Reads what `ops status` shows about a database.
 *
 * @param options.counts false to count nothing, for a database that may have no tables
 */
export async function readDatabaseOverview(
  pool: Pool,
  { counts }: { counts: boolean },
): Promise<DatabaseOverview> {
  const shown = await pool.query<{ server_version: string }>('SHOW server_version')
  const version = shown.rows[0]?.server_version ?? ''
  if (!counts) return { version, events: null, waiting: null }
  const { rows } = await pool.query<{ events: string; waiting: string }>(
    'SELECT count(*) AS events, coalesce(sum(waiting_count), 0) AS waiting FROM events',
  )
  return { version, events: Number(rows[0]?.events), waiting: Number(rows[0]?.waiting) }
}
