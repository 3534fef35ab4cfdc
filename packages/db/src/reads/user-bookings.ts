import { bookingIdOf } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { msOf } from '../events.js'
import { timeOfUs } from './event-list.js'
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
  /** True for a hold from the waiting list that is not confirmed, or ended without it. */
  offered: boolean
  /** Since when the user has this standing. */
  sinceMs: number
  /** What ended it; null unless it has ended. */
  ended: 'canceled' | 'expired' | 'event_canceled' | null
  place: UserBookingPlace
}

/** Where a claim is in the list of its user. */
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
const SHOWN_DAYS = 90

/** A part of the list, whose rows one index has in order. */
interface Part {
  standings: readonly Standing[]
  table: 'bookings' | 'waitlist_entries'
  /** SQL of the time at which the user got the standing. */
  since: string
  where: string
  /** SQL of the standing, unless the event is canceled. */
  standing: string
}

// The conditions are those of the partial indexes.
const PARTS: readonly Part[] = [
  {
    standings: ['booked', 'held'],
    table: 'bookings',
    since: 'coalesce(c.confirmed_at, c.booked_at)',
    where: `c.status IN ('confirmed', 'held')`,
    standing: `CASE c.status WHEN 'held' THEN 'held' ELSE 'booked' END`,
  },
  {
    standings: ['waiting'],
    table: 'waitlist_entries',
    since: 'c.since',
    where: `c.status = 'waiting'`,
    standing: `'waiting'`,
  },
  {
    standings: [],
    table: 'bookings',
    since: 'c.canceled_at',
    where: `c.status IN ('canceled', 'expired', 'event_canceled')`,
    standing: `'ended'`,
  },
  {
    standings: [],
    table: 'waitlist_entries',
    since: 'c.left_at',
    where: `c.status IN ('withdrawn', 'event_canceled')`,
    standing: `'ended'`,
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
 * Reads a page of what a user has and had, the latest first. Live claims of a canceled event count
 * as ended although a settle may not have reached them yet.
 */
export async function pageUserBookings(
  pool: Pool,
  userId: string,
  { standings, after, limit }: UserBookingFilter,
): Promise<UserBooking[]> {
  const values: unknown[] = [userId, standings, limit]
  if (after !== undefined) values.push(after.sinceUs, after.eventId, after.sequence)
  const wantsEnded = standings.includes('ended')
  const parts = PARTS.filter(
    (part) => wantsEnded || part.standings.some((standing) => standings.includes(standing)),
  )
  const { rows } = await pool.query<Row>({
    text: `SELECT r.*, CASE WHEN r.standing = 'waiting'
          THEN ${countWaitingUpTo('r.event_id', 'r.head', 'r.sequence')} END AS position
        FROM (SELECT * FROM (
          ${parts.map((part) => `(${textOf(part, after !== undefined)})`).join(' UNION ALL ')}
        ) AS parts ORDER BY since DESC, event_id DESC, sequence DESC LIMIT $3) AS r
      ORDER BY r.since DESC, r.event_id DESC, r.sequence DESC`,
    values,
  })
  return rows.map(bookingOfRow)
}

function textOf({ standings, table, since, where, standing }: Part, isContinued: boolean): string {
  const ofBooking = (column: string): string => (table === 'bookings' ? `c.${column}` : 'NULL')
  const standingNow =
    standings.length === 0
      ? standing
      : `CASE WHEN e.canceled_at IS NULL THEN ${standing} ELSE 'ended' END`
  return `SELECT c.event_id, c.sequence, e.name, ${msOf('e.starts_at')} AS starts_at, e.head,
        ${standingNow} AS standing, ${table === 'waitlist_entries'} AS is_entry, c.status,
        coalesce(${ofBooking('promoted')}, false) AS promoted,
        ${ofBooking('held_at')} IS NOT NULL AND ${ofBooking('confirmed_at')} IS NULL AS is_hold,
        ${msOf(`${ofBooking('expires_at')}::timestamptz`)} AS expires_at,
        ${since} AS since, (extract(epoch FROM ${since}) * 1000000)::bigint AS since_us
      FROM ${table} c CROSS JOIN LATERAL (
        SELECT name, starts_at, canceled_at, waitlist_head_sequence AS head FROM events
        WHERE event_id = c.event_id LIMIT 1
      ) AS e
      WHERE c.user_id = $1 AND ${where} AND ${standingNow} = ANY ($2::text[])
        ${standings.length === 0 ? `AND ${since} > now() - interval '${SHOWN_DAYS} days'` : ''}
        ${isContinued ? `AND (${since}, c.event_id, c.sequence) < (${timeOfUs('$4')}, $5::bigint, $6::bigint)` : ''}
      ORDER BY ${since} DESC, c.event_id DESC, c.sequence DESC LIMIT $3`
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

/** What ended a claim with this status. A live claim has ended because its event is canceled. */
function endOf(status: string): UserBooking['ended'] {
  if (status === 'expired') return 'expired'
  return status === 'canceled' || status === 'withdrawn' ? 'canceled' : 'event_canceled'
}
