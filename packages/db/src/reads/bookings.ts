import { bookingIdOf } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { type StreamOptions, streamRows } from './stream-rows.js'

/** A ticket held now. */
export interface ListedBooking {
  /** Its place in the order of decisions, the key of the next page. */
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

/** At most `limit` live bookings of the event, in order of decision, from the one after `afterSequence`. */
export async function pageBookings(
  pool: Pool,
  eventId: number,
  afterSequence: number,
  limit: number,
): Promise<ListedBooking[]> {
  const { rows } = await pool.query<BookingRow>({
    name: 'bookings-page',
    text: `SELECT ${COLUMNS} FROM bookings
           WHERE event_id = $1 AND sequence > $2 AND status = 'confirmed' ORDER BY sequence LIMIT $3`,
    values: [eventId, afterSequence, limit],
  })
  return rows.map((row) => toBooking(eventId, row))
}

/**
 * The live booking that a user has for the event, found by the primary key of `claims`.
 *
 * The query has no name, so that PostgreSQL plans it for the present size of the tables. A cached
 * plan that was made while they were tiny would read them whole. It has a subquery instead of a
 * join, because PostgreSQL may join by the event alone while it has no statistics of a table.
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

/** All live bookings of the event as of one moment, in order of decision, in portions. */
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
