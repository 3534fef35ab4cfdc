import type { TicketedEvent } from '@ticket-line/client'
import { latestOf, type SaleStatus } from '../sale-state.js'

/** The tickets of an event, as the page counts them. */
export interface Tickets {
  total: number
  free: number
  held: number
  booked: number
  /** People on the waiting list. */
  waiting: number
}

export function ticketsOf(event: TicketedEvent, status: SaleStatus | undefined): Tickets {
  const { availableTickets: free, heldTickets: held, waitingListCount } = latestOf(event, status)
  // If the event has grown since it was loaded, its size is at least this.
  const total = Math.max(event.totalTickets, free + held)
  const booked = Math.max(0, total - free - held - event.withheldTickets)
  return { total, free, held, booked, waiting: waitingListCount }
}

/**
 * Whether a hold or an offer of this event may have expired before a time.
 *
 * @param nowMs the server's clock
 */
export function mayHaveExpired(event: TicketedEvent, nowMs: number): boolean {
  const { holdSeconds, offerSeconds, opensAt } = event
  const shortest = Math.min(holdSeconds ?? Infinity, offerSeconds ?? Infinity)
  if (shortest === Infinity) return false
  return opensAt === null || nowMs >= Date.parse(opensAt) + shortest * 1000
}

/** What an open sale has for a user without a claim. */
export type Availability = 'tickets' | 'list' | 'full_list' | 'nothing'

export function availabilityOf(
  { maxWaiting }: TicketedEvent,
  { free, waiting }: Tickets,
): Availability {
  if (free > 0) return 'tickets'
  if (maxWaiting === 0) return 'nothing'
  return maxWaiting !== null && waiting >= maxWaiting ? 'full_list' : 'list'
}
