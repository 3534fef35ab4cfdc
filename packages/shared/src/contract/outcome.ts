/** Every answer the line can give, in the words of the wire. */
export const OUTCOME_KINDS = [
  'booked',
  'waiting',
  'canceled',
  'withdrawn',
  'already_booked',
  'already_waiting',
  'booking_not_found',
  'event_not_found',
  'idempotency_key_reused',
  'rejected',
] as const

export type OutcomeKind = (typeof OUTCOME_KINDS)[number]

/**
 * The stored answer to one command. It crosses the queue as data; only faults are thrown.
 */
export interface Outcome {
  outcome: OutcomeKind
  /** Live rank at the moment of the decision, 1 = next (`waiting`, `already_waiting`). */
  position?: number
  /** `<eventId>-<sequence>` of the booking that was made, given back or found. */
  bookingId?: string
  /** Who got the cancelled ticket (`canceled`). */
  promotedUserId?: string
  /** When it was decided, ms since 1970, by the database's clock. */
  decidedAtMs: number
  /** The first command that carried the same idempotency key; this outcome is its, given again. */
  replayOf?: string
}

/** What a worker sends to the API process that asked, and what the job returns: outcomes in the order of the commands. */
export interface JobReply {
  jobId: string
  outcomes: (Outcome | RefusedOutcome)[]
}

/**
 * The API told the client that this command was not accepted, after its fate in Redis was unknown: it is recorded so
 * that a late arrival changes nothing. Never shown to clients, who got a 503.
 */
export interface RefusedOutcome {
  outcome: 'refused'
  decidedAtMs: number
}

/** The public name of a booking: its event and its place in the order of decisions. */
export function bookingIdOf(eventId: number, sequence: number): string {
  return `${eventId}-${sequence}`
}
