import { bookingIdOf } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { type StreamOptions, streamRows } from './stream-rows.js'

/** A booking that is confirmed. */
export interface ListedBooking {
  /** Its number in the order of decisions. The next page begins after it. */
  sequence: number
  bookingId: string
  userId: string
  /** When it was confirmed, if it began as a hold. */
  bookedAt: Date
  promoted: boolean
}

/** A ticket that is held. */
export interface ListedHold {
  /** Its number in the order of decisions. A booking that the hold becomes has the same number. */
  sequence: number
  bookingId: string
  userId: string
  heldAt: Date
  expiresAt: Date
  /** True if it is an offer to the waiting list. */
  offered: boolean
}

interface BookingRow {
  sequence: string
  user_id: string
  at: Date
  expires_at: Date
  promoted: boolean
}

/** The bookings of an event, or its holds. Both are rows of `bookings`. */
interface List<Item> {
  /**
   * Name of the statement that reads a page. Holds have none, so that PostgreSQL plans the
   * statement for the event that is read. A cached plan could search many bookings for a few holds.
   */
  name?: string
  status: 'confirmed' | 'held'
  claim: 'booking' | 'held'
  toItem(eventId: number, row: BookingRow): Item
}

const bookings: List<ListedBooking> = {
  name: 'reads_bookings_page',
  status: 'confirmed',
  claim: 'booking',
  toItem: (eventId, row) => {
    const sequence = Number(row.sequence)
    return {
      sequence,
      bookingId: bookingIdOf(eventId, sequence),
      userId: row.user_id,
      bookedAt: row.at,
      promoted: row.promoted,
    }
  },
}

const holds: List<ListedHold> = {
  status: 'held',
  claim: 'held',
  toItem: (eventId, row) => {
    const sequence = Number(row.sequence)
    return {
      sequence,
      bookingId: bookingIdOf(eventId, sequence),
      userId: row.user_id,
      heldAt: row.at,
      expiresAt: row.expires_at,
      offered: row.promoted,
    }
  },
}

const COLUMNS = 'sequence, user_id, coalesce(confirmed_at, booked_at) AS at, expires_at, promoted'

// The claims of a canceled event do not count, even if settles have yet to end them.
const LIVE = `event_id = $1 AND (SELECT canceled_at IS NULL FROM events WHERE event_id = $1)`

async function page<Item>(
  { name, status, toItem }: List<Item>,
  pool: Pool,
  eventId: number,
  afterSequence: number,
  limit: number,
): Promise<Item[]> {
  const { rows } = await pool.query<BookingRow>({
    ...(name !== undefined && { name }),
    text: `SELECT ${COLUMNS} FROM bookings
           WHERE ${LIVE} AND sequence > $2 AND status = '${status}' ORDER BY sequence LIMIT $3`,
    values: [eventId, afterSequence, limit],
  })
  return rows.map((row) => toItem(eventId, row))
}

// The query has no name, so that PostgreSQL plans it for the present size of the tables. A plan
// that was cached while they were tiny would scan them. The query has a subquery instead of a join,
// because without statistics PostgreSQL may join by the event alone.
async function find<Item>(
  { status, claim, toItem }: List<Item>,
  pool: Pool,
  eventId: number,
  userId: string,
): Promise<Item | undefined> {
  const { rows } = await pool.query<BookingRow>({
    text: `SELECT ${COLUMNS} FROM bookings WHERE ${LIVE} AND status = '${status}'
           AND sequence = (SELECT sequence FROM claims
                           WHERE event_id = $1 AND user_id = $2 AND kind = '${claim}')`,
    values: [eventId, userId],
  })
  return rows[0] && toItem(eventId, rows[0])
}

async function* stream<Item>(
  { status, toItem }: List<Item>,
  pool: Pool,
  eventId: number,
  options: StreamOptions,
): AsyncGenerator<Item[]> {
  const query = {
    text: `SELECT ${COLUMNS} FROM bookings WHERE ${LIVE} AND status = '${status}' ORDER BY sequence`,
    values: [eventId],
  }
  for await (const rows of streamRows<BookingRow>(pool, query, options)) {
    yield rows.map((row) => toItem(eventId, row))
  }
}

type PageArguments = [pool: Pool, eventId: number, afterSequence: number, limit: number]
type FindArguments = [pool: Pool, eventId: number, userId: string]
type StreamArguments = [pool: Pool, eventId: number, options: StreamOptions]

/** Reads up to `limit` bookings of an event, in order of decision, after `afterSequence`. */
export const pageBookings = (...args: PageArguments) => page(bookings, ...args)
/** Finds the booking of a user for an event by the primary key of `claims`. */
export const findBooking = (...args: FindArguments) => find(bookings, ...args)
/** Reads all bookings of an event in one snapshot, in order of decision and in portions. */
export const streamBookings = (...args: StreamArguments) => stream(bookings, ...args)

/** Reads up to `limit` holds of an event, in order of decision, after `afterSequence`. */
export const pageHolds = (...args: PageArguments) => page(holds, ...args)
/** Finds the hold of a user for an event by the primary key of `claims`. */
export const findHold = (...args: FindArguments) => find(holds, ...args)
/** Reads all holds of an event in one snapshot, in order of decision and in portions. */
export const streamHolds = (...args: StreamArguments) => stream(holds, ...args)
