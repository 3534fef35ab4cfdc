import type { Change, components } from '@ticket-line/client'
import { duration, moment, number } from '../../format.js'

type Settings = components['schemas']['ChangedSettings']

/** What happened, in words. */
export function whatHappened({ type, position, expiresAt, data = {} }: Change): string {
  switch (type) {
    case 'booking.confirmed':
      return bookedBy(data.origin)
    case 'booking.held':
      return `Ticket held${until(expiresAt)}`
    case 'booking.extended':
      return `Hold extended${until(expiresAt)}`
    case 'booking.expiring':
      return expiresAt === undefined
        ? 'Hold about to expire'
        : `Hold about to expire, at ${moment(expiresAt)}`
    case 'booking.canceled':
      return data.standing === 'held'
        ? `Held ticket released${because(data.reason)}`
        : `Booking canceled${because(data.reason)}`
    case 'booking.expired':
      return 'Hold expired'
    case 'waitlist.joined':
      return position === undefined
        ? 'Joined the waiting list'
        : `Joined the waiting list in position ${number(position)}`
    case 'waitlist.left':
      return data.reason === 'granted'
        ? 'Left the waiting list because staff gave them a ticket'
        : `Left the waiting list${because(data.reason)}`
    case 'waitlist.promoted':
      return expiresAt === undefined
        ? 'Got a ticket from the waiting list'
        : `Was offered a ticket from the waiting list${until(expiresAt)}`
    case 'event.created':
      return data.settings?.totalTickets === undefined
        ? 'Event created'
        : `Event created, tickets: ${number(data.settings.totalTickets)}`
    case 'event.updated':
      return `Settings changed: ${settingsIn(data.settings ?? {}).join('; ')}`
    case 'event.canceled':
      return data.reason === undefined ? 'Event canceled' : `Event canceled: ${data.reason}`
    case 'event.sold_out':
      return 'Sold out'
    case 'event.available':
      return 'Tickets are free again'
  }
}

/**
 * Who caused a change; undefined if it was the person whose claim changed, or if the change only
 * follows from another one.
 */
export function whoDidIt({ type, userId, actor }: Change): string | undefined {
  if (type === 'event.sold_out' || type === 'event.available') return undefined
  switch (actor.kind) {
    case 'user':
      return actor.id === userId || actor.id === null ? undefined : `by ${actor.id}`
    case 'key':
      return `by API key ${actor.id}`
    case 'system':
      return 'automatically'
  }
}

function bookedBy(origin: NonNullable<Change['data']>['origin']): string {
  switch (origin) {
    case 'hold':
      return 'Held ticket confirmed'
    case 'offer':
      return 'Offered ticket confirmed'
    case 'late':
      return 'Ticket confirmed after the hold had expired'
    case 'grant':
      return 'Ticket given by staff'
    case 'sale':
    case undefined:
      return 'Ticket booked'
  }
}

function until(expiresAt: string | undefined): string {
  return expiresAt === undefined ? '' : ` until ${moment(expiresAt)}`
}

function because(reason: string | undefined): string {
  return reason === 'event_canceled' ? ' because the event was canceled' : ''
}

type Text<Value> = (value: NonNullable<Value>) => string

const asIs = (value: string): string => value

/** The name of each setting, and how its values are shown. */
const SETTINGS: { [Name in keyof Settings]-?: [name: string, text: Text<Settings[Name]>] } = {
  totalTickets: ['tickets', number],
  name: ['name', asIs],
  startsAt: ['start', moment],
  endsAt: ['end', moment],
  timezone: ['time zone', asIs],
  venue: ['venue', asIs],
  url: ['web page', asIs],
  listed: ['listed', (value) => (value ? 'yes' : 'no')],
  opensAt: ['sale opens', moment],
  closesAt: ['sale closes', moment],
  holdSeconds: ['time to confirm', duration],
  offerSeconds: ['time to confirm an offer', duration],
  maxHoldSeconds: ['longest hold', duration],
  confirmation: ['confirmed by', (value) => (value === 'holder' ? 'the buyer' : 'staff')],
  maxWaiting: ['waiting list limit', number],
  sales: ['sale', (value) => (value === 'open' ? 'not paused' : 'paused')],
  promotion: ['tickets for the waiting list', (value) => (value === 'on' ? 'on' : 'stopped')],
}

function settingsIn(settings: Settings): string[] {
  return (Object.keys(settings) as (keyof Settings)[]).map((key) => {
    const [name, text] = SETTINGS[key] as [string, Text<unknown>]
    const value = settings[key]
    return `${name}: ${value === null || value === undefined ? 'none' : text(value)}`
  })
}
