import type { LiveStatus, TicketedEvent } from '@ticket-line/client'

/** The tickets of an event, as the page counts them. */
export interface Tickets {
  total: number
  free: number
  held: number
  booked: number
  /** People on the waiting list. */
  waiting: number
}

type Status = Pick<
  LiveStatus,
  'state' | 'availableTickets' | 'heldTickets' | 'waitingListCount' | 'serverTime'
>

/** The newer one of an event and the last status of its stream. */
export function latestOf(event: TicketedEvent, status: Status | undefined): Status {
  if (status === undefined) return event
  return Date.parse(status.serverTime) >= Date.parse(event.serverTime) ? status : event
}

/**
 * The state of the sale at a time. The sale opens and closes by the clock, so the page does not
 * wait for the server. If the server has reported another state after that time, the settings have
 * changed, and the server is right.
 *
 * @param nowMs the server's clock
 */
export function saleStateAt(
  event: TicketedEvent,
  status: Status | undefined,
  nowMs: number,
): TicketedEvent['state'] {
  const { state, serverTime } = latestOf(event, status)
  const saidAtMs = Date.parse(serverTime)
  const hasPassed = (time: string | null) =>
    time !== null && Date.parse(time) > saidAtMs && Date.parse(time) <= nowMs
  if (state === 'canceled' || state === 'closed') return state
  if (hasPassed(event.closesAt)) return 'closed'
  if (state !== 'scheduled' || !hasPassed(event.opensAt)) return state
  return event.sales === 'paused' ? 'paused' : 'open'
}

/** Whether the stream shows that the settings of the event are no longer those that were loaded. */
export function isOutdated(event: TicketedEvent, status: Status | undefined): boolean {
  if (status === undefined || latestOf(event, status) !== status) return false
  return saleStateAt(event, undefined, Date.parse(status.serverTime)) !== status.state
}

export function ticketsOf(event: TicketedEvent, status: Status | undefined): Tickets {
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
