import { bookingIdOf } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { type StreamOptions, streamRows } from './stream-rows.js'

/** A live booking. */
export interface ListedBooking {
  /** Its number in the order of decisions. The next page begins after it. */
  sequence: number
  bookingId: string
  userId: string
  bookedAt: Date
  promoted: boolean
}

interface BookingRow {
  sequence: string
  user_id: string
  booked_at: Date
  promoted: boolean
}

const COLUMNS = 'sequence, user_id, booked_at, promoted'

function toBooking(eventId: number, row: BookingRow): ListedBooking {
  const sequence = Number(row.sequence)
  return {
    sequence,
    bookingId: bookingIdOf(eventId, sequence),
    userId: row.user_id,
    bookedAt: row.booked_at,
    promoted: row.promoted,
  }
}

/** Reads up to `limit` live bookings of an event, in order of decision, after `afterSequence`. */
export async function pageBookings(
  pool: Pool,
  eventId: number,
  afterSequence: number,
  limit: number,
): Promise<ListedBooking[]> {
  const { rows } = await pool.query<BookingRow>({
    name: 'reads_bookings_page',
    text: `SELECT ${COLUMNS} FROM bookings
           WHERE event_id = $1 AND sequence > $2 AND status = 'confirmed' ORDER BY sequence LIMIT $3`,
    values: [eventId, afterSequence, limit],
  })
  return rows.map((row) => toBooking(eventId, row))
}

/**
 * Finds the live booking of a user for an event by the primary key of `claims`.
 *
 * The query has no name, so that PostgreSQL plans it for the present size of the tables. A plan
 * that was cached while they were tiny would scan them. It has a subquery instead of a join,
 * because without statistics PostgreSQL may join by the event alone.
 */
export async function findBooking(
  pool: Pool,
  eventId: number,
  userId: string,
): Promise<ListedBooking | undefined> {
  const { rows } = await pool.query<BookingRow>({
    text: `SELECT ${COLUMNS} FROM bookings WHERE event_id = $1 AND status = 'confirmed'
           AND sequence = (SELECT sequence FROM claims
                           WHERE event_id = $1 AND user_id = $2 AND kind = 'booking')`,
    values: [eventId, userId],
  })
  return rows[0] && toBooking(eventId, rows[0])
}

/** Reads all live bookings of an event in one snapshot, in order of decision and in portions. */
export async function* streamBookings(
  pool: Pool,
  eventId: number,
  options: StreamOptions,
): AsyncGenerator<ListedBooking[]> {
  const query = {
    text: `SELECT ${COLUMNS} FROM bookings WHERE event_id = $1 AND status = 'confirmed' ORDER BY sequence`,
    values: [eventId],
  }
  for await (const rows of streamRows<BookingRow>(pool, query, options)) {
    yield rows.map((row) => toBooking(eventId, row))
  }
}
