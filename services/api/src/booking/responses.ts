import type { SubmitResult } from '@ticket-line/line/client'
import {
  type CommandRequest,
  type CommandType,
  type ErrorCode,
  isoOf,
  OUTCOMES,
  type Outcome,
  type OutcomeKind,
  type ProblemExtras,
  type PublicRequest,
} from '@ticket-line/shared'
import type { z } from 'zod'
import { eventBodyOf, eventSchema, eventTagOf } from '../events/event-body.js'
import { KEY_REUSED } from '../http/idempotency-key.js'
import { type Preferences, preferenceApplied } from '../http/prefer.js'
import {
  EVENT_NOT_FOUND,
  type ProblemResponse,
  problemResponse,
  UNAVAILABLE,
} from '../http/problem.js'
import { type PlainResponse, retryAfter } from '../http/reply.js'
import type { AnswerOf } from '../http/route.js'
import {
  acceptedSchema,
  commandResultSchema,
  type decisionSchema,
  resultExamples,
  shownRequestOf,
} from './schemas.js'

/** The headers of a decided command, also if it was refused. */
export const DECIDED_HEADERS = ['Location', 'Preference-Applied', 'Idempotency-Replayed'] as const

const ACCEPTED = {
  description:
    'The request is accepted and will be decided. Get its result from the job, the first time after `Retry-After`: about as long as the decision takes, at most 30 seconds.',
  schema: acceptedSchema,
  headers: ['Location', 'Retry-After', 'Preference-Applied'],
} as const

/**
 * The documented responses of a command other than PATCH.
 *
 * @param kinds its outcomes that are successes, the usual one first
 */
export function commandResponses(kinds: [keyof typeof SUCCESS, ...(keyof typeof SUCCESS)[]]) {
  const messages = kinds.map((kind) => SUCCESS[kind])
  return {
    200: {
      description: messages.map((message) => `\`${message}\``).join(', '),
      schema: commandResultSchema,
      examples: resultExamples(messages, kinds[0]),
      headers: DECIDED_HEADERS,
    },
    202: ACCEPTED,
  }
}

/** The documented responses of `PATCH /events/:eventId`. */
export const changeResponses = {
  200: {
    description: 'The event as decided.',
    schema: eventSchema,
    headers: [...DECIDED_HEADERS, 'ETag'],
  },
  202: ACCEPTED,
} as const

type CommandAnswer =
  | AnswerOf<ReturnType<typeof commandResponses>>
  | AnswerOf<typeof changeResponses>
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
  held: 'Ticket held',
  waiting: 'Added to waiting list',
  confirmed: 'Booking confirmed',
  extended: 'Hold extended',
  canceled: 'Booking canceled',
  released: 'Ticket released',
  withdrawn: 'Removed from waiting list',
  configured: 'Event changed',
  event_ended: 'Event canceled',
  settled: 'Settled',
} as const

/** Messages of outcomes that are problems. */
export const REFUSAL = {
  event_not_found: EVENT_NOT_FOUND,
  event_canceled: 'This event is canceled.',
  already_booked: 'This user already has a booking for this event.',
  already_held: 'This user already holds a ticket for this event.',
  already_waiting: 'This user is already on the waiting list of this event.',
  hold_expired: 'The hold has expired, or the user has another booking by now.',
  hold_limit_reached: 'This hold cannot be extended any further.',
  sales_not_open: 'The sale of this event has not opened yet.',
  sales_paused: 'The sale of this event is paused. Please try again later.',
  sales_closed: 'The sale of this event is closed.',
  sold_out: 'This event is sold out.',
  waiting_list_full: 'This event is sold out and its waiting list is full.',
  capacity_below_committed:
    'More tickets than that are booked or held. Send shrink: true to reach the new size as they come back.',
  version_mismatch: 'The event was changed in the meantime. Read it again.',
  booking_not_found: 'This user has no booking or waiting-list entry for this event.',
  idempotency_key_reused: KEY_REUSED,
  rejected: 'This request could not be processed and was rejected. Nothing was changed.',
} as const satisfies Record<Exclude<OutcomeKind, keyof typeof SUCCESS>, string>

