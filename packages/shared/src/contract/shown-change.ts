import { keyIdOf } from './api-key.js'
import type { BookingOrigin, ChangeType, EndedStanding, LoggedChange } from './change-log.js'
import { type ShownSettings, shownSettingsOf } from './event.js'
import { bookingIdOf } from './outcome.js'

/** A change as clients see it. */
export interface ShownChange {
  no: number
  type: ChangeType
  /** ISO 8601, as all times here. */
  at: string
  userId: string | null
  /** Of bookings and holds. */
  bookingId?: string
  /** Of `waitlist.joined`: the position in the list when the change was decided. */
  position?: number
  /** Of holds and offers. */
  expiresAt?: string
  actor: { kind: 'user' | 'key' | 'system'; id: string | null }
  data?: ShownChangeData
}

export interface ShownChangeData {
  /** Of `booking.confirmed`. */
  origin?: BookingOrigin
  /** Of `booking.canceled`: what was canceled. */
  standing?: EndedStanding
  reason?: string
  settings?: ShownSettings
}

/** The form in which clients get a change. */
export function shownChangeOf(change: LoggedChange): ShownChange {
  const { eventId, no, type, atMs, userId, sequence, actor, data } = change
  const hasBooking = type.startsWith('booking.') || type === 'waitlist.promoted'
  return {
    no,
    type,
    at: isoOf(atMs),
    userId,
    ...(hasBooking && sequence !== null && { bookingId: bookingIdOf(eventId, sequence) }),
    ...(data?.position !== undefined && { position: data.position }),
    ...(data?.expiresAtMs !== undefined && { expiresAt: isoOf(data.expiresAtMs) }),
    actor: shownActorOf(actor),
    ...shownDataOf(change),
  }
}

function shownActorOf(actor: string | null): ShownChange['actor'] {
  if (actor === null) return { kind: 'system', id: null }
  const keyId = keyIdOf(actor)
  return keyId === undefined ? { kind: 'user', id: actor } : { kind: 'key', id: keyId }
}

function shownDataOf({ type, data }: LoggedChange): { data?: ShownChangeData } {
  const shown: ShownChangeData = {
    ...(type === 'booking.confirmed' && { origin: data?.origin ?? 'sale' }),
    ...(type === 'booking.canceled' && { standing: data?.standing ?? 'booked' }),
    ...(data?.reason !== undefined && { reason: data.reason }),
    ...(data?.settings !== undefined && { settings: shownSettingsOf(data.settings) }),
  }
  return Object.keys(shown).length > 0 ? { data: shown } : {}
}

/** A time for clients. It is rounded, because PostgreSQL computes times as floats. */
export function isoOf(timeMs: number): string
export function isoOf(timeMs: number | null): string | null
export function isoOf(timeMs: number | null): string | null {
  return timeMs === null ? null : new Date(Math.round(timeMs)).toISOString()
}
