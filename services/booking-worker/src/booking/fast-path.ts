import type { BookedTicket, LineStore } from '@ticket-line/db'
import { type AcceptedCommand, bookingIdOf } from '@ticket-line/shared'
import type { AppliedBatch, Batch } from './batch.js'
import { bookedChange } from './decide.js'

/**
 * Applies batches that only book free tickets, each for a different event. What `decide` would
 * answer is known beforehand, so one statement replaces those of a batch.
 *
 * @param batches of different lines
 * @returns what became of each batch, in their order. If this is undefined for a batch, decide the
 * batch in a transaction; some of its commands may have been decided here
 * @throws the driver's error. Decide all batches in a transaction, even if the statement may have
 * succeeded
 */
export async function applyFastPath(
  store: LineStore,
  batches: readonly Batch[],
): Promise<(AppliedBatch | undefined)[]> {
  const bookings = batches.map(bookingsOf)
  const all = bookings.flat()
  if (all.length === 0) return batches.map(() => undefined)
  const booked = await store.bookFree(all)
  return bookings.map((ofBatch) => (ofBatch.length === 0 ? undefined : appliedOf(ofBatch, booked)))
}

/**
 * The commands of a batch, if all of them book and each names a different event; otherwise none.
 */
function bookingsOf({ commands }: Batch): readonly AcceptedCommand[] {
  if (!commands.every(({ type }) => type === 'book')) return []
  const eventIds = new Set(commands.map(({ eventId }) => eventId))
  return eventIds.size < commands.length ? [] : commands
}

function appliedOf(
  bookings: readonly AcceptedCommand[],
  booked: Map<string, BookedTicket>,
): AppliedBatch | undefined {
  const applied: AppliedBatch = { outcomes: [], changes: [], lastChanges: new Map(), due: [] }
  for (const command of bookings) {
    const ticket = booked.get(command.commandId)
    if (ticket === undefined) return undefined
    const { sequence, lastChange, decidedAtMs } = ticket
    const bookingId = bookingIdOf(command.eventId, sequence)
    applied.outcomes.push({ outcome: 'booked', bookingId, decidedAtMs })
    applied.changes.push(bookedChange(command, sequence))
    applied.lastChanges.set(command.eventId, lastChange)
  }
  return applied
}
