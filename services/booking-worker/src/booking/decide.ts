import { bookingIdOf, type CommandType, type Outcome } from '@ticket-line/shared'
import { type EventState, headOfWaitingList, positionOf } from './event-state.js'

/** What a decision does to an event. Applied in order by `evolve`, written by the shell. */
export type Change =
  | { type: 'booked'; userId: string; sequence: number }
  | { type: 'joined'; userId: string; sequence: number }
  | { type: 'canceled'; userId: string; sequence: number }
  | { type: 'withdrawn'; userId: string; sequence: number }
  | { type: 'promoted'; userId: string; entrySequence: number; sequence: number }

export interface Decision {
  outcome: Outcome
  changes: Change[]
}

/** The part of a command that is decided on. */
export interface Ask {
  type: CommandType
  userId: string
}

/**
 * Decides one command against the state of its event. Pure: time comes in, changes come out, nothing is touched.
 *
 * Precedence: what the user already holds comes before what is free, so that asking twice never costs a second ticket.
 */
export function decide(state: EventState, ask: Ask, nowMs: number): Decision {
  switch (ask.type) {
    case 'book':
      return decideBook(state, ask.userId, nowMs)
    case 'cancel':
      return decideCancel(state, ask.userId, nowMs)
  }
}

function decideBook(state: EventState, userId: string, decidedAtMs: number): Decision {
  const { eventId } = state
  const claim = state.claims.get(userId)
  if (claim?.kind === 'booking') {
    const bookingId = bookingIdOf(eventId, claim.sequence)
    return { outcome: { outcome: 'already_booked', bookingId, decidedAtMs }, changes: [] }
  }
  if (claim?.kind === 'waiting') {
    return {
      outcome: { outcome: 'already_waiting', position: positionOf(state, claim), decidedAtMs },
      changes: [],
    }
  }
  const sequence = state.lastSequence + 1
  if (state.availableTickets > 0) {
    return {
      outcome: { outcome: 'booked', bookingId: bookingIdOf(eventId, sequence), decidedAtMs },
      changes: [{ type: 'booked', userId, sequence }],
    }
  }
  return {
    outcome: { outcome: 'waiting', position: state.waitingCount + 1, decidedAtMs },
    changes: [{ type: 'joined', userId, sequence }],
  }
}

function decideCancel(state: EventState, userId: string, decidedAtMs: number): Decision {
  const claim = state.claims.get(userId)
  if (claim === undefined)
    return { outcome: { outcome: 'booking_not_found', decidedAtMs }, changes: [] }
  if (claim.kind === 'waiting') {
    return {
      outcome: { outcome: 'withdrawn', decidedAtMs },
      changes: [{ type: 'withdrawn', userId, sequence: claim.sequence }],
    }
  }
  const bookingId = bookingIdOf(state.eventId, claim.sequence)
  const canceled: Change = { type: 'canceled', userId, sequence: claim.sequence }
  const head = headOfWaitingList(state)
  if (head === undefined)
    return { outcome: { outcome: 'canceled', bookingId, decidedAtMs }, changes: [canceled] }
  const promoted: Change = {
    type: 'promoted',
    userId: head.userId,
    entrySequence: head.sequence,
    sequence: state.lastSequence + 1,
  }
  return {
    outcome: { outcome: 'canceled', bookingId, promotedUserId: head.userId, decidedAtMs },
    changes: [canceled, promoted],
  }
}
