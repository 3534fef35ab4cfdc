import type pg from 'pg'
import { faultKindOf, retryRuleOf } from '../faults.js'
import { bookFreeTickets, type PlainBooking } from './book-free-tickets.js'
import { beginBatch, type LoadedBatch, type LoadRequest } from './load.js'
import { rolledBack } from './rolled-back.js'
import { type BatchWrites, writeBatch } from './write.js'

/** Commands for an event that exists during a rehearsal only. */
export interface Rehearsal {
  /** The event. No other event may have this id. */
  eventId: number
  /** An event that the rehearsal resembles in its size and in the numbers that it has given out. */
  likeEventId: number
  /** A booking that the fast path must find a free ticket for. */
  plain: PlainBooking
  /** Batches that follow it, in order. */
  batches: { request: LoadRequest; decide: (loaded: LoadedBatch) => BatchWrites }[]
}

/**
 * Runs the statements of the line on an event of its own, in one transaction that is rolled back. It leaves nothing
 * behind and locks nothing that a sale needs. If it succeeds, a command that failed a moment ago failed for a reason
 * of its own.
 *
 * @throws the driver's error, if PostgreSQL does not do what the line needs of it
 */
export async function rehearse(pool: pg.Pool, rehearsal: Rehearsal): Promise<void> {
  const client = await pool.connect()
  let broken = false
  try {
    await client.query('BEGIN')
    await client.query(
      // One free ticket. Checks that somebody added may depend on the size of an event or on its numbers.
      `INSERT INTO events (event_id, total_tickets, available_tickets, last_sequence)
        SELECT $1, coalesce(max(greatest(total_tickets, 1)), 1), 1, coalesce(max(last_sequence), 0)
        FROM events WHERE event_id = $2`,
      [rehearsal.eventId, rehearsal.likeEventId],
    )
    const booked = await bookFreeTickets(client, [rehearsal.plain])
    if (booked.size === 0) throw new Error('a rehearsal found no free ticket')
    for (const { request, decide } of rehearsal.batches)
      await writeBatch(client, decide(await beginBatch(client, request, false)))
    // What would otherwise be checked by COMMIT.
    await client.query('SET CONSTRAINTS ALL IMMEDIATE')
    broken = !(await rolledBack(client))
  } catch (error) {
    broken = !(await rolledBack(client)) || retryRuleOf(error).closesConnection
    throw error
  } finally {
    client.release(broken)
  }
}

/** Whether somebody holds the lock of an event at this moment. */
export async function isEventLocked(pool: pg.Pool, eventId: number): Promise<boolean> {
  try {
    await pool.query('SELECT FROM events WHERE event_id = $1 FOR UPDATE NOWAIT', [eventId])
    return false
  } catch (error) {
    if (faultKindOf(error) === 'lock') return true
    throw error
  }
}
