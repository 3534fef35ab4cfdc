/**
 * One event as a batch sees it: the row under whose lock it is decided, the live claims of the users that the batch
 * names, and as much of the head of the waiting list as the batch can reach. Pure data; only `evolve` changes it.
 */
export interface EventState {
  readonly eventId: number
  readonly totalTickets: number
  availableTickets: number
  waitingCount: number
  /** Last number given out in the order of decisions, to bookings and places in the list alike. */
  lastSequence: number
  /** No entry with a lower sequence waits. */
  waitlistHeadSequence: number
  /** Live claims of the users named in the batch, and of those promoted in it. */
  readonly claims: Map<string, Claim>
  /** First waiting entries in order, those that join in the batch included once the list is loaded to its end. */
  readonly heads: WaitingEntry[]
  /** True where `heads` reaches the end of the list. */
  readonly headsComplete: boolean
  /** First of `heads` that may still wait. */
  nextHead: number
  /** Sequences of entries that left the list in this batch. */
  readonly departed: Set<number>
  /** How many would wait if nobody had left in this batch: the rank, before departures, of who joined last. */
  joinedRank: number
}

/** What a user holds in an event. At most one at any time. */
export type Claim =
  | { kind: 'booking'; sequence: number }
  /** `loadedRank` is the rank if nobody had left in this batch; undefined where the batch never asks for it. */
  | { kind: 'waiting'; sequence: number; loadedRank: number | undefined }

export interface WaitingEntry {
  sequence: number
  userId: string
}

/** What the database knows of an event at the start of a batch. */
export interface LoadedEvent {
  eventId: number
  totalTickets: number
  availableTickets: number
  waitingCount: number
  lastSequence: number
  waitlistHeadSequence: number
  claims: Map<string, Claim>
  heads: WaitingEntry[]
  headsComplete: boolean
}

/** A rule of the house that does not hold: a bug or a hand-edited row. Nothing is written after it. */
export class InvariantError extends Error {
  override name = 'InvariantError'
}

/** @throws {@link InvariantError} where the loaded rows contradict each other */
export function startBatch(loaded: LoadedEvent): EventState {
  const state = {
    ...loaded,
    nextHead: 0,
    departed: new Set<number>(),
    joinedRank: loaded.waitingCount,
  }
  assertInvariants(state)
  return state
}

/** Checked on load and before write: the schema's CHECKs stand behind it. */
export function assertInvariants(state: EventState): void {
  const { eventId, totalTickets, availableTickets, waitingCount } = state
  if (availableTickets < 0 || availableTickets > totalTickets) {
    throw new InvariantError(
      `event ${eventId}: ${availableTickets} of ${totalTickets} tickets available`,
    )
  }
  if (waitingCount < 0 || (waitingCount > 0 && availableTickets > 0)) {
    throw new InvariantError(
      `event ${eventId}: ${waitingCount} wait while ${availableTickets} tickets are free`,
    )
  }
}

/** Live rank of a waiting claim, 1 = next. */
export function positionOf(state: EventState, claim: Claim & { kind: 'waiting' }): number {
  if (claim.loadedRank === undefined)
    throw new InvariantError(`event ${state.eventId}: a rank was not loaded`)
  let position = claim.loadedRank
  for (const sequence of state.departed) if (sequence < claim.sequence) position--
  return position
}

/** The entry that the next free ticket goes to; `undefined` when nobody waits. */
export function headOfWaitingList(state: EventState): WaitingEntry | undefined {
  if (state.waitingCount === 0) return undefined
  for (let i = state.nextHead; i < state.heads.length; i++) {
    const entry = state.heads[i] as WaitingEntry
    if (!state.departed.has(entry.sequence)) return entry
  }
  throw new InvariantError(
    `event ${state.eventId}: ${state.waitingCount} wait, but no head was loaded`,
  )
}
