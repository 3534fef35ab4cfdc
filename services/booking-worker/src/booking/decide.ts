import {
  type Asked,
  type BookRequest,
  bookingIdOf,
  type CancelRequest,
  type CommandRequest,
  type ConfirmRequest,
  type ExtendRequest,
  LATE_CONFIRM_MS,
  type Outcome,
  type SettleRequest,
  saleStateOf,
  sequenceOfBookingId,
} from '@ticket-line/shared'
import { type Change, type Decision, holdFor, NO_CHANGES, unchanged } from './change.js'
import { freeTicket } from './circulation.js'
import { confirmedChange, decideCancelEvent, decideConfigure, decideGrant } from './decide-staff.js'
import { type Claim, type EventState, positionOf } from './event-state.js'

type Live = Exclude<Claim, { kind: 'lapsed' }>

/**
 * Decides one command against the state of its event. Pure: it gets the time, returns the changes,
 * and modifies nothing. `settle` is not decided here; see `settle.ts`.
 *
 * The checks have one order for all commands. A canceled event comes first, then the booking that
 * the command names, then what the user already has, so that a repeated request never costs a
 * second ticket. The state of the sale and what is free come last.
 *
 * @param nowMs ms since 1970
 */
export function decide(
  state: EventState,
  command: Asked<Exclude<CommandRequest, SettleRequest>>,
  nowMs: number,
): Decision {
  if (command.type === 'cancel_event') return decideCancelEvent(state, command, nowMs)
  if (state.canceledAtMs !== null) return unchanged('event_canceled', nowMs)
  switch (command.type) {
    case 'book':
      return decideBook(state, command, nowMs)
    case 'cancel':
      return decideCancel(state, command, nowMs)
    case 'confirm':
      return decideConfirm(state, command, nowMs)
    case 'extend':
      return decideExtend(state, command, nowMs)
    case 'grant':
      return decideGrant(state, command, nowMs)
    case 'configure':
      return decideConfigure(state, command, nowMs)
  }
}

function decideBook(state: EventState, command: Asked<BookRequest>, nowMs: number): Decision {
  const { eventId, userId } = command
  const claim = liveClaimOf(state, userId)
  if (claim !== undefined) return alreadyClaimed(state, claim, nowMs)
  switch (saleStateOf(state, nowMs)) {
    case 'closed':
      return unchanged('sales_closed', nowMs)
    case 'scheduled':
      return unchanged('sales_not_open', nowMs, { opensAtMs: state.opensAtMs as number })
    case 'paused':
      return unchanged('sales_paused', nowMs)
  }
  const sequence = state.lastSequence + 1
  const bookingId = bookingIdOf(eventId, sequence)
  if (state.availableTickets > 0) {
    if (state.holdSeconds === null) {
      return {
        outcome: { outcome: 'booked', bookingId, decidedAtMs: nowMs },
        changes: [bookedChange(command, sequence)],
      }
    }
    const hold = holdFor(state.holdSeconds, nowMs)
    return {
      outcome: { outcome: 'held', bookingId, expiresAtMs: hold.expiresAtMs, decidedAtMs: nowMs },
      changes: [{ type: 'held', eventId, userId, sequence, ...hold }],
    }
  }
  if (state.maxWaiting === 0) return unchanged('sold_out', nowMs)
  if (state.maxWaiting !== null && state.waitingCount >= state.maxWaiting)
    return unchanged('waiting_list_full', nowMs)
  return {
    outcome: { outcome: 'waiting', position: state.waitingCount + 1, decidedAtMs: nowMs },
    changes: [{ type: 'joined', eventId, userId, sequence, position: state.waitingCount + 1 }],
  }
}

/** The change of a command that books a free ticket. */
export function bookedChange(
  { eventId, userId }: Pick<CommandRequest, 'eventId' | 'userId'>,
  sequence: number,
): Change {
  return { type: 'booked', eventId, userId, sequence }
}

function alreadyClaimed(state: EventState, claim: Live, nowMs: number): Decision {
  if (claim.kind === 'waiting') return alreadyWaiting(state, claim, nowMs)
  const bookingId = bookingIdOf(state.eventId, claim.sequence)
  return claim.kind === 'booking'
    ? unchanged('already_booked', nowMs, { bookingId })
    : unchanged('already_held', nowMs, { bookingId, expiresAtMs: claim.expiresAtMs })
}

function alreadyWaiting(
  state: EventState,
  claim: Claim & { kind: 'waiting' },
  nowMs: number,
): Decision {
  return unchanged('already_waiting', nowMs, { position: positionOf(state, claim) })
}

