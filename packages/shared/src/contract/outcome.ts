import { COMMAND_TYPES, type CommandType } from './command.js'
import type { EventView } from './event.js'

/** What is true of all outcomes of one kind. */
interface OutcomeRule {
  /** The types of command that can have such an outcome. */
  types: readonly CommandType[]
  /** The optional members of {@link Outcome} that such an outcome always has. */
  has?: readonly ('bookingId' | 'position' | 'expiresAtMs' | 'opensAtMs' | 'committed' | 'event')[]
}

/** The commands that clients send. */
const SENT = COMMAND_TYPES.filter((type) => type !== 'settle')

const rules = {
  booked: { types: ['book', 'grant'], has: ['bookingId'] },
  held: { types: ['book'], has: ['bookingId', 'expiresAtMs'] },
  waiting: { types: ['book'], has: ['position'] },
  confirmed: { types: ['confirm', 'grant'], has: ['bookingId'] },
  extended: { types: ['extend'], has: ['bookingId', 'expiresAtMs'] },
  canceled: { types: ['cancel'], has: ['bookingId'] },
  released: { types: ['cancel'], has: ['bookingId'] },
  withdrawn: { types: ['cancel'] },
  configured: { types: ['configure'], has: ['event'] },
  event_ended: { types: ['cancel_event'] },
  settled: { types: ['settle'] },
  already_booked: { types: ['book', 'extend', 'grant'], has: ['bookingId'] },
  already_held: { types: ['book'], has: ['bookingId', 'expiresAtMs'] },
  already_waiting: { types: ['book', 'confirm', 'extend'], has: ['position'] },
  hold_expired: { types: ['cancel', 'confirm', 'extend'] },
  hold_limit_reached: { types: ['extend'] },
  sales_not_open: { types: ['book'], has: ['opensAtMs'] },
  sales_paused: { types: ['book'] },
  sales_closed: { types: ['book'] },
  sold_out: { types: ['book', 'grant'] },
  waiting_list_full: { types: ['book'] },
  capacity_below_committed: { types: ['configure'], has: ['committed'] },
  version_mismatch: { types: ['configure'] },
  event_canceled: { types: ['book', 'cancel', 'confirm', 'extend', 'grant', 'configure'] },
  booking_not_found: { types: ['cancel', 'confirm', 'extend'] },
  event_not_found: { types: COMMAND_TYPES },
  idempotency_key_reused: { types: SENT },
  rejected: { types: COMMAND_TYPES },
} satisfies Record<string, OutcomeRule>

export type OutcomeKind = keyof typeof rules

/** Every outcome of a command, as the API spells it, and its rule. */
export const OUTCOMES: Readonly<Record<OutcomeKind, OutcomeRule>> = rules

export const OUTCOME_KINDS = Object.keys(OUTCOMES) as OutcomeKind[]

/** The outcomes that clients see. */
export const PUBLIC_OUTCOME_KINDS: OutcomeKind[] = OUTCOME_KINDS.filter(
  (kind) => kind !== 'settled',
)

/**
 * The business answer to a command. Workers store it and send it to the API as data; only faults
 * are thrown.
 */
export interface Outcome {
  outcome: OutcomeKind
  /** 1-based rank in the waiting list when it was decided (`waiting`, `already_waiting`). */
  position?: number
  /** `<eventId>-<sequence>` of the booking or hold that was made, changed or found. */
  bookingId?: string
  /** The user who got the ticket that came back (`canceled`, `released`). */
  promotedUserId?: string
  /** When the hold ends, ms since 1970 (`held`, `already_held`, `extended`). */
  expiresAtMs?: number
  /** When the sale opens, ms since 1970 (`sales_not_open`). */
  opensAtMs?: number
  /** Bookings and holds of the event (`capacity_below_committed`). */
  committed?: number
  /** The event as decided (`configured`). */
  event?: EventView
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

/**
 * The number in a booking's id.
 *
 * @returns undefined if the id is not of a booking of this event
 */
export function sequenceOfBookingId(eventId: number, bookingId: string): number | undefined {
  const sequence = Number(bookingId.slice(bookingId.lastIndexOf('-') + 1))
  // The comparison below accepts `1-NaN`, `1-1.5` and `1-1e+300`, but PostgreSQL would refuse them.
  if (!Number.isSafeInteger(sequence) || sequence < 1) return undefined
  return bookingIdOf(eventId, sequence) === bookingId ? sequence : undefined
}
