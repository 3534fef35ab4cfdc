import { bookingIdOf } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { msOf, timeOfUs, usOf } from '../sql-times.js'
import { countWaitingUpTo } from './waitlist-position.js'

export type Standing = 'booked' | 'held' | 'waiting' | 'ended'

/** A claim that a user has or had for some event. */
export interface UserBooking {
  eventId: number
  /** Name and start of the event. All times are ms since 1970. */
  name: string | null
  startsAtMs: number | null
  standing: Standing
  /** Null for an entry of a waiting list. */
  bookingId: string | null
  /** 1-based live rank; null unless the user is on the waiting list. */
  position: number | null
  /** When the hold ends; null unless the ticket is held. */
  expiresAtMs: number | null
  /** True for an offer that was not confirmed, live or ended. */
  offered: boolean
  /** Since when the user has this standing. */
  sinceMs: number
  /** What ended it; null unless it has ended. */
  ended: 'canceled' | 'expired' | 'event_canceled' | null
  place: UserBookingPlace
}

/** The cursor of a claim in the list of a user. */
export interface UserBookingPlace {
  /** µs since 1970, as decimal digits. */
  sinceUs: string
  eventId: number
  sequence: number
}

export interface UserBookingFilter {
  standings: readonly Standing[]
  /** The last claim of the page before; undefined for the first page. */
  after: UserBookingPlace | undefined
  limit: number
}

/** How long a claim that has ended is listed, in days. */
export const ENDED_SHOWN_DAYS = 90

/** The tables of claims that have ended, each with its time of ending and its partial index. */
const ENDED = [
  {
    table: 'bookings',
    since: 'c.canceled_at',
    where: `c.status IN ('canceled', 'expired', 'event_canceled')`,
  },
  {
    table: 'waitlist_entries',
    since: 'c.left_at',
    where: `c.status IN ('withdrawn', 'event_canceled')`,
  },
] as const

interface Row {
  event_id: string
  sequence: string
  name: string | null
  starts_at: number | null
  standing: Standing
  is_entry: boolean
  status: string
  promoted: boolean
  is_hold: boolean
  position: number | null
  expires_at: number | null
  since_us: string
}

/**
 * Reads a page of what a user has and had, the latest first. All claims of a canceled event count
 * as ended, although settles may not have reached them yet.
 */
export async function pageUserBookings(
  pool: Pool,
  userId: string,
  { standings, after, limit }: UserBookingFilter,
): Promise<UserBooking[]> {
  const values: unknown[] = [userId, limit]
  if (after !== undefined) values.push(after.sinceUs, after.eventId, after.sequence)
  const isContinued = after !== undefined
  const parts = [liveText(standings, isContinued)]
  if (standings.includes('ended'))
    parts.push(...ENDED.map((ended) => endedText(ended, isContinued)))
  const { rows } = await pool.query<Row>({
    text: `SELECT r.*, e.name, e.starts_at, CASE WHEN r.standing = 'waiting'
          THEN ${countWaitingUpTo('r.event_id', 'e.head', 'r.sequence')} END AS position
        FROM (
          SELECT * FROM (${parts.map((part) => `(${part})`).join(' UNION ALL ')}) AS parts
          ORDER BY since DESC, event_id DESC, sequence DESC LIMIT $2
        ) AS r
        CROSS JOIN LATERAL (
          SELECT name, ${msOf('starts_at')} AS starts_at, waitlist_head_sequence AS head FROM events
          WHERE event_id = r.event_id LIMIT 1
        ) AS e
      ORDER BY r.since DESC, r.event_id DESC, r.sequence DESC`,
    values,
  })
  return rows.map(bookingOfRow)
}

const orderBy = (since: string): string =>
  `ORDER BY ${since} DESC, event_id DESC, sequence DESC LIMIT $2`

const continued = (since: string, isContinued: boolean): string =>
  isContinued
    ? `(${since}, event_id, sequence) < (${timeOfUs('$3')}, $4::bigint, $5::bigint)`
    : 'true'

