import type { TicketedEvent } from '@ticket-line/client'

/** What canceling an event ends. */
export interface CancelPreview {
  bookings: number
  holds: number
  waiting: number
  /** Free and withheld tickets. */
  unsold: number
  /** Whether nobody has anything for the event now. */
  isUnused: boolean
}

export function cancelPreview(event: TicketedEvent): CancelPreview {
  const { availableTickets, withheldTickets, heldTickets, waitingListCount } = event
  const unsold = availableTickets + withheldTickets
  const bookings = bookedOf(event)
  return {
    bookings,
    holds: heldTickets,
    waiting: waitingListCount,
    unsold,
    isUnused: bookings + heldTickets + waitingListCount === 0,
  }
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
