import { bookingIdOf } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { msOf, NOW_MS } from '../sql-times.js'

/** The last event of a page. The next page begins after it. */
export interface DueCursor {
  /** A time as PostgreSQL prints it, to the microsecond. */
  dueAt: string
  eventId: number
}

/** A page of the events that have something due, the longest overdue first. */
export interface DuePage {
  eventIds: number[]
  /** Pass it to read the next page; undefined if this page is the last one. */
  next: DueCursor | undefined
  /** How long it is until more becomes due, ms; undefined if nothing will. */
  untilNextMs: number | undefined
}

/** It reads the clock once, so that no event is missing from both parts. */
const DUE_EVENTS = `WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now)
  SELECT event_id, due_at::text AS due_at,
    ((extract(epoch FROM due_at) - extract(epoch FROM (SELECT now FROM clock))) * 1000)::float8 AS due_in_ms
  FROM (
    (SELECT event_id, due_at FROM events
      WHERE due_at <= (SELECT now FROM clock) AND (due_at, event_id) > ($1::timestamptz, $2::bigint)
      ORDER BY due_at, event_id LIMIT $3::int)
    UNION ALL
    (SELECT event_id, due_at FROM events WHERE due_at > (SELECT now FROM clock) ORDER BY due_at, event_id LIMIT 1)
  ) AS d ORDER BY due_at, event_id`

/**
 * Reads a page of the events that have something due by PostgreSQL's clock.
 *
 * @param after `next` of the page before; undefined for the first page
 */
export async function readDueEvents(
  pool: Pool,
  after: DueCursor | undefined,
  limit: number,
): Promise<DuePage> {
  const { rows } = await pool.query<{ event_id: string; due_at: string; due_in_ms: number }>({
    name: 'reads_due_events',
    text: DUE_EVENTS,
    values: [after?.dueAt ?? '-infinity', after?.eventId ?? 0, limit],
  })
  const due = rows.filter((row) => row.due_in_ms <= 0)
  const last = due.length === limit ? due.at(-1) : undefined
  return {
    eventIds: due.map((row) => Number(row.event_id)),
    next: last && { dueAt: last.due_at, eventId: Number(last.event_id) },
    untilNextMs: rows.find((row) => row.due_in_ms > 0)?.due_in_ms,
  }
}

/** Figures about the holds of all events. */
export interface HoldsOverview {
  /** How late the most overdue deadline is, seconds; 0 if nothing is due. */
  overdueSeconds: number
  heldTickets: number
  withheldTickets: number
}

// A hold has a deadline, so its event has a row in the index of deadlines.
const HOLDS_OVERVIEW = `SELECT
  (SELECT greatest(0, extract(epoch FROM clock_timestamp() - min(due_at))) FROM events
    WHERE due_at IS NOT NULL)::float8 AS overdue,
  (SELECT sum(held_count) FROM events WHERE due_at IS NOT NULL)::float8 AS held,
  (SELECT sum(capacity - total_tickets) FROM events
    WHERE capacity > total_tickets AND canceled_at IS NULL)::float8 AS withheld`

/** Reads the figures about the holds of all events. Its indexes have only the events that count. */
export async function readHoldsOverview(pool: Pool): Promise<HoldsOverview> {
  const { rows } = await pool.query<Record<'overdue' | 'held' | 'withheld', number | null>>({
    name: 'reads_holds_overview',
    text: HOLDS_OVERVIEW,
  })
  return {
    overdueSeconds: rows[0]?.overdue ?? 0,
    heldTickets: rows[0]?.held ?? 0,
    withheldTickets: rows[0]?.withheld ?? 0,
  }
}

/** The deadlines of one event, read in one snapshot. */
export interface EventDeadlines {
  /** PostgreSQL's clock, ms since 1970. */
  nowMs: number
  /** When the next settle is due, ms since 1970; null if no settle would change anything. */
  dueAtMs: number | null
  /** Tickets that are booked, held or free. */
  circulatingTickets: number
  /** Live claims, if the event is canceled and settles have yet to end them; otherwise 0. */
  claimsToEnd: number
  /** The holds that lapse first, in this order. */
  nextHolds: HoldDeadline[]
}

export interface HoldDeadline {
  bookingId: string
  userId: string
  /** Ms since 1970. */
  expiresAtMs: number
  /** True if it is an offer to the waiting list. */
  offered: boolean
}

interface DeadlinesRow {
  now_ms: number
  due_ms: number | null
  total_tickets: number
  claims_to_end: number
  holds: (Omit<HoldDeadline, 'bookingId'> & { sequence: number })[]
}

const EVENT_DEADLINES = `SELECT ${NOW_MS}, ${msOf('due_at')} AS due_ms, total_tickets,
  CASE WHEN canceled_at IS NULL THEN 0 ELSE total_tickets + waiting_count END AS claims_to_end,
  (SELECT coalesce(json_agg(h), '[]') FROM (
    SELECT sequence, user_id AS "userId", ${msOf('expires_at')} AS "expiresAtMs", promoted AS offered
    FROM bookings WHERE event_id = $1 AND status = 'held' ORDER BY expires_at, sequence LIMIT $2
  ) AS h) AS holds
  FROM events WHERE event_id = $1`

/**
 * Reads the deadlines of an event.
 *
 * @param limit how many holds to read
 * @returns undefined if there is no such event
 */
export async function readEventDeadlines(
  pool: Pool,
  eventId: number,
  limit: number,
): Promise<EventDeadlines | undefined> {
  const { rows } = await pool.query<DeadlinesRow>({
    name: 'reads_event_deadlines',
    text: EVENT_DEADLINES,
    values: [eventId, limit],
  })
  const [row] = rows
  return (
    row && {
      nowMs: row.now_ms,
      dueAtMs: row.due_ms,
      circulatingTickets: row.total_tickets,
      claimsToEnd: row.claims_to_end,
      nextHolds: row.holds.map(({ sequence, userId, expiresAtMs, offered }) => ({
        bookingId: bookingIdOf(eventId, sequence),
        userId,
        expiresAtMs,
        offered,
      })),
    }
  )
}
