import type { LoggedChange, LoggedChangeData } from '@ticket-line/shared'
import type { Change } from './change.js'

/** A change as the log of its event has it, without its number. */
export type LogEntry = Pick<LoggedChange, 'type' | 'userId' | 'sequence' | 'data'>

const NOTHING: readonly LogEntry[] = []

/**
 * The entries of a change in the log of its event: one for each effect that clients can see. A
 * promotion has one entry, whether it is a booking or an offer. Tickets that enter or leave
 * circulation have none. Clients see their effect as `sold_out` and `available`.
 */
export function logOf(change: Change): readonly LogEntry[] {
  switch (change.type) {
    case 'booked':
      return [ofClaim('booking.confirmed', change, null)]
    case 'held':
      return [ofClaim('booking.held', change, { expiresAtMs: change.expiresAtMs })]
    case 'joined':
      return [ofClaim('waitlist.joined', change, { position: change.position })]
    case 'confirmed':
      return [ofClaim('booking.confirmed', change, { origin: change.origin })]
    case 'extended':
      return [ofClaim('booking.extended', change, { expiresAtMs: change.expiresAtMs })]
    case 'reminded':
      return [ofClaim('booking.expiring', change, { expiresAtMs: change.expiresAtMs })]
    case 'canceled':
      return [ofClaim('booking.canceled', change, null)]
    case 'released':
      return [ofClaim('booking.canceled', change, { standing: 'held' })]
    case 'lapsed':
      return [ofClaim('booking.expired', change, null)]
    case 'withdrawn':
      return [ofClaim('waitlist.left', change, null)]
    case 'promoted': {
      const { offer } = change
      const data = offer === undefined ? null : { expiresAtMs: offer.expiresAtMs }
      return [ofClaim('waitlist.promoted', change, data)]
    }
    case 'granted':
      return ofGrant(change)
    case 'ended':
      return [ofEnd(change)]
    case 'configured':
      return [ofEvent('event.updated', { settings: change.patch })]
    case 'event_canceled': {
      // PostgreSQL stores no NUL in `jsonb`.
      const reason = change.reason?.replaceAll('\0', '\ufffd')
      return [ofEvent('event.canceled', reason === undefined ? null : { reason })]
    }
    case 'sold_out':
      return [ofEvent('event.sold_out', null)]
    case 'available':
      return [ofEvent('event.available', null)]
    case 'circulated':
    case 'rescheduled':
      return NOTHING
  }
}

function ofClaim(
  type: LogEntry['type'],
  { userId, sequence }: { userId: string; sequence: number },
  data: LoggedChangeData | null,
): LogEntry {
  return { type, userId, sequence, data }
}

function ofEvent(type: LogEntry['type'], data: LoggedChangeData | null): LogEntry {
  return { type, userId: null, sequence: null, data }
}

/** A user on the waiting list leaves it before they get the ticket. */
function ofGrant(change: Change & { type: 'granted' }): LogEntry[] {
  const { userId, entrySequence } = change
  const confirmed = ofClaim('booking.confirmed', change, { origin: 'grant' })
  if (entrySequence === undefined) return [confirmed]
  const left = { userId, sequence: entrySequence }
  return [ofClaim('waitlist.left', left, { reason: 'granted' }), confirmed]
}

function ofEnd(change: Change & { type: 'ended' }): LogEntry {
  const reason = 'event_canceled'
  switch (change.kind) {
    case 'waiting':
      return ofClaim('waitlist.left', change, { reason })
    case 'held':
      return ofClaim('booking.canceled', change, { standing: 'held', reason })
    case 'booking':
      return ofClaim('booking.canceled', change, { reason })
  }
}
