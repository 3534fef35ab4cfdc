import type pg from 'pg'
import { faultKindOf } from '../faults.js'
import { bookFreeTickets, type PlainBooking } from './book-free.js'
import { lendClient } from './lend-client.js'
import { beginBatch, type LoadedBatch, type LoadRequest } from './load.js'
import { type BatchWrites, writeBatch } from './write.js'

/** Commands for an event that exists only during a rehearsal. */
export interface Rehearsal {
  /** Id of that event. No other event may have it. */
  eventId: number
  /** An existing event, whose size and last sequence number the event of the rehearsal gets. */
  likeEventId: number
  /** A booking for which the fast path must find a free ticket. */
  plain: PlainBooking
  /** Batches that follow it, in order. */
  batches: { request: LoadRequest; decide: (loaded: LoadedBatch) => BatchWrites }[]
}

/**
 * Runs the statements of the line on an event of its own, in one transaction that is rolled back.
 * It leaves nothing behind and locks nothing that a sale needs. If it succeeds, a command that
 * failed a moment ago failed for a reason of its own.
 *
 * @throws the driver's error, if PostgreSQL refuses a statement of the line
 */
export async function rehearse(pool: pg.Pool, rehearsal: Rehearsal): Promise<void> {
  await lendClient(pool, async (client) => {
    await client.query('BEGIN')
    await client.query(
      // The event has one free ticket. A CHECK that an operator added may depend on the size of an
      // event or on its sequence numbers.
      `INSERT INTO events (event_id, total_tickets, available_tickets, last_sequence)
        SELECT $1, coalesce(max(greatest(total_tickets, 1)), 1), 1, coalesce(max(last_sequence), 0)
        FROM events WHERE event_id = $2`,
      [rehearsal.eventId, rehearsal.likeEventId],
    )
    const booked = await bookFreeTickets(client, [rehearsal.plain])
    if (booked.size === 0) throw new Error('a rehearsal found no free ticket')
    for (const { request, decide } of rehearsal.batches)
      await writeBatch(client, decide(await beginBatch(client, request, false)))
    // Checks now what COMMIT would check.
    await client.query('SET CONSTRAINTS ALL IMMEDIATE')
    await client.query('ROLLBACK')
  })
}

/** True if another transaction holds the lock of an event at this moment. */
export async function isEventLocked(pool: pg.Pool, eventId: number): Promise<boolean> {
  try {
    await pool.query('SELECT FROM events WHERE event_id = $1 FOR UPDATE NOWAIT', [eventId])
    return false
  } catch (error) {
    if (faultKindOf(error) === 'lock') return true
    throw error
  }
}
