import type { Decision } from './schemas.js'

/** What every decision tells. */
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

/** Of `book`. */
export type BookDecision = Booked | Held | Waiting
/** Of `confirm`. */
export type ConfirmDecision = Decided & { outcome: 'confirmed'; bookingId: string }
/** Of `extend`. */
export type ExtendDecision = Decided & { outcome: 'extended'; bookingId: string; expiresAt: string }
/** Of `grant`. */
export type GrantDecision = Decided & { outcome: 'booked' | 'confirmed'; bookingId: string }
/** Of `cancel`: a booking was canceled, a hold released, or a waiting-list entry withdrawn. */
export type CancelDecision = Decided & {
  outcome: 'canceled' | 'released' | 'withdrawn'
  /** The user who got the ticket. Only staff see it. */
  promotedUserId?: string
}
/** Of `cancelEvent`. */
export type CancelEventDecision = Decided & { outcome: 'event_ended' }
/** Of a command whose type is not known, because only its job is. */
export type AnyDecision =
  | BookDecision
  | ConfirmDecision
  | ExtendDecision
  | GrantDecision
  | CancelDecision
  | CancelEventDecision
