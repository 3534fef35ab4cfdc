import { type Change, holdFor, NO_CHANGES } from './change.js'
import { type EventState, headOfWaitingList, mayPromote, type WaitingEntry } from './event-state.js'

/**
 * What becomes of a ticket that was given back, or whose hold lapsed. If the event is to shrink, or
 * if promotion is stopped and somebody is on the waiting list, the ticket leaves circulation.
 * Otherwise it goes to the head of the list. If the list is empty, it is free and nothing changes.
 *
 * @param nowMs ms since 1970
 */
export function freeTicket(state: EventState, nowMs: number): readonly Change[] {
  if (state.canceledAtMs !== null || state.totalTickets > state.capacity)
    return [circulated(state, -1)]
  const head = headOfWaitingList(state)
  if (head === undefined) return NO_CHANGES
  return mayPromote(state, nowMs) ? [promotion(state, head, nowMs)] : [circulated(state, -1)]
}

/** `by` tickets enter circulation as free ones or, if it is negative, leave it. */
function circulated({ eventId }: EventState, by: number): Change {
  return { type: 'circulated', eventId, by }
}

/** Gives a ticket to the head of the waiting list: a booking, or an offer if the event has them. */
export function promotion(state: EventState, head: WaitingEntry, nowMs: number): Change {
  const seconds = state.offerSeconds ?? state.holdSeconds
  return {
    type: 'promoted',
    eventId: state.eventId,
    userId: head.userId,
    entrySequence: head.sequence,
    sequence: state.lastSequence + 1,
    offer: seconds === null ? undefined : holdFor(seconds, nowMs),
  }
}

/**
 * Called after each command with the number of tickets that were free before it. The log of a
 * canceled event shows only that it was canceled.
 */
export function availability(state: EventState, freeBefore: number): readonly Change[] {
  const { eventId, availableTickets, canceledAtMs } = state
  if (availableTickets > 0 === freeBefore > 0 || canceledAtMs !== null) return NO_CHANGES
  return [{ type: freeBefore > 0 ? 'sold_out' : 'available', eventId }]
}

/**
 * Called after each command: withheld tickets become free as soon as nobody is on the waiting list.
 */
export function refill(state: EventState): readonly Change[] {
  const withheld = state.capacity - state.totalTickets
  return withheld > 0 && state.waitingCount === 0 && state.canceledAtMs === null
    ? [circulated(state, withheld)]
    : NO_CHANGES
}
