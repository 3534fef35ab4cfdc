import type { ChangeType } from '@ticket-line/client'

/** What each type of change is called in lists and forms. */
export const CHANGE_NAMES: Readonly<Record<ChangeType, string>> = {
  'booking.confirmed': 'Ticket booked',
  'booking.held': 'Ticket held',
  'booking.extended': 'Hold extended',
  'booking.expiring': 'Hold about to expire',
  'booking.canceled': 'Booking or hold canceled',
  'booking.expired': 'Hold expired',
  'waitlist.joined': 'Waiting list joined',
  'waitlist.left': 'Waiting list left',
  'waitlist.promoted': 'Waiting person got a ticket',
  'event.created': 'Event created',
  'event.updated': 'Settings changed',
  'event.canceled': 'Event canceled',
  'event.sold_out': 'Sold out',
  'event.available': 'Tickets free again',
}

export const CHANGE_TYPES = Object.keys(CHANGE_NAMES) as ChangeType[]
