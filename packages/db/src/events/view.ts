import type { EventView } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { msColumns, NOW_MS } from '../sql-times.js'

/** An event, and PostgreSQL's clock when it was read, ms since 1970. */
export interface EventSnapshot {
  event: EventView
  nowMs: number
}

export interface ViewRow {
  event_id: string
  version: number
  owner: string | null
  canceled_at: number | null
  capacity: number
  available_tickets: number
  held_count: number
  withheld: number
  waiting_count: number
  name: string | null
  starts_at: number | null
  ends_at: number | null
  timezone: string | null
  venue: string | null
  url: string | null
  listed: boolean
  opens_at: number | null
  closes_at: number | null
  paused: boolean
  promoting: boolean
  hold_seconds: number | null
  offer_seconds: number | null
  max_hold_seconds: number | null
  confirmation: EventView['confirmation']
  max_waiting: number | null
  now_ms: number
}

export const VIEW_COLUMNS = `event_id, version, owner, coalesce(capacity, total_tickets) AS capacity, available_tickets,
  held_count, greatest(0, coalesce(capacity, total_tickets) - total_tickets) AS withheld, waiting_count, name,
  ${msColumns('starts_at', 'ends_at', 'opens_at', 'closes_at', 'canceled_at')},
  timezone, venue, url, listed, paused, promoting, hold_seconds, offer_seconds, max_hold_seconds, confirmation,
  max_waiting, ${NOW_MS}`

export function snapshotOfRow(row: ViewRow): EventSnapshot {
  const event: EventView = {
    eventId: Number(row.event_id),
    totalTickets: row.capacity,
    name: row.name,
    startsAtMs: row.starts_at,
    endsAtMs: row.ends_at,
    timezone: row.timezone,
    venue: row.venue,
    url: row.url,
    listed: row.listed,
    confirmation: row.confirmation,
    opensAtMs: row.opens_at,
    closesAtMs: row.closes_at,
    paused: row.paused,
    promoting: row.promoting,
    holdSeconds: row.hold_seconds,
    offerSeconds: row.offer_seconds,
    maxHoldSeconds: row.max_hold_seconds,
    maxWaiting: row.max_waiting,
    version: row.version,
    owner: row.owner,
    canceledAtMs: row.canceled_at,
    availableTickets: row.available_tickets,
    heldTickets: row.held_count,
    withheldTickets: row.withheld,
    waitingListCount: row.waiting_count,
  }
  return { event, nowMs: row.now_ms }
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
