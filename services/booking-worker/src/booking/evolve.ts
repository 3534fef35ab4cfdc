import type { Change } from './decide.js'
import type { EventState } from './event-state.js'

/** Applies one change to the state of its event. Nothing else changes a state. */
export function evolve(state: EventState, change: Change): void {
  switch (change.type) {
    case 'booked':
      state.availableTickets -= 1
      state.lastSequence = change.sequence
      state.claims.set(change.userId, { kind: 'booking', sequence: change.sequence })
      return
    case 'joined':
      state.waitingCount += 1
      state.joinedPosition += 1
      state.lastSequence = change.sequence
      state.claims.set(change.userId, {
        kind: 'waiting',
        sequence: change.sequence,
        loadedPosition: state.joinedPosition,
      })
      if (state.headsComplete)
        state.heads.push({ sequence: change.sequence, userId: change.userId })
      return
    case 'canceled':
      state.availableTickets += 1
      state.claims.delete(change.userId)
      return
    case 'withdrawn':
      leave(state, change.sequence)
      state.claims.delete(change.userId)
      return
    case 'promoted':
      leave(state, change.entrySequence)
      state.availableTickets -= 1
      state.lastSequence = change.sequence
      state.claims.set(change.userId, { kind: 'booking', sequence: change.sequence })
      return
  }
}

function leave(state: EventState, sequence: number): void {
  state.waitingCount -= 1
  state.departed.add(sequence)
  for (
    let head = state.heads[state.nextHead];
    head !== undefined;
    head = state.heads[state.nextHead]
  ) {
    if (!state.departed.has(head.sequence)) break
    state.nextHead += 1
    state.waitlistHeadSequence = head.sequence + 1
  }
  // If the list is empty, nothing is left to search, however many entries behind the head were
  // withdrawn.
  if (state.waitingCount === 0) state.waitlistHeadSequence = state.lastSequence + 1
}
