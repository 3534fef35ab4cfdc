import {
  type Asked,
  bookingIdOf,
  type CancelEventRequest,
  type CommandRequest,
  type ConfigureRequest,
  type EventPatch,
  type EventSettings,
  type GrantRequest,
  MAX_TOTAL_TICKETS,
  saleRulesOf,
} from '@ticket-line/shared'
import { type Change, type Decision, unchanged } from './change.js'
import { type Claim, type EventState, InvariantError } from './event-state.js'

/** Gives a free, a withheld or a new ticket to a user, ahead of the waiting list. */
export function decideGrant(
  state: EventState,
  { eventId, userId, raiseCapacity }: Asked<GrantRequest>,
  nowMs: number,
): Decision {
  const claim = state.claims.get(userId)
  if (claim?.kind === 'booking' || claim?.kind === 'held') {
    const bookingId = bookingIdOf(eventId, claim.sequence)
    if (claim.kind === 'booking') return unchanged('already_booked', nowMs, { bookingId })
    return {
      outcome: { outcome: 'confirmed', bookingId, decidedAtMs: nowMs },
      changes: [confirmedChange({ eventId, userId }, claim)],
    }
  }
  const ticket = ticketToGrant(state, raiseCapacity === true)
  if (ticket === undefined) return unchanged('sold_out', nowMs)
  const sequence = state.lastSequence + 1
  const entrySequence = claim?.kind === 'waiting' ? claim.sequence : undefined
  return {
    outcome: { outcome: 'booked', bookingId: bookingIdOf(eventId, sequence), decidedAtMs: nowMs },
    changes: [...ticket, { type: 'granted', eventId, userId, sequence, entrySequence }],
  }
}

/** The change of a command that turns a live hold into a booking. */
export function confirmedChange(
  { eventId, userId }: Pick<CommandRequest, 'eventId' | 'userId'>,
  { sequence, offered }: Claim & { kind: 'held' },
): Change {
  return { type: 'confirmed', eventId, userId, sequence, origin: offered ? 'offer' : 'hold' }
}

/** @returns the changes that make a ticket free for a grant; undefined if there is none */
function ticketToGrant(state: EventState, raiseCapacity: boolean): Change[] | undefined {
  const { eventId, capacity, totalTickets } = state
  if (state.availableTickets > 0) return []
  const enters: Change = { type: 'circulated', eventId, by: 1 }
  if (totalTickets < capacity) return [enters]
  if (!raiseCapacity || totalTickets >= MAX_TOTAL_TICKETS) return undefined
  const patch: EventPatch = { totalTickets: capacity + 1 }
  return [{ type: 'configured', eventId, patch }, enters]
}

/**
 * Changes all settings of a patch, or none. If the event grows, settles give its new tickets to the
 * waiting list in portions; if nobody is on the list, `refill` makes them free at once. If the
 * event shrinks, its free tickets leave at once, and others when they come back. `decideByEvent`
 * adds the event to the outcome after it has applied the changes.
 */
export function decideConfigure(
  state: EventState,
  { eventId, patch: asked, ifVersion, shrink }: Asked<ConfigureRequest>,
  nowMs: number,
): Decision {
  if (ifVersion !== undefined && ifVersion !== state.version)
    return unchanged('version_mismatch', nowMs)
  const patch = differing(settingsOf(state), asked)
  const size = patch.totalTickets ?? state.capacity
  const committed = state.totalTickets - state.availableTickets
  // A shrinking event already has such a size. A patch of other settings must still succeed.
  if (patch.totalTickets !== undefined && size < committed && shrink !== true)
    return unchanged('capacity_below_committed', nowMs, { committed })
  const changes: Change[] = []
  const leaving = Math.min(state.availableTickets, state.totalTickets - size)
  if (leaving > 0) changes.push({ type: 'circulated', eventId, by: -leaving })
  if (Object.keys(patch).length > 0) changes.push({ type: 'configured', eventId, patch })
  return { outcome: { outcome: 'configured', decidedAtMs: nowMs }, changes }
}

/** @throws InvariantError if the details of the event were not loaded */
export function settingsOf(state: EventState): EventSettings {
  const { details } = state
  if (details === undefined)
    throw new InvariantError(`event ${state.eventId}: its details were not loaded`)
  const { owner, ...shown } = details
  return { ...shown, ...saleRulesOf(state), totalTickets: state.capacity }
}

function differing(settings: EventSettings, patch: EventPatch): EventPatch {
  const names = Object.keys(settings) as (keyof EventSettings)[]
  const changed = names.filter((name) => name in patch && patch[name] !== settings[name])
  return Object.fromEntries(changed.map((name) => [name, patch[name]]))
}

/** Ends the event. Its free tickets leave at once; settles end its claims, in portions. */
export function decideCancelEvent(
  state: EventState,
  { reason }: Asked<CancelEventRequest>,
  nowMs: number,
): Decision {
  if (state.canceledAtMs !== null) return unchanged('event_ended', nowMs)
  const { eventId, availableTickets } = state
  const changes: Change[] = [{ type: 'event_canceled', eventId, canceledAtMs: nowMs, reason }]
  if (availableTickets > 0) changes.unshift({ type: 'circulated', eventId, by: -availableTickets })
  return { outcome: { outcome: 'event_ended', decidedAtMs: nowMs }, changes }
}
