import { DEFAULT_SALE_RULES, type EventPatch } from '@ticket-line/shared'
import type { Change, Deadline } from './change.js'
import { type Claim, type EventState, InvariantError } from './event-state.js'

/** Applies one change to the state of its event. Nothing else changes a state. */
export function evolve(state: EventState, change: Change): void {
  switch (change.type) {
    case 'booked':
      takeTicket(state, change)
      return
    case 'held':
      takeTicket(state, change, { ...change, offered: false })
      return
    case 'granted':
      if (change.entrySequence !== undefined) leave(state, change.entrySequence)
      takeTicket(state, change)
      return
    case 'promoted':
      leave(state, change.entrySequence)
      takeTicket(state, change, change.offer && { ...change.offer, offered: true })
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
    case 'confirmed':
      if (change.origin === 'late') state.availableTickets -= 1
      else state.heldCount -= 1
      state.lapsed.delete(change.sequence)
      state.claims.set(change.userId, { kind: 'booking', sequence: change.sequence })
      return
    case 'extended':
      state.claims.set(change.userId, {
        ...heldClaimOf(state, change.userId),
        expiresAtMs: change.expiresAtMs,
      })
      return
    case 'canceled':
      state.availableTickets += 1
      state.claims.delete(change.userId)
      return
    case 'released':
      state.availableTickets += 1
      state.heldCount -= 1
      state.claims.delete(change.userId)
      return
    case 'lapsed': {
      const { sequence, lapsedAtMs } = change
      state.availableTickets += 1
      state.heldCount -= 1
      state.claims.set(change.userId, { kind: 'lapsed', sequence, lapsedAtMs })
      state.nextDue += 1
      return
    }
    case 'reminded':
      state.nextExpiring = 1 + state.expiring.findIndex((hold) => hold.sequence === change.sequence)
      return
    case 'withdrawn':
      leave(state, change.sequence)
      state.claims.delete(change.userId)
      return
    case 'ended':
      if (change.kind === 'waiting') state.waitingCount -= 1
      else state.totalTickets -= 1
      if (change.kind === 'held') state.heldCount -= 1
      state.claims.delete(change.userId)
      state.waitlistHeadSequence = change.sequence + 1
      state.nextDue += 1
      return
    case 'circulated':
      state.totalTickets += change.by
      state.availableTickets += change.by
      return
    case 'configured':
      configure(state, change.patch)
      return
    case 'event_canceled':
      state.canceledAtMs = change.canceledAtMs
      // Settles end claims in order of their numbers. Bookings can have lower ones than the list.
      state.waitlistHeadSequence = 0
      return
    case 'rescheduled':
      state.dueAtMs = change.dueAtMs
      return
    case 'sold_out':
    case 'available':
      // Other changes have moved the counters.
      return
  }
}

function takeTicket(
  state: EventState,
  { userId, sequence }: { userId: string; sequence: number },
  hold?: Deadline & { offered: boolean },
): void {
  state.availableTickets -= 1
  state.lastSequence = sequence
  if (hold === undefined) {
    state.claims.set(userId, { kind: 'booking', sequence })
    return
  }
  const { heldAtMs, holdSeconds, expiresAtMs, offered } = hold
  state.heldCount += 1
  state.claims.set(userId, { kind: 'held', sequence, heldAtMs, holdSeconds, expiresAtMs, offered })
}

function heldClaimOf(state: EventState, userId: string): Claim & { kind: 'held' } {
  const claim = state.claims.get(userId)
  if (claim?.kind !== 'held')
    throw new InvariantError(`event ${state.eventId}: the hold to be extended was not loaded`)
  return claim
}

function configure(state: EventState, { totalTickets, ...patch }: EventPatch): void {
  state.version += 1
  state.capacity = totalTickets ?? state.capacity
  for (const [name, value] of Object.entries(patch)) {
    const target: object = name in DEFAULT_SALE_RULES ? state : (state.details ?? {})
    Object.assign(target, { [name]: value })
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
