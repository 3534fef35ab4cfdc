import type { LiveStatus, TicketedEvent } from '@ticket-line/client'

/** What the stream of an event and the event itself both have. */
export type SaleStatus = Pick<
  LiveStatus,
  'state' | 'availableTickets' | 'heldTickets' | 'waitingListCount' | 'serverTime'
>

/** The newer one of an event and the last status of its stream. */
export function latestOf(event: TicketedEvent, status: SaleStatus | undefined): SaleStatus {
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
  status: SaleStatus | undefined,
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
export function isOutdated(event: TicketedEvent, status: SaleStatus | undefined): boolean {
  if (status === undefined || latestOf(event, status) !== status) return false
  return saleStateAt(event, undefined, Date.parse(status.serverTime)) !== status.state
}