/**
 * SQL of the claims of a user that no command and no settle has ended. If their event is canceled,
 * they count as ended. The statement reads all of them and sorts them, because `claims` has no
 * times. Few users have more live claims than a page has rows.
 */
function liveText(standings: readonly Standing[], isContinued: boolean): string {
  const wanted = standings.map((standing) => `'${standing}'`).join(', ')
  return `SELECT event_id, sequence, standing, is_entry, status, promoted, is_hold, expires_at, since,
        ${usOf('since')} AS since_us
      FROM (
        SELECT c.event_id, c.sequence, c.kind = 'waiting' AS is_entry,
          CASE WHEN e.canceled_at IS NOT NULL THEN 'ended' WHEN c.kind = 'booking' THEN 'booked' ELSE c.kind END AS standing,
          CASE WHEN e.canceled_at IS NOT NULL THEN 'event_canceled' ELSE c.kind END AS status,
          coalesce(b.promoted, false) AS promoted, c.kind = 'held' AS is_hold, ${msOf('b.expires_at')} AS expires_at,
          coalesce(e.canceled_at, b.confirmed_at, b.booked_at, w.since) AS since
        FROM claims c
        CROSS JOIN LATERAL (SELECT canceled_at FROM events WHERE event_id = c.event_id LIMIT 1) AS e
        LEFT JOIN LATERAL (
          SELECT promoted, expires_at, confirmed_at, booked_at FROM bookings
          WHERE c.kind <> 'waiting' AND event_id = c.event_id AND sequence = c.sequence LIMIT 1
        ) AS b ON true
        LEFT JOIN LATERAL (
          SELECT since FROM waitlist_entries
          WHERE c.kind = 'waiting' AND event_id = c.event_id AND sequence = c.sequence LIMIT 1
        ) AS w ON true
        WHERE c.user_id = $1 AND c.kind <> 'lapsed'
      ) AS live
      WHERE standing IN (${wanted}) AND ${continued('since', isContinued)} ${orderBy('since')}`
}

/** SQL of the claims of a user that have ended, in the order of a partial index. */
function endedText({ table, since, where }: (typeof ENDED)[number], isContinued: boolean): string {
  const ofBooking = table === 'bookings'
  return `SELECT c.event_id, c.sequence, 'ended' AS standing, ${!ofBooking} AS is_entry, c.status,
        ${ofBooking ? 'c.promoted' : 'false'} AS promoted,
        ${ofBooking ? 'c.held_at IS NOT NULL AND c.confirmed_at IS NULL' : 'false'} AS is_hold,
        NULL::float8 AS expires_at, ${since} AS since, ${usOf(since)} AS since_us
      FROM ${table} c WHERE c.user_id = $1 AND ${where} AND ${since} > now() - interval '${ENDED_SHOWN_DAYS} days'
        AND ${continued(since, isContinued)} ${orderBy(since)}`
}

function bookingOfRow(row: Row): UserBooking {
  const { standing } = row
  const [eventId, sequence] = [Number(row.event_id), Number(row.sequence)]
  return {
    eventId,
    name: row.name,
    startsAtMs: row.starts_at,
    standing,
    bookingId: row.is_entry ? null : bookingIdOf(eventId, sequence),
    position: standing === 'waiting' ? row.position : null,
    expiresAtMs: standing === 'held' ? row.expires_at : null,
    offered: row.promoted && row.is_hold,
    sinceMs: Math.floor(Number(row.since_us) / 1000),
    ended: standing === 'ended' ? endOf(row.status) : null,
    place: { sinceUs: row.since_us, eventId, sequence },
  }
}

/** What ended a claim with this status. */
function endOf(status: string): UserBooking['ended'] {
  if (status === 'expired') return 'expired'
  return status === 'canceled' || status === 'withdrawn' ? 'canceled' : 'event_canceled'
}
