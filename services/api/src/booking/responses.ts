import type { Outcome, OutcomeKind } from '@ticket-line/shared'
import { problemResponse } from '../http/problem.js'
import type { PlainResponse } from '../http/reply.js'

/** The command that an outcome answers. */
export interface Answered {
  commandId: string
  eventId: number
  userId: string
}

export interface OutcomeForm {
  /** `Prefer: return=representation`: more than the message. */
  representation: boolean
  /** Staff may read who got a cancelled ticket. */
  staff: boolean
}

const MINIMAL: OutcomeForm = { representation: false, staff: false }

const SUCCESS = {
  booked: 'Ticket booked',
  waiting: 'Added to waiting list',
  canceled: 'Booking canceled',
  withdrawn: 'Removed from waiting list',
} as const

const REFUSAL = {
  already_booked: 'There already is a booking of this user for this event.',
  already_waiting: 'This user already is on the waiting list of this event.',
  booking_not_found: 'There is no booking and no place in the waiting list to cancel.',
  event_not_found: 'There is no such event.',
  idempotency_key_reused: 'This Idempotency-Key was sent before with another request.',
  rejected: 'This request could not be processed and was set aside. Nothing was changed.',
} as const satisfies Record<Exclude<OutcomeKind, keyof typeof SUCCESS>, string>

/** Where a command can be asked for. */
export function jobUrl(commandId: string): string {
  return `/jobs/${commandId}`
}

/**
 * What a client receives for a decided command: the same for one who waited, one who sends the request again with the
 * same key (the outcome then names the first command, and so does the answer) and one who asks `GET /jobs/:jobId`.
 */
export function outcomeResponse(
  command: Answered,
  outcome: Outcome,
  form: OutcomeForm = MINIMAL,
): PlainResponse {
  const jobId = outcome.replayOf ?? command.commandId
  const headers: Record<string, string> = { location: jobUrl(jobId) }
  if (outcome.replayOf !== undefined) headers['idempotency-replayed'] = 'true'
  switch (outcome.outcome) {
    case 'booked':
    case 'waiting':
    case 'canceled':
    case 'withdrawn': {
      const message = SUCCESS[outcome.outcome]
      const body = form.representation
        ? represent(command, outcome, jobId, message, form.staff)
        : { message }
      return { status: 200, headers, body }
    }
    default: {
      const { position } = outcome
      const extras = position === undefined ? { headers } : { headers, position }
      return problemResponse(outcome.outcome, REFUSAL[outcome.outcome], extras)
    }
  }
}

function represent(
  command: Answered,
  outcome: Outcome,
  jobId: string,
  message: string,
  staff: boolean,
): object {
  const { bookingId, position, promotedUserId } = outcome
  return {
    message,
    outcome: outcome.outcome,
    jobId,
    eventId: command.eventId,
    userId: command.userId,
    ...(bookingId !== undefined && { bookingId }),
    ...(position !== undefined && { position }),
    ...(staff && promotedUserId !== undefined && { promotedUserId }),
    decidedAt: new Date(outcome.decidedAtMs).toISOString(),
  }
}
