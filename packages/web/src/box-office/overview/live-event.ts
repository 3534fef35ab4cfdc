import type { LiveStatus, TicketedEvent } from '@ticket-line/client'
import { bookedOf } from '../cancel/cancel-preview.js'
import type { Counts } from './samples.js'

/** The event with what its stream has sent since it was read. */
export function liveEvent(event: TicketedEvent, status: LiveStatus | undefined): TicketedEvent {
  if (status === undefined || Date.parse(status.serverTime) <= Date.parse(event.serverTime))
    return event
  // Tickets are withheld only while somebody is on the waiting list.
  const withheldTickets = status.waitingListCount === 0 ? 0 : event.withheldTickets
  return { ...event, ...status, withheldTickets }
}

/** One point in time for the chart. @param event as `liveEvent` returns it */
export function countsOf(event: TicketedEvent, changeNo: number): Counts {
  const { serverTime, waitingListCount } = event
  return {
    atMs: Date.parse(serverTime),
    changeNo,
    booked: bookedOf(event),
    waiting: waitingListCount,
  }
}
