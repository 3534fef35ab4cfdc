import type { AcceptedCommand } from '@ticket-line/shared'
import { TransactionRollbackError } from 'drizzle-orm'
import type { Pool } from 'pg'
import { bookFree } from './book-free.js'
import { type LoadedBatch, type LoadRequest, load } from './load.js'
import { inTransaction, type Statement } from './transaction.js'
import { type BatchWrites, write } from './write.js'

/** The commands of a canary, for an event that exists only while it runs. */
export interface Canary {
  /** Id of that event. No other event may have it. */
  eventId: number
  /** An existing event, whose size and last sequence number the event of the canary gets. */
  likeEventId: number
  /** A booking for which the fast path must find a free ticket. */
  booking: AcceptedCommand
  /** Batches that follow it, in order. */
  batches: { request: LoadRequest; decide: (loaded: LoadedBatch) => BatchWrites }[]
}

// The event has one free ticket. It has the size and the last sequence number of an existing event,
// because a CHECK that an operator added may depend on them.
const insertEvent: Statement = {
  name: 'canary_insert_event',
  text: `INSERT INTO events (event_id, total_tickets, available_tickets, last_sequence)
    SELECT $1, coalesce(max(greatest(total_tickets, 1)), 1), 1, coalesce(max(last_sequence), 0)
    FROM events WHERE event_id = $2`,
}

// Checks at once what COMMIT would check.
const checkConstraints: Statement = {
  name: 'canary_check_constraints',
  text: 'SET CONSTRAINTS ALL IMMEDIATE',
}

/**
 * Runs the statements of the line on an event of its own, in one transaction that it rolls back. It
 * leaves nothing behind and locks nothing that a sale needs. If it succeeds, a command that failed
 * a moment ago failed for a reason of its own.
 *
 * @throws the driver's error, if PostgreSQL refuses a statement of the line
 */
export async function runCanary(pool: Pool, canary: Canary): Promise<void> {
  const { eventId, likeEventId, booking, batches } = canary
  try {
    await inTransaction(pool, async (connection) => {
      // Waits for BEGIN. If it failed, the next statement would commit the event.
      await connection.roundTrip(() => [])
      await connection.roundTrip((send) => [send(insertEvent, [eventId, likeEventId])])
      const booked = await bookFree(connection.client, [booking])
      if (booked.size === 0) throw new Error('a canary found no free ticket')
      for (const { request, decide } of batches)
        await write(connection, decide(await load(connection, request)))
      await connection.roundTrip((send) => [send(checkConstraints, [])])
      throw new TransactionRollbackError()
    })
  } catch (error) {
    if (!(error instanceof TransactionRollbackError)) throw error
  }
}