/** Problems that each command can have, besides those of the guards. */
export const COMMAND_PROBLEMS: Readonly<Record<CommandType, readonly ErrorCode[]>> = {
  book: problemsOf('book'),
  cancel: problemsOf('cancel'),
  confirm: problemsOf('confirm'),
  extend: problemsOf('extend'),
  grant: problemsOf('grant'),
  configure: problemsOf('configure'),
  cancel_event: problemsOf('cancel_event'),
  settle: [],
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
  const { outcome: kind, event } = outcome
  if (!isSuccess(kind)) return refusalResponse({ ...outcome, outcome: kind }, headers)
  if (event !== undefined) {
    const body = eventBodyOf(event, outcome.decidedAtMs, form.staff)
    headers['etag'] = eventTagOf(event.version, body)
    return { status: 200, headers, body }
  }
  const message = SUCCESS[kind]
  const body = form.representation
    ? represent(request, outcome, jobId, message, form.staff)
    : { message }
  return { status: 200, headers, body }
}

/** Creates the response for a command that changed nothing, whether or not it entered the line. */
export function refusalResponse(
  outcome: Outcome & { outcome: keyof typeof REFUSAL },
  headers: Record<string, string>,
): ProblemResponse {
  const { outcome: kind, position, bookingId, expiresAtMs, opensAtMs, committed } = outcome
  const extras: ProblemExtras = { headers }
  if (position !== undefined) extras.position = position
  if (kind === 'already_held' && bookingId !== undefined) extras.bookingId = bookingId
  if (expiresAtMs !== undefined) extras.expiresAt = isoOf(expiresAtMs)
  if (opensAtMs !== undefined) {
    extras.opensAt = isoOf(opensAtMs)
    const leftMs = opensAtMs - outcome.decidedAtMs
    Object.assign(headers, retryAfter(Math.max(1, Math.ceil(leftMs / 1000))))
  }
  if (committed !== undefined) extras.committed = committed
  return problemResponse(kind, REFUSAL[kind], extras)
}

function isSuccess(kind: OutcomeKind): kind is keyof typeof SUCCESS {
  return kind in SUCCESS
}

function represent(
  request: PublicRequest,
  outcome: Outcome,
  jobId: string,
  message: string,
  staff: boolean,
): z.output<typeof decisionSchema> {
  const { bookingId, position, expiresAtMs, promotedUserId } = outcome
  return {
    message,
    outcome: outcome.outcome,
    jobId,
    ...shownRequestOf(request),
    ...(bookingId !== undefined && { bookingId }),
    ...(position !== undefined && { position }),
    ...(expiresAtMs !== undefined && { expiresAt: isoOf(expiresAtMs) }),
    ...(staff && promotedUserId !== undefined && { promotedUserId }),
    decidedAt: new Date(outcome.decidedAtMs).toISOString(),
  }
}

/** Creates the response to a command. It names the job if there is one. */
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
      return withApplied(response, { ...preferences, return: appliedReturn(response, preferences) })
    }
    case 'accepted':
      return withApplied(acceptedResponse(result), { ...preferences, return: undefined })
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

/**
 * The `return` preference that a response follows. A refusal is always a problem, and a changed
 * event is always shown whole.
 */
export function appliedReturn(
  { status, body }: PlainResponse,
  { return: preferred }: Preferences,
): Preferences['return'] {
  if (status !== 200) return undefined
  const isWhole = body !== null && 'serverTime' in body
  return isWhole && preferred === 'minimal' ? undefined : preferred
}

function acceptedResponse({
  commandId,
  etaSeconds,
}: Extract<SubmitResult, { kind: 'accepted' }>): Accepted {
  const statusUrl = jobUrl(commandId)
  return {
    status: 202,
    headers: { location: statusUrl, ...pollAfter(etaSeconds ?? 0) },
    body: { message: 'Request accepted', jobId: commandId, statusUrl },
  }
}

/** Limits of an estimate in `Retry-After`, s. With the jitter, at most 30 s remain. */
const LEAST_POLL_S = 1
const MOST_POLL_S = 25
/** Clients that were told the same estimate poll at times that differ by up to this fraction. */
const POLL_JITTER = 0.2

/**
 * The header that tells a client when to poll its job: about when it will be decided. The jitter
 * keeps clients whose commands are in the same job from polling at the same time.
 *
 * @param random from 0 to 1
 */
export function pollAfter(
  etaSeconds: number,
  random: () => number = Math.random,
): { 'retry-after': string } {
  const wantedS = Math.min(Math.max(etaSeconds, LEAST_POLL_S), MOST_POLL_S)
  return retryAfter(Math.ceil(wantedS * (1 + POLL_JITTER * (2 * random() - 1))))
}

function withApplied<A extends PlainResponse>(response: A, used: Preferences): A {
  const applied = preferenceApplied(used)
  if (applied !== undefined) response.headers['preference-applied'] = applied
  return response
}
