import type { EventSettings } from './event.js'

/** The types of change in the log of an event, as the API spells them. */
export const CHANGE_TYPES = [
  'booking.confirmed',
  'booking.held',
  'booking.extended',
  'booking.expiring',
  'booking.canceled',
  'booking.expired',
  'waitlist.joined',
  'waitlist.left',
  'waitlist.promoted',
  'event.created',
  'event.updated',
  'event.canceled',
  'event.sold_out',
  'event.available',
] as const

export type ChangeType = (typeof CHANGE_TYPES)[number]

/** Where a confirmed booking came from. */
export type BookingOrigin = 'sale' | 'hold' | 'offer' | 'late' | 'grant'

/** What a claim was before it ended. */
export type EndedStanding = 'booked' | 'held'

/** The members of a logged change that have no column of their own. */
export interface LoggedChangeData {
  /** Of `booking.confirmed`; absent for `sale`. */
  origin?: BookingOrigin
  /** Of `waitlist.joined`: the position in the list when the change was decided. */
  position?: number
  /** Of a hold that began or was extended, and of an offer: its deadline, ms since 1970. */
  expiresAtMs?: number
  /** Of `booking.canceled`: what was canceled; absent for `booked`. */
  standing?: EndedStanding
  /** Why a claim ended if its user did not end it, or why an event was canceled. */
  reason?: string
  /** Of `event.created`: all settings. Of `event.updated`: the settings that changed. */
  settings?: Partial<EventSettings>
}

/**
 * A change in the log of an event. The log has one for each effect of a command, if clients can see
 * that effect.
 */
export interface LoggedChange {
  eventId: number
  /** The changes of an event are numbered in order of decision, without gaps. */
  no: number
  type: ChangeType
  /** When it was decided, ms since 1970. */
  atMs: number
  /** The user whose claim changed; null if the event itself changed. */
  userId: string | null
  /** Number of the booking, hold or waiting-list entry; null if the event itself changed. */
  sequence: number | null
  /** The caller of the command that caused it; null if the system did. */
  actor: string | null
  /** The command that caused it; null for `event.created`. */
  commandId: string | null
  data: LoggedChangeData | null
}
