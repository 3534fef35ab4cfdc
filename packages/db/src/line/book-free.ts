import type { Command } from '@ticket-line/shared'
import type pg from 'pg'
import { isUniqueViolation } from '../faults.js'
import { arrayOf, type Statement } from './statement.js'

/** A `book` that is hoped to find a free ticket. */
export interface PlainBooking extends Omit<Command, 'type'> {
  /** When its job was put together, ms since 1970. */
  acceptedAtMs: number
}

/** A ticket that was booked by {@link bookFreeTickets}. */
export interface BookedTicket {
  /** Number of the booking in the order of its event's decisions. */
  sequence: number
  /** By the database's clock once the event was locked, ms since 1970. */
  decidedAtMs: number
}

// What is not found free is left out, and nothing of it is changed: all other parts take their rows from the first. That
// one looks at claims, commands and keys as they were when the statement began; what was committed since then is met by
// their primary keys, and an event's row that was changed is no longer at the place where it was found. Rows are searched
// one by one, as in `load.ts`. A key of any age is left to the batch, which knows how long it holds; new ones are written in
// one order, as everywhere.
const bookFree: Statement = {
  name: 'line_book_free',
  text: `WITH free AS (
      SELECT w.*, e.place FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[])
        AS w (event_id, user_id, command_id, caller, key_hash, accepted_ms)
      CROSS JOIN LATERAL (
        SELECT ctid AS place FROM events WHERE event_id = w.event_id AND available_tickets > 0
          AND NOT EXISTS (SELECT FROM claims WHERE event_id = w.event_id AND user_id = w.user_id COLLATE "C")
          AND NOT EXISTS (SELECT FROM commands WHERE command_id = w.command_id COLLATE "C")
          AND NOT EXISTS (SELECT FROM forgotten_commands WHERE command_id = w.command_id COLLATE "C")
          AND NOT EXISTS (SELECT FROM idempotency_keys
            WHERE caller = w.caller COLLATE "C" AND key_hash = w.key_hash COLLATE "C")
        LIMIT 1 FOR UPDATE SKIP LOCKED
      ) AS e
    ), booked AS (
      UPDATE events e SET available_tickets = available_tickets - 1, last_sequence = last_sequence + 1
      FROM free AS w WHERE e.ctid = w.place
      RETURNING w.*, e.last_sequence AS sequence, date_trunc('milliseconds', clock_timestamp()) AS at
    ), claimed AS (
      INSERT INTO claims (event_id, user_id, kind, sequence)
      SELECT event_id, user_id, 'booking', sequence FROM booked
    ), listed AS (
      INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at)
      SELECT event_id, sequence, user_id, 'confirmed', false, at FROM booked
    ), remembered AS (
      INSERT INTO idempotency_keys (caller, key_hash, command_id, created_at)
      SELECT caller, key_hash, command_id, to_timestamp(accepted_ms / 1000) FROM booked WHERE key_hash IS NOT NULL
      ORDER BY caller COLLATE "C", key_hash COLLATE "C"
    )
    INSERT INTO commands (command_id, type, event_id, user_id, caller, idempotency_key, outcome, booking_sequence,
      accepted_at, decided_at)
    SELECT command_id, 'book', event_id, user_id, caller, key_hash, 'booked', sequence, to_timestamp(accepted_ms / 1000), at
    FROM booked RETURNING command_id, booking_sequence, decided_at`,
}

/** Hit where a user, a command or a key came first by another run that has committed meanwhile. */
const RACES = ['claims_event_id_user_id_pk', 'commands_pkey', 'idempotency_keys_caller_key_hash_pk']

/**
 * Books tickets in one statement that is its own transaction, at a third of the price of a batch. Only where there is nothing
 * to decide: a ticket is free, the user has no claim, command and key were not seen before, nobody holds the event's lock.
 * It waits for nothing but another run that is about to commit the same.
 *
 * @param bookings each of another event. Where two have the same key, nothing is booked
 * @returns what was booked, by command id; decide as a batch what is missing, nothing was changed by it
 * @throws the driver's error. After a lost connection nobody knows what was kept: decide all of it as a batch, the
 * stored outcomes tell
 */
export async function bookFreeTickets(
  pool: pg.Pool | pg.ClientBase,
  bookings: readonly PlainBooking[],
): Promise<Map<string, BookedTicket>> {
  const { name, text } = bookFree
  const values = [
    arrayOf(bookings.map(({ eventId }) => eventId)),
    arrayOf(bookings.map(({ userId }) => userId)),
    arrayOf(bookings.map(({ commandId }) => commandId)),
    arrayOf(bookings.map(({ caller }) => caller)),
    arrayOf(bookings.map(({ keyHash }) => keyHash ?? null)),
    arrayOf(bookings.map(({ acceptedAtMs }) => acceptedAtMs)),
  ]
  try {
    const { rows } = await pool.query<BookedRow>({ name, text, values })
    return new Map(
      rows.map(({ command_id, booking_sequence, decided_at }) => [
        command_id,
        { sequence: Number(booking_sequence), decidedAtMs: decided_at.getTime() },
      ]),
    )
  } catch (error) {
    if (RACES.some((constraint) => isUniqueViolation(error, constraint))) return new Map()
    throw error
  }
}

interface BookedRow {
  command_id: string
  booking_sequence: string
  decided_at: Date
}
