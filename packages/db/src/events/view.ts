import type { EventView } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { msOf, NOW_MS } from '../sql-times.js'
import { SELECT_DETAILS, SELECT_RULES } from './setting-columns.js'

/** An event, and PostgreSQL's clock when it was read, ms since 1970. */
export interface EventSnapshot {
  event: EventView
  nowMs: number
}

/** A row of {@link VIEW_COLUMNS}. The driver returns a `bigint` as text. */
export type ViewRow = Omit<EventView, 'eventId'> & { event_id: string; now_ms: number }

export const VIEW_COLUMNS = `event_id, version, owner, ${msOf('canceled_at')} AS "canceledAtMs",
  coalesce(capacity, total_tickets) AS "totalTickets", available_tickets AS "availableTickets",
  held_count AS "heldTickets", greatest(0, coalesce(capacity, total_tickets) - total_tickets) AS "withheldTickets",
  waiting_count AS "waitingListCount", ${SELECT_DETAILS}, ${SELECT_RULES}, ${NOW_MS}`

export function snapshotOfRow({ event_id, now_ms, ...event }: ViewRow): EventSnapshot {
  return { event: { eventId: Number(event_id), ...event }, nowMs: now_ms }
}

/** Reads these events with all their settings, by id. Events that do not exist are left out. */
export async function readEvents(
  pool: Pool,
  eventIds: number[],
): Promise<Map<number, EventSnapshot>> {
  const { rows } = await pool.query<ViewRow>({
    name: 'reads_event_views',
    text: `SELECT ${VIEW_COLUMNS} FROM events WHERE event_id = ANY($1::bigint[])`,
    values: [eventIds],
  })
  return new Map(rows.map((row) => [Number(row.event_id), snapshotOfRow(row)]))
}
