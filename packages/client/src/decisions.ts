import type { Decision } from './schemas.js'

/** The members of every decision. */
type Decided = Pick<Decision, 'message' | 'jobId' | 'eventId' | 'userId' | 'decidedAt'>

/** The user has a ticket. */
export type Booked = Decided & {
  outcome: 'booked'
  bookingId: string
  expiresAt?: undefined
  position?: undefined
}
/** A ticket is held for the user. It must be confirmed before `expiresAt`. */
export type Held = Decided & {
  outcome: 'held'
  bookingId: string
  expiresAt: string
  position?: undefined
}
/** The user is on the waiting list. Position 1 is next. */
export type Waiting = Decided & {
  outcome: 'waiting'
  position: number
  bookingId?: undefined
  expiresAt?: undefined
}

/** Decision of `book`. */
export type BookDecision = Booked | Held | Waiting
/** Decision of `confirm`. */
export type ConfirmDecision = Decided & { outcome: 'confirmed'; bookingId: string }
/** Decision of `extend`. */
export type ExtendDecision = Decided & { outcome: 'extended'; bookingId: string; expiresAt: string }
/** Decision of `grant`. */
export type GrantDecision = Decided & { outcome: 'booked' | 'confirmed'; bookingId: string }
/**
 * Decision of `cancel`: it canceled a booking, released a hold, or withdrew a waiting-list entry.
 */
export type CancelDecision = Decided & {
  outcome: 'canceled' | 'released' | 'withdrawn'
  /** The user who got the ticket. Only staff see it. */
  promotedUserId?: string
}
/** Decision of `cancelEvent`. */
export type CancelEventDecision = Decided & { outcome: 'event_ended' }
/** Decision of a command of which only the job is known, and not the type. */
export type AnyDecision =
  | BookDecision
  | ConfirmDecision
  | ExtendDecision
  | GrantDecision
  | CancelDecision
  | CancelEventDecision
