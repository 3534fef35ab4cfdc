import type { TicketedEvent } from '@ticket-line/client'

/** What canceling an event ends. */
export interface CancelPreview {
  bookings: number
  /** Whether there may be more bookings than that. */
  isAtLeast: boolean
  holds: number
  waiting: number
  /** Free and withheld tickets. */
  unsold: number
  /** Whether nobody has a claim for the event now. */
  isUnused: boolean
}

/** @param found how many bookings were read, of the {@link bookingsToFind} that were wanted */
export function cancelPreview(event: TicketedEvent, found = 0): CancelPreview {
  const { availableTickets, withheldTickets, heldTickets, waitingListCount } = event
  const unsold = availableTickets + withheldTickets
  const counted = bookedOf(event)
  const bookings = Math.max(counted, found)
  return {
    bookings,
    isAtLeast: found > counted,
    holds: heldTickets,
    waiting: waitingListCount,
    unsold,
    isUnused: bookings + heldTickets + waitingListCount === 0,
  }
}

/** Maximum number of bookings on one page of the list. */
const LONGEST_PAGE = 1000

/**
 * How many bookings to read in order to see whether an event still shrinks: one more than it should
 * have. While an event has free or withheld tickets, it does not shrink.
 *
 * @returns 0 if there is no need to look, or too much to read
 */
export function bookingsToFind(event: TicketedEvent): number {
  const { availableTickets, withheldTickets, state } = event
  if (state === 'canceled' || availableTickets + withheldTickets > 0) return 0
  const wanted = bookedOf(event) + 1
  return wanted > LONGEST_PAGE ? 0 : wanted
}

/**
 * Confirmed bookings of an event. While an event shrinks, it has more bookings than this, because
 * those above the new size are in no count of the event.
 */
export function bookedOf(event: TicketedEvent): number {
  if (event.state === 'canceled') return 0
  const { totalTickets, availableTickets, heldTickets, withheldTickets } = event
  return Math.max(0, totalTickets - availableTickets - heldTickets - withheldTickets)
}
