import type { AcceptedCommand } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { isInState } from '../events/sale-state.js'
import { BATCH_RACES, isUniqueViolation } from '../faults.js'
import { arrayOf } from './array-literal.js'
import { storeBookings } from './store-bookings.js'
import type { Statement } from './transaction.js'

/** A ticket that was booked by {@link bookFree}. */
export interface BookedTicket {
  /** Number of the booking in the order of its event's decisions. */
  sequence: number
  /** The last number in the change log of its event. */
  lastChange: number
  /** The database's clock when the event was locked, ms since 1970. */
  decidedAtMs: number
}

// `free` picks the bookings that can be made; every later CTE reads only from it. It looks each row
// up by its key, as in `load.ts`. The clock is read once, so that no booking is dated outside the
// sale. `free` sees the snapshot taken at the start of the statement. Claims, commands and keys
// that were committed since then raise a unique violation. An event row that was updated since then
// has a new `ctid`, so the UPDATE skips it. If the idempotency key exists, whatever its age, the
// booking is left to a batch, which checks whether the key is still valid. Keys are inserted in the
// order in which all batches insert them. The booking of the last ticket adds two rows to the log.
const storedBookings = storeBookings('booked', 'at')
const bookFreeTickets: Statement = {
  name: 'line_book_free',
  text: `WITH now AS MATERIALIZED (
      SELECT date_trunc('milliseconds', clock_timestamp()) AS at
    ), free AS (
      SELECT w.*, e.found, now.at
      FROM now, unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[])
        AS w (event_id, user_id, command_id, caller, key_hash, accepted_ms)
      CROSS JOIN LATERAL (
        SELECT ctid AS found FROM events WHERE event_id = w.event_id AND available_tickets > 0
          AND hold_seconds IS NULL AND ${isInState('open', 'now.at')}
          AND NOT EXISTS (SELECT FROM claims WHERE event_id = w.event_id AND user_id = w.user_id COLLATE "C")
          AND NOT EXISTS (SELECT FROM commands WHERE command_id = w.command_id COLLATE "C")
          AND NOT EXISTS (SELECT FROM forgotten_commands WHERE command_id = w.command_id COLLATE "C")
          AND NOT EXISTS (SELECT FROM idempotency_keys
            WHERE caller = w.caller COLLATE "C" AND key_hash = w.key_hash COLLATE "C")
        LIMIT 1 FOR UPDATE SKIP LOCKED
      ) AS e
    ), booked AS (
      UPDATE events e SET available_tickets = available_tickets - 1, last_sequence = last_sequence + 1,
        last_change = last_change + CASE available_tickets WHEN 1 THEN 2 ELSE 1 END
      FROM free AS w WHERE e.ctid = w.found
      RETURNING w.*, e.last_sequence AS sequence, e.last_change, e.available_tickets = 0 AS sold_out,
        e.last_change - (e.available_tickets = 0)::int AS no
    ), remembered AS (
      INSERT INTO idempotency_keys (caller, key_hash, command_id, created_at)
      SELECT caller, key_hash, command_id, to_timestamp(accepted_ms / 1000) FROM booked WHERE key_hash IS NOT NULL
      ORDER BY caller COLLATE "C", key_hash COLLATE "C"
    ), ${storedBookings.rest}, sold_out AS (
      INSERT INTO changes (event_id, no, at, type, actor, command_id)
      SELECT event_id, last_change, at, 'event.sold_out', caller, command_id FROM booked WHERE sold_out
    ), stored AS (${storedBookings.commands})
    SELECT command_id, sequence, last_change, at FROM booked`,
}

/**
 * Violated if a concurrent transaction has committed the same claim, command or key. `BATCH_RACES`
 * does not contain the constraint of claims: a batch locks its events first, so no other
 * transaction adds a claim in the meantime.
 */
const RACES = ['claims_event_id_user_id_pk', ...BATCH_RACES]

/**
 * Books free tickets in one statement that is its own transaction, at a third of the cost of a
 * batch. It books only if there is nothing to decide: a ticket is free, the user has no claim, the
 * command and its key are new, and no other transaction locks the event. It waits only for a
 * concurrent transaction that is about to commit the same claim, command or key.
 *
 * @param bookings commands of the type `book`, each for a different event. If two have the same
 * key, none is booked
 * @returns what was booked, by command id. The other bookings changed nothing: decide them as a
 * batch
 * @throws the driver's error. After a lost connection PostgreSQL may have committed. Decide all
 * bookings as a batch, which finds stored outcomes
 */
export async function bookFree(
  queryable: Pick<Pool, 'query'>,
  bookings: readonly AcceptedCommand[],
): Promise<Map<string, BookedTicket>> {
  const { name, text } = bookFreeTickets
  const values = [
    arrayOf(bookings.map(({ eventId }) => eventId)),
    arrayOf(bookings.map(({ userId }) => userId)),
    arrayOf(bookings.map(({ commandId }) => commandId)),
    arrayOf(bookings.map(({ caller }) => caller)),
    arrayOf(bookings.map(({ keyHash }) => keyHash ?? null)),
    arrayOf(bookings.map(({ acceptedAtMs }) => acceptedAtMs)),
  ]
  try {
    const { rows } = await queryable.query<BookedRow>({ name, text, values })
    return new Map(
      rows.map(({ command_id, sequence, last_change, at }) => [
        command_id,
        {
          sequence: Number(sequence),
          lastChange: Number(last_change),
          decidedAtMs: at.getTime(),
        },
      ]),
    )
  } catch (error) {
    if (RACES.some((constraint) => isUniqueViolation(error, constraint))) return new Map()
    throw error
  }
}

interface BookedRow {
  command_id: string
  sequence: string
  last_change: string
  at: Date
}
