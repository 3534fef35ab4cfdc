import type { TicketedEvent } from '@ticket-line/client'
import { moment, number, plural } from '../format.js'

export type SaleState = TicketedEvent['state']

export const STATE_LABELS: Record<SaleState, string> = {
  open: 'On sale',
  scheduled: 'Not open yet',
  paused: 'Paused',
  closed: 'Sale ended',
  canceled: 'Canceled',
}

const tickets = (count: number): string => plural(count, 'ticket', 'tickets')
const people = (count: number): string => plural(count, 'person', 'people')

/** What the sale of an event does now, in a sentence. */
export function saleText(event: TicketedEvent): string {
  const { state, availableTickets, maxWaiting, opensAt, closesAt, timezone } = event
  const at = (iso: string | null): string => (iso === null ? '' : moment(iso, timezone))
  switch (state) {
    case 'canceled':
      return 'The event is canceled. All bookings and holds and the waiting list have ended.'
    case 'closed':
      return `The sale ended on ${at(closesAt)}. Nobody can book. People can still cancel.`
    case 'scheduled':
      return `The sale opens on ${at(opensAt)}.`
    case 'paused':
      return 'Nobody can book until you resume the sale. People can still cancel.'
    case 'open':
      if (availableTickets > 0) return 'People can book now.'
      return maxWaiting === 0
        ? 'All tickets are taken.'
        : 'All tickets are taken. People join the waiting list.'
  }
}

/** Why tickets are withheld. @returns undefined if none are */
export function withheldText({ withheldTickets, ...event }: TicketedEvent): string | undefined {
  if (withheldTickets === 0) return undefined
  const subject = `${tickets(withheldTickets)} ${withheldTickets === 1 ? 'is' : 'are'}`
  if (canPromote(event)) return `${subject} on the way to the waiting list.`
  const when = event.promotion === 'off' ? 'promotion is on again' : 'the sale is open'
  return `${subject} withheld. The waiting list gets them when ${when}.`
}

/** What it means that promotion is stopped. @returns undefined if it is not */
export function promotionText({ promotion, state }: TicketedEvent): string | undefined {
  if (promotion === 'on' || state === 'canceled') return undefined
  return 'Promotion is stopped: nobody on the waiting list gets a ticket that comes back.'
}

/** What a new number of tickets will do. */
export type CapacityNote =
  | { kind: 'same' }
  | { kind: 'possible'; text: string }
  /** The size is below the number of tickets that are booked or held. */
  | { kind: 'needs_shrink'; text: string }

/** @param committed booked and held tickets, if the API said how many there are */
export function capacityNote(
  event: TicketedEvent,
  wanted: number,
  committed = committedOf(event),
): CapacityNote {
  const { totalTickets, waitingListCount } = event
  if (wanted === totalTickets || !Number.isInteger(wanted) || wanted < 0) return { kind: 'same' }
  if (wanted < committed) {
    const excess = committed - wanted
    const text = `${tickets(committed)} ${committed === 1 ? 'is' : 'are'} booked or held, ${number(excess)} more than the new size. Nobody loses a ticket: the event can only shrink as tickets come back. Until then, the overview does not count the excess.`
    return { kind: 'needs_shrink', text }
  }
  if (wanted < totalTickets)
    return { kind: 'possible', text: `${tickets(totalTickets - wanted)} will be removed at once.` }
  const added = wanted - totalTickets
  const promoted = Math.min(added, waitingListCount)
  if (promoted === 0)
    return { kind: 'possible', text: `${tickets(added)} will be added and are free at once.` }
  const text = canPromote(event)
    ? `${tickets(added)} will be added. The first ${people(promoted)} on the waiting list will get one.`
    : `${tickets(added)} will be added. The waiting list gets them when promotion is possible.`
  return { kind: 'possible', text }
}

/** Tickets that are booked or held. An event that still shrinks has more. */
export function committedOf(event: TicketedEvent): number {
  return event.totalTickets - event.availableTickets - event.withheldTickets
}

function canPromote({ state, promotion }: Pick<TicketedEvent, 'state' | 'promotion'>): boolean {
  return state === 'open' && promotion === 'on'
}
