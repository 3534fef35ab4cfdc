import { type BookedTicket, bookFreeTickets, type PlainBooking, type Pool } from '@ticket-line/db'
import { bookingIdOf } from '@ticket-line/shared'
import type { AppliedBatch, Batch } from './apply-batch.js'

/**
 * Applies, of several batches of different lines, those that are nothing but bookings of free tickets, each of another
 * event: the outcome of `decide` is known before, and one statement does for the nine of a batch.
 *
 * @returns what became of each batch, in their order; undefined for those that are to be applied as any other, of which
 * single commands may have been decided
 * @throws the driver's error; apply all of them as any other, whatever became of the statement
 */
export async function applyPlainBookings(
  pool: Pool,
  batches: readonly Batch[],
): Promise<(AppliedBatch | undefined)[]> {
  const plain = batches.map(plainBookingsOf)
  const bookings = plain.flat()
  if (bookings.length === 0) return batches.map(() => undefined)
  const booked = await bookFreeTickets(pool, bookings)
  return plain.map((ofBatch) => (ofBatch.length === 0 ? undefined : appliedOf(ofBatch, booked)))
}

/** The commands of a batch where all are plain bookings of different events; none otherwise. */
function plainBookingsOf({ commands, acceptedAtMs }: Batch): PlainBooking[] {
  const plain = commands.every(({ type }) => type === 'book')
  const eventIds = new Set(commands.map(({ eventId }) => eventId))
  if (!plain || eventIds.size < commands.length) return []
  return commands.map((command) => ({ ...command, acceptedAtMs }))
}

function appliedOf(
  bookings: PlainBooking[],
  booked: Map<string, BookedTicket>,
): AppliedBatch | undefined {
  const applied: AppliedBatch = { outcomes: [], decidedCount: bookings.length }
  for (const { eventId, commandId } of bookings) {
    const ticket = booked.get(commandId)
    if (ticket === undefined) return undefined
    const { sequence, decidedAtMs } = ticket
    applied.outcomes.push({
      outcome: 'booked',
      bookingId: bookingIdOf(eventId, sequence),
      decidedAtMs,
    })
  }
  return applied
}
