import { bookingIdOf, type CommandRequest, type Outcome } from '@ticket-line/shared'
import { type EventState, headOfWaitingList, positionOf } from './event-state.js'

/**
 * What a decision does to an event. `evolve` applies changes in order; `rows.ts` turns them into
 * rows.
 */
export type Change = { eventId: number; userId: string } & (
  | { type: 'booked'; sequence: number }
  | { type: 'joined'; sequence: number }
  | { type: 'canceled'; sequence: number }
  | { type: 'withdrawn'; sequence: number }
  | { type: 'promoted'; entrySequence: number; sequence: number }
)

export interface Decision {
  outcome: Outcome
  changes: readonly Change[]
}

/** The part of a command that a decision depends on. */
type Asked = Pick<CommandRequest, 'type' | 'eventId' | 'userId'>

const NO_CHANGES: readonly Change[] = []

/**
 * Decides one command against the state of its event. Pure: it gets the time, returns the changes,
 * and modifies nothing.
 *
 * It checks what the user already has before it checks what is free, so that a repeated request
 * never costs a second ticket.
 *
 * @param nowMs ms since 1970
 */
export function decide(state: EventState, command: Asked, nowMs: number): Decision {
  switch (command.type) {
    case 'book':
      return decideBook(state, command, nowMs)
    case 'cancel':
      return decideCancel(state, command.userId, nowMs)
  }
}

function decideBook(state: EventState, command: Asked, decidedAtMs: number): Decision {
  const { eventId, userId } = command
  const claim = state.claims.get(userId)
  if (claim?.kind === 'booking') {
    const bookingId = bookingIdOf(eventId, claim.sequence)
    return { outcome: { outcome: 'already_booked', bookingId, decidedAtMs }, changes: NO_CHANGES }
  }
  if (claim?.kind === 'waiting') {
    const position = positionOf(state, claim)
    return { outcome: { outcome: 'already_waiting', position, decidedAtMs }, changes: NO_CHANGES }
  }
  const sequence = state.lastSequence + 1
  if (state.availableTickets > 0) {
    return {
      outcome: { outcome: 'booked', bookingId: bookingIdOf(eventId, sequence), decidedAtMs },
      changes: [bookedChange(command, sequence)],
    }
  }
  return {
    outcome: { outcome: 'waiting', position: state.waitingCount + 1, decidedAtMs },
    changes: [{ type: 'joined', eventId, userId, sequence }],
  }
}

/** The change of a command that books a free ticket. */
export function bookedChange({ eventId, userId }: Asked, sequence: number): Change {
  return { type: 'booked', eventId, userId, sequence }
}

function decideCancel(state: EventState, userId: string, decidedAtMs: number): Decision {
  const { eventId } = state
  const claim = state.claims.get(userId)
  if (claim === undefined)
    return { outcome: { outcome: 'booking_not_found', decidedAtMs }, changes: NO_CHANGES }
  const { sequence } = claim
  if (claim.kind === 'waiting') {
    return {
      outcome: { outcome: 'withdrawn', decidedAtMs },
      changes: [{ type: 'withdrawn', eventId, userId, sequence }],
    }
  }
  const bookingId = bookingIdOf(eventId, sequence)
  const canceled: Change = { type: 'canceled', eventId, userId, sequence }
  const head = headOfWaitingList(state)
  if (head === undefined)
    return { outcome: { outcome: 'canceled', bookingId, decidedAtMs }, changes: [canceled] }
  const promoted: Change = {
    type: 'promoted',
    eventId,
    userId: head.userId,
    entrySequence: head.sequence,
    sequence: state.lastSequence + 1,
  }
  return {
    outcome: { outcome: 'canceled', bookingId, promotedUserId: head.userId, decidedAtMs },
    changes: [canceled, promoted],
  }
}
