import type { CommandType } from './command.js'

/** What is true of all outcomes of one kind. */
interface OutcomeRule {
  /** The types of command that can have such an outcome. */
  types: readonly CommandType[]
  /** The optional member of {@link Outcome} that such an outcome always has. */
  has?: 'bookingId' | 'position'
}

const rules = {
  booked: { types: ['book'], has: 'bookingId' },
  waiting: { types: ['book'], has: 'position' },
  canceled: { types: ['cancel'], has: 'bookingId' },
  withdrawn: { types: ['cancel'] },
  already_booked: { types: ['book'], has: 'bookingId' },
  already_waiting: { types: ['book'], has: 'position' },
  booking_not_found: { types: ['cancel'] },
  event_not_found: { types: ['book', 'cancel'] },
  idempotency_key_reused: { types: ['book', 'cancel'] },
  rejected: { types: ['book', 'cancel'] },
} satisfies Record<string, OutcomeRule>

export type OutcomeKind = keyof typeof rules

/** Every outcome of a command, as the API spells it, and its rule. */
export const OUTCOMES: Readonly<Record<OutcomeKind, OutcomeRule>> = rules

export const OUTCOME_KINDS = Object.keys(OUTCOMES) as OutcomeKind[]

/**
 * The business answer to a command. Workers store it and send it to the API as data; only faults
 * are thrown.
 */
export interface Outcome {
  outcome: OutcomeKind
  /** 1-based rank in the waiting list when it was decided (`waiting`, `already_waiting`). */
  position?: number
  /** `<eventId>-<sequence>` of the booking that was made, canceled or found. */
  bookingId?: string
  /** The user who got the canceled ticket (`canceled`). */
  promotedUserId?: string
  /** When it was decided, ms since 1970, by the database's clock. */
  decidedAtMs: number
  /** Id of the first command with the same idempotency key, whose outcome this one repeats. */
  replayOf?: string
}

/**
 * What a worker sends to the API process that created the job. The outcomes are in the order of the
 * commands.
 */
export interface JobReply {
  jobId: string
  outcomes: StoredOutcome[]
}

/**
 * What is stored for an abandoned command: the API answered 503, because it could not find out
 * whether Redis had stored the command. If the command arrives later, this record keeps it from
 * taking effect. Clients never see the record.
 */
export interface AbandonedOutcome {
  outcome: 'abandoned'
  decidedAtMs: number
}

/** What is stored for a command once it is decided or abandoned. */
export type StoredOutcome = Outcome | AbandonedOutcome

/** The public id of a booking: its event, and its number in the order of decisions. */
export function bookingIdOf(eventId: number, sequence: number): string {
  return `${eventId}-${sequence}`
}