function decideCancel(state: EventState, command: Asked<CancelRequest>, nowMs: number): Decision {
  const { eventId, userId } = command
  const claim = liveClaimOf(state, userId)
  if (claim === undefined) return unchanged('booking_not_found', nowMs)
  const { sequence } = claim
  if (namesAnother(command, claim)) return unchanged('hold_expired', nowMs)
  if (claim.kind === 'waiting') {
    return {
      outcome: { outcome: 'withdrawn', decidedAtMs: nowMs },
      changes: [{ type: 'withdrawn', eventId, userId, sequence }],
    }
  }
  const outcome: Outcome = {
    outcome: claim.kind === 'held' ? 'released' : 'canceled',
    bookingId: bookingIdOf(eventId, sequence),
    decidedAtMs: nowMs,
  }
  const type = claim.kind === 'held' ? 'released' : 'canceled'
  const circulation = freeTicket(state, nowMs)
  const [first] = circulation
  if (first?.type === 'promoted') outcome.promotedUserId = first.userId
  return { outcome, changes: [{ type, eventId, userId, sequence }, ...circulation] }
}

/**
 * A hold can be confirmed until a settle ends it, however late that is. A hold that has lapsed can
 * be confirmed for another day if a ticket is free. Then nobody is on the waiting list, so nobody
 * is overtaken.
 */
function decideConfirm(state: EventState, command: Asked<ConfirmRequest>, nowMs: number): Decision {
  const { eventId, userId } = command
  const claim = liveClaimOf(state, userId)
  if (claim?.kind === 'waiting') return alreadyWaiting(state, claim, nowMs)
  if (claim !== undefined) {
    if (namesAnother(command, claim)) return unchanged('hold_expired', nowMs)
    const { sequence } = claim
    const bookingId = bookingIdOf(eventId, sequence)
    const changes = claim.kind === 'held' ? [confirmedChange(command, claim)] : NO_CHANGES
    return { outcome: { outcome: 'confirmed', bookingId, decidedAtMs: nowMs }, changes }
  }
  const sequence = lapsedSequenceOf(state, command, nowMs)
  if (sequence === undefined) return unchanged('booking_not_found', nowMs)
  if (state.availableTickets === 0) return unchanged('hold_expired', nowMs)
  return {
    outcome: {
      outcome: 'confirmed',
      bookingId: bookingIdOf(eventId, sequence),
      decidedAtMs: nowMs,
    },
    changes: [{ type: 'confirmed', eventId, userId, sequence, origin: 'late' }],
  }
}

function decideExtend(state: EventState, command: Asked<ExtendRequest>, nowMs: number): Decision {
  const { eventId, userId } = command
  const claim = liveClaimOf(state, userId)
  if (claim === undefined) {
    const isLapsed = lapsedSequenceOf(state, command, nowMs) !== undefined
    return unchanged(isLapsed ? 'hold_expired' : 'booking_not_found', nowMs)
  }
  if (claim.kind === 'waiting') return alreadyWaiting(state, claim, nowMs)
  if (namesAnother(command, claim)) return unchanged('hold_expired', nowMs)
  const { sequence } = claim
  const bookingId = bookingIdOf(eventId, sequence)
  if (claim.kind === 'booking') return unchanged('already_booked', nowMs, { bookingId })
  const seconds = command.seconds ?? claim.holdSeconds
  const maxSeconds = state.maxHoldSeconds ?? 2 * claim.holdSeconds
  const expiresAtMs = Math.min(nowMs + seconds * 1000, claim.heldAtMs + maxSeconds * 1000)
  if (expiresAtMs <= claim.expiresAtMs) return unchanged('hold_limit_reached', nowMs)
  return {
    outcome: { outcome: 'extended', bookingId, expiresAtMs, decidedAtMs: nowMs },
    changes: [
      { type: 'extended', eventId, userId, sequence, heldAtMs: claim.heldAtMs, expiresAtMs },
    ],
  }
}

function liveClaimOf(state: EventState, userId: string): Live | undefined {
  const claim = state.claims.get(userId)
  return claim?.kind === 'lapsed' ? undefined : claim
}

/** True if a command names another booking than the one the user has. */
function namesAnother(
  { eventId, bookingId }: { eventId: number; bookingId?: string },
  claim: Live,
): boolean {
  if (bookingId === undefined) return false
  return claim.kind === 'waiting' || bookingId !== bookingIdOf(eventId, claim.sequence)
}

/**
 * The number of the lapsed hold that a command means: the one that it names, or the user's last.
 *
 * @returns undefined if there is none, or it lapsed too long ago
 */
function lapsedSequenceOf(
  state: EventState,
  { userId, bookingId }: { userId: string; bookingId?: string },
  nowMs: number,
): number | undefined {
  const claim = state.claims.get(userId)
  const sequence =
    bookingId === undefined ? claim?.sequence : sequenceOfBookingId(state.eventId, bookingId)
  if (sequence === undefined) return undefined
  const lapsed =
    claim?.kind === 'lapsed' && claim.sequence === sequence
      ? { userId, lapsedAtMs: claim.lapsedAtMs }
      : state.lapsed.get(sequence)
  if (lapsed?.userId !== userId || nowMs - lapsed.lapsedAtMs >= LATE_CONFIRM_MS) return undefined
  return sequence
}
