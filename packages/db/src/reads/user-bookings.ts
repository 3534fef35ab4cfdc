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

/** For how long a claim that ended is listed, in days. */
export const ENDED_SHOWN_DAYS = 90

/** A part of the list: claims with one standing, in the order of one index. */
interface Part {
  standing: Standing
  table: 'bookings' | 'waitlist_entries'
  /** SQL of the time at which the user got the standing. */
  since: string
  /** The condition of the partial index. */
  where: string
}

const PARTS: readonly Part[] = [
  {
    standing: 'booked',
    table: 'bookings',
    since: 'coalesce(c.confirmed_at, c.booked_at)',
    where: `c.status = 'confirmed'`,
  },
  { standing: 'held', table: 'bookings', since: 'c.booked_at', where: `c.status = 'held'` },
  {
    standing: 'waiting',
    table: 'waitlist_entries',
    since: 'c.since',
    where: `c.status = 'waiting'`,
  },
  {
    standing: 'ended',
    table: 'bookings',
    since: 'c.canceled_at',
    where: `c.status IN ('canceled', 'expired', 'event_canceled')`,
  },
  {
    standing: 'ended',
    table: 'waitlist_entries',
    since: 'c.left_at',
    where: `c.status IN ('withdrawn', 'event_canceled')`,
  },
]

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
 * Reads a page of what a user has and had, the latest first. The claims of a canceled event have
 * ended although settles may not have reached them yet.
 */
export async function pageUserBookings(
  pool: Pool,
  userId: string,
  { standings, after, limit }: UserBookingFilter,
): Promise<UserBooking[]> {
  const values: unknown[] = [userId, limit]
  if (after !== undefined) values.push(after.sinceUs, after.eventId, after.sequence)
  const isContinued = after !== undefined
  const parts = PARTS.filter(({ standing }) => standings.includes(standing)).map((part) =>
    textOf(part, isContinued),
  )
  if (standings.includes('ended')) parts.push(unsettledText(isContinued))
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

/** SQL of the columns that differ between the parts. */
function columnsOf(table: Part['table'], since: string): string {
  const ofBooking = table === 'bookings'
  return `${ofBooking ? 'c.promoted' : 'false'} AS promoted,
    ${ofBooking ? 'c.held_at IS NOT NULL AND c.confirmed_at IS NULL' : 'false'} AS is_hold,
    ${ofBooking ? msOf('c.expires_at') : 'NULL::float8'} AS expires_at,
    ${since} AS since, ${usOf(since)} AS since_us`
}

const orderBy = (since: string): string =>
  `ORDER BY ${since} DESC, c.event_id DESC, c.sequence DESC LIMIT $2`

const continued = (since: string, isContinued: boolean): string =>
  isContinued
    ? `AND (${since}, c.event_id, c.sequence) < (${timeOfUs('$3')}, $4::bigint, $5::bigint)`
    : ''

// The subquery finds the event of each claim, so that PostgreSQL reads the claims in the order of
// the index instead of joining tables.
function textOf({ standing, table, since, where }: Part, isContinued: boolean): string {
  const counts =
    standing === 'ended'
      ? `${since} > now() - interval '${ENDED_SHOWN_DAYS} days'`
      : '(SELECT canceled_at FROM events WHERE event_id = c.event_id) IS NULL'
  return `SELECT c.event_id, c.sequence, '${standing}' AS standing,
        ${table === 'waitlist_entries'} AS is_entry, c.status, ${columnsOf(table, since)}
      FROM ${table} c WHERE c.user_id = $1 AND ${where} AND ${counts}
        ${continued(since, isContinued)} ${orderBy(since)}`
}

/** SQL of the claims that the cancellation of an event ended, and that settles have yet to end. */
function unsettledText(isContinued: boolean): string {
  const since = 'e.canceled_at'
  return `SELECT c.event_id, c.sequence, 'ended' AS standing, c.kind = 'waiting' AS is_entry,
        'event_canceled' AS status, coalesce(b.promoted, false) AS promoted,
        b.held_at IS NOT NULL AND b.confirmed_at IS NULL AS is_hold, NULL::float8 AS expires_at,
        ${since} AS since, ${usOf(since)} AS since_us
      FROM events e
      CROSS JOIN LATERAL (
        SELECT * FROM claims WHERE event_id = e.event_id AND user_id = $1 AND kind <> 'lapsed' LIMIT 1
      ) AS c
      LEFT JOIN LATERAL (
        SELECT * FROM bookings WHERE c.kind <> 'waiting' AND event_id = c.event_id AND sequence = c.sequence LIMIT 1
      ) AS b ON true
      WHERE e.canceled_at IS NOT NULL AND e.due_at IS NOT NULL
        ${continued(since, isContinued)} ${orderBy(since)}`
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
