import type { EventRow } from '@ticket-line/db'
import { type EventDetails, saleStateOf } from '@ticket-line/shared'

/**
 * One event as a batch sees it: its row, which the transaction has locked, and the rows around it
 * that the batch can touch. Pure data; only `evolve` changes it.
 */
export type EventState = EventRow & Surroundings

/** The rows around an event that a batch can touch, and what the batch did to them so far. */
export interface Surroundings {
  /** Claims of the users that the batch names or promotes, and their holds that lapsed. */
  readonly claims: Map<string, Claim>
  /**
   * First entries of the waiting list, in order. If `headsComplete` is true, entries that join in
   * the batch are added.
   */
  readonly heads: WaitingEntry[]
  /** True if `heads` reaches the end of the list. */
  readonly headsComplete: boolean
  /** Index of the first of `heads` that may still be on the list. */
  nextHead: number
  /** Sequence numbers of entries that left the list in this batch. */
  readonly departed: Set<number>
  /**
   * Position that the last entry of the list would have if nobody had left the list in this batch.
   */
  joinedPosition: number
  /** Lapsed holds that commands of the batch name by their `bookingId`, by sequence. */
  readonly lapsed: Map<number, LapsedHold>
  /**
   * The claims that a settle may end, in order: the holds that lapse first or, if the event is
   * canceled, the live claims with the lowest numbers. There is one more than a settle can end,
   * unless the event has fewer. Empty in batches without a settle.
   */
  readonly due: DueClaim[]
  /** Index of the first of `due` that is still live. */
  nextDue: number
  /**
   * The holds that a settle may log as expiring, in order. There is one more than a settle can log,
   * unless the event has fewer. Empty in batches without a settle.
   */
  readonly expiring: ExpiringHold[]
  /** Index of the first of `expiring` that was not logged. It may have lapsed. */
  nextExpiring: number
  /** Settings that only `configure` needs; undefined in batches without one. */
  details: (EventDetails & { readonly owner: string | null }) | undefined
}

/** What a user has for an event. A user has at most one claim per event. */
export type Claim =
  | { kind: 'booking'; sequence: number }
  | {
      kind: 'held'
      sequence: number
      /** Ms since 1970. */
      heldAtMs: number
      /** First length of the hold. */
      holdSeconds: number
      expiresAtMs: number
      /** True if it came from the waiting list. */
      offered: boolean
    }
  /**
   * `loadedPosition` is the position that the entry would have if nobody had left the list in this
   * batch. It is undefined if the batch does not need it.
   */
  | { kind: 'waiting'; sequence: number; loadedPosition: number | undefined }
  /** No longer a claim, but a late confirmation can turn it into a booking. */
  | { kind: 'lapsed'; sequence: number; lapsedAtMs: number }

export interface WaitingEntry {
  sequence: number
  userId: string
}

export interface LapsedHold {
  userId: string
  /** Ms since 1970. */
  lapsedAtMs: number
}

/** A claim that a settle may end. */
export interface DueClaim {
  kind: Exclude<Claim['kind'], 'lapsed'>
  sequence: number
  userId: string
  /** When the hold lapses, ms since 1970; null if the event is canceled. */
  expiresAtMs: number | null
}

/** A hold of whose end the log says nothing yet. */
export interface ExpiringHold {
  sequence: number
  userId: string
  /** Ms since 1970. */
  heldAtMs: number
  expiresAtMs: number
}

/**
 * Thrown if a rule that must always hold is broken, by a bug or by rows that were edited by hand.
 * The batch then writes nothing.
 */
export class InvariantError extends Error {
  override name = 'InvariantError'
}

/**
 * The state of an event at the start of a batch.
 *
 * @throws InvariantError if the loaded rows contradict each other
 */
export function startBatch(
  loaded: Omit<EventState, 'nextHead' | 'departed' | 'joinedPosition' | 'nextDue' | 'nextExpiring'>,
): EventState {
  const state = {
    ...loaded,
    nextHead: 0,
    departed: new Set<number>(),
    joinedPosition: loaded.waitingCount,
    nextDue: 0,
    nextExpiring: 0,
  }
  assertInvariants(state)
  return state
}

/**
 * Checks the counters of an event, after loading and before writing. The CHECKs of the schema
 * enforce most of these rules.
 */
export function assertInvariants(state: EventState): void {
  const { eventId, totalTickets, availableTickets, heldCount, waitingCount, capacity } = state
  if (availableTickets < 0 || availableTickets > totalTickets) {
    throw new InvariantError(
      `event ${eventId}: ${availableTickets} of ${totalTickets} tickets available`,
    )
  }
  if (waitingCount < 0 || (waitingCount > 0 && availableTickets > 0)) {
    throw new InvariantError(
      `event ${eventId}: ${waitingCount} on the waiting list and ${availableTickets} tickets free`,
    )
  }
  if (heldCount < 0 || heldCount > totalTickets - availableTickets) {
    throw new InvariantError(
      `event ${eventId}: ${heldCount} tickets held of ${totalTickets - availableTickets} committed`,
    )
  }
  if (availableTickets > 0 && (totalTickets > capacity || state.canceledAtMs !== null)) {
    throw new InvariantError(
      `event ${eventId}: ${availableTickets} tickets free that should have left the event`,
    )
  }
  if (state.canceledAtMs === null && capacity > totalTickets && waitingCount === 0) {
    throw new InvariantError(
      `event ${eventId}: ${capacity - totalTickets} tickets withheld and nobody waiting`,
    )
  }
}

/** Position of a waiting-list entry, from 1. */
export function positionOf(state: EventState, claim: Claim & { kind: 'waiting' }): number {
  if (claim.loadedPosition === undefined)
    throw new InvariantError(`event ${state.eventId}: a position was not loaded`)
  let position = claim.loadedPosition
  for (const sequence of state.departed) if (sequence < claim.sequence) position--
  return position
}

/** The entry that gets the next free ticket, or undefined if the list is empty. */
export function headOfWaitingList(state: EventState): WaitingEntry | undefined {
  if (state.waitingCount === 0) return undefined
  for (let i = state.nextHead; i < state.heads.length; i++) {
    const entry = state.heads[i] as WaitingEntry
    if (!state.departed.has(entry.sequence)) return entry
  }
  throw new InvariantError(
    `event ${state.eventId}: ${state.waitingCount} on the waiting list, but no entry was loaded`,
  )
}

/** True if a ticket that is not free may go to the head of the waiting list. */
export function mayPromote(state: EventState, nowMs: number): boolean {
  return state.promoting && saleStateOf(state, nowMs) === 'open'
}
