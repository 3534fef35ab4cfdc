import type { BookingOrigin, EventPatch, Outcome, OutcomeKind } from '@ticket-line/shared'
import type { DueClaim } from './event-state.js'

/**
 * What a decision does to an event. `evolve` applies changes in order; `rows.ts` turns them into
 * rows, and `log.ts` into what clients see of them.
 */
export type Change = { eventId: number } & (
  | { type: 'booked'; userId: string; sequence: number }
  | ({ type: 'held'; userId: string; sequence: number } & Deadline)
  | { type: 'joined'; userId: string; sequence: number; position: number }
  /** A hold became a booking with the same number. The origin is `late` if it had lapsed. */
  | { type: 'confirmed'; userId: string; sequence: number; origin: HoldOrigin }
  | { type: 'extended'; userId: string; sequence: number; heldAtMs: number; expiresAtMs: number }
  /** At most a fifth of the time of a hold is left. */
  | { type: 'reminded'; userId: string; sequence: number; expiresAtMs: number }
  | { type: 'canceled'; userId: string; sequence: number }
  | { type: 'released'; userId: string; sequence: number }
  | { type: 'lapsed'; userId: string; sequence: number; lapsedAtMs: number }
  | { type: 'withdrawn'; userId: string; sequence: number }
  /** An entry became a booking, or, with an offer, a hold. */
  | {
      type: 'promoted'
      userId: string
      entrySequence: number
      sequence: number
      offer: Deadline | undefined
    }
  /** Staff gave a ticket to a user, and ended their entry in the waiting list if they had one. */
  | { type: 'granted'; userId: string; sequence: number; entrySequence: number | undefined }
  /** A claim ended because its event is canceled. */
  | { type: 'ended'; userId: string; kind: DueClaim['kind']; sequence: number }
  /** Free tickets entered circulation or, if `by` is negative, left it. */
  | { type: 'circulated'; by: number }
  /** Settings changed. `patch` has only those that differ. */
  | { type: 'configured'; patch: EventPatch }
  | { type: 'event_canceled'; canceledAtMs: number; reason: string | undefined }
  /** The command took the last free ticket, or there are free tickets again. */
  | { type: 'sold_out' }
  | { type: 'available' }
  /** The next settle is due at another time; null if there is nothing to settle. */
  | { type: 'rescheduled'; dueAtMs: number | null }
)

export type HoldOrigin = Extract<BookingOrigin, 'hold' | 'offer' | 'late'>

/** How long a hold lasts. */
export interface Deadline {
  /** Ms since 1970. */
  heldAtMs: number
  holdSeconds: number
  expiresAtMs: number
}

export interface Decision {
  outcome: Outcome
  /** In order. */
  changes: readonly Change[]
}

export const NO_CHANGES: readonly Change[] = []

/** A decision that changes nothing. */
export function unchanged(
  outcome: OutcomeKind,
  decidedAtMs: number,
  more?: Partial<Outcome>,
): Decision {
  return { outcome: { outcome, ...more, decidedAtMs }, changes: NO_CHANGES }
}

/** When a hold has a fifth of its whole time left, extensions included, ms since 1970. */
export function reminderMs({ heldAtMs, expiresAtMs }: Omit<Deadline, 'holdSeconds'>): number {
  return expiresAtMs - Math.floor((expiresAtMs - heldAtMs) / 5)
}

export function holdFor(seconds: number, nowMs: number): Deadline {
  return { heldAtMs: nowMs, holdSeconds: seconds, expiresAtMs: nowMs + seconds * 1000 }
}
