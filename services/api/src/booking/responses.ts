import type { SubmitResult } from '@ticket-line/line/client'
import {
  type CommandRequest,
  type CommandType,
  type ErrorCode,
  OUTCOMES,
  type Outcome,
  type OutcomeKind,
  type PublicRequest,
} from '@ticket-line/shared'
import { z } from 'zod'
import { type Preferences, preferenceApplied } from '../http/prefer.js'
import {
  EVENT_NOT_FOUND,
  type ProblemResponse,
  problemResponse,
  UNAVAILABLE,
} from '../http/problem.js'
import { type PlainResponse, retryAfter } from '../http/reply.js'
import type { AnswerOf } from '../http/route.js'
import { messageSchema } from '../http/schemas.js'
import { acceptedSchema, decisionSchema, shownRequestOf } from './schemas.js'

/** The documented responses of `POST /book` and `POST /cancel`. */
export function commandResponses(decided: string) {
  return {
    200: {
      description: decided,
      schema: z.union([messageSchema, decisionSchema]),
      headers: {
        Location: 'Path of the job of this request.',
        'Preference-Applied': 'The preferences that were applied.',
        'Idempotency-Replayed': '`true` if this repeats the response to an earlier request.',
      },
    },
    202: {
      description: 'The request is stored and will be decided. Get its result from the job.',
      schema: acceptedSchema,
      headers: {
        Location: 'Path of the job of this request.',
        'Retry-After': 'Seconds to wait before the first poll of the job.',
      },
    },
  }
}

type CommandAnswer = AnswerOf<ReturnType<typeof commandResponses>>
type Decided = Extract<CommandAnswer, { status: 200 }>
type Accepted = Extract<CommandAnswer, { status: 202 }>

export interface OutcomeForm {
  /** True for `Prefer: return=representation`, which adds details to the message. */
  representation: boolean
  /** True for a response to staff. Only staff may see which user got a canceled ticket. */
  staff: boolean
}

const MINIMAL: OutcomeForm = { representation: false, staff: false }

const SUCCESS = {
  booked: 'Ticket booked',
  waiting: 'Added to waiting list',
  canceled: 'Booking canceled',
  withdrawn: 'Removed from waiting list',
} as const

/** Messages of outcomes that are problems. */
export const REFUSAL = {
  event_not_found: EVENT_NOT_FOUND,
  already_booked: 'This user already has a booking for this event.',
  already_waiting: 'This user is already on the waiting list of this event.',
  booking_not_found: 'This user has no booking or waiting-list entry for this event.',
  idempotency_key_reused: 'This Idempotency-Key was already used for a different request.',
  rejected: 'This request could not be processed and was rejected. Nothing was changed.',
} as const satisfies Record<Exclude<OutcomeKind, keyof typeof SUCCESS>, string>

/** Problems that each command can have, besides those of the guards. */
export const COMMAND_PROBLEMS: Readonly<Record<CommandType, readonly ErrorCode[]>> = {
  book: problemsOf('book'),
  cancel: problemsOf('cancel'),
}

function problemsOf(type: CommandType): ErrorCode[] {
  const refusals = Object.keys(REFUSAL) as (keyof typeof REFUSAL)[]
  const ofType = refusals.filter((kind) => OUTCOMES[kind].types.includes(type))
  return ['forbidden', ...ofType, 'busy', 'unavailable', 'unknown']
}

const TOO_DEEP =
  'Too many requests for this event are undecided. Nothing was changed. Please try again.'
/** Message of a command whose effect is unknown. */
export const UNKNOWN =
  'The service lost the connection to its servers during this request. Get the job in Location, or send the request again with the same Idempotency-Key.'

function jobUrl(commandId: string): string {
  return `/jobs/${commandId}`
}

/**
 * Creates the response for a decided command. It is the same for a client that waited, for a client
 * that repeats the request with the same key, and for a client that reads `GET /jobs/:jobId`. If
 * the outcome is that of an earlier command, the response names that command.
 */
export function outcomeResponse(
  commandId: string,
  request: PublicRequest,
  outcome: Outcome,
  form: OutcomeForm = MINIMAL,
): Decided | ProblemResponse {
  const jobId = outcome.replayOf ?? commandId
  const headers: Record<string, string> = { location: jobUrl(jobId) }
  if (outcome.replayOf !== undefined) headers['idempotency-replayed'] = 'true'
  switch (outcome.outcome) {
    case 'booked':
    case 'waiting':
    case 'canceled':
    case 'withdrawn': {
      const message = SUCCESS[outcome.outcome]
      const body = form.representation
        ? represent(request, outcome, jobId, message, form.staff)
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
  request: PublicRequest,
  outcome: Outcome,
  jobId: string,
  message: string,
  staff: boolean,
): z.output<typeof decisionSchema> {
  const { bookingId, position, promotedUserId } = outcome
  return {
    message,
    outcome: outcome.outcome,
    jobId,
    ...shownRequestOf(request),
    ...(bookingId !== undefined && { bookingId }),
    ...(position !== undefined && { position }),
    ...(staff && promotedUserId !== undefined && { promotedUserId }),
    decidedAt: new Date(outcome.decidedAtMs).toISOString(),
  }
}

/** Creates the response to `POST /book` and `POST /cancel`. It names the job if there is one. */
export function submitResponse(
  request: CommandRequest,
  result: SubmitResult,
  preferences: Preferences,
  staff: boolean,
): CommandAnswer | ProblemResponse {
  switch (result.kind) {
    case 'decided': {
      const representation = preferences.return === 'representation'
      const form = { representation, staff }
      const response = outcomeResponse(result.commandId, request, result.outcome, form)
      // A refusal is always a problem, so `return` was not applied to it.
      return withApplied(
        response,
        response.status === 200 ? preferences : { ...preferences, return: undefined },
      )
    }
    case 'accepted':
      return withApplied(acceptedResponse(result.commandId), { ...preferences, return: undefined })
    case 'busy':
      return problemResponse('busy', TOO_DEEP, { headers: retryAfter(1) })
    case 'unavailable':
    case 'unknown': {
      const headers: Record<string, string> = retryAfter(1)
      if (result.commandId !== undefined) headers['location'] = jobUrl(result.commandId)
      return problemResponse(result.kind, result.kind === 'unknown' ? UNKNOWN : UNAVAILABLE, {
        headers,
      })
    }
  }
}

function acceptedResponse(commandId: string): Accepted {
  const statusUrl = jobUrl(commandId)
  return {
    status: 202,
    headers: { location: statusUrl, ...retryAfter(1) },
    body: { message: 'Request accepted', jobId: commandId, statusUrl },
  }
}

function withApplied<A extends PlainResponse>(response: A, used: Preferences): A {
  const applied = preferenceApplied(used)
  if (applied !== undefined) response.headers['preference-applied'] = applied
  return response
}
