import type { Availability, LineClient, SubmitResult } from '@ticket-line/line/client'
import {
  AppError,
  type CommandRequest,
  type CommandType,
  commandCountOf,
} from '@ticket-line/shared'
import type { Tracing } from '@ticket-line/telemetry'
import type { Context } from 'hono'
import { z } from 'zod'
import type { EventReads } from '../events/reads.js'
import { audit } from '../http/audit.js'
import type { AppEnv } from '../http/env.js'
import { type Preferences, parsePrefer } from '../http/prefer.js'
import { isStaff } from '../http/principal.js'
import { eventNotFound, unavailable } from '../http/refusals.js'
import { replyPlain } from '../http/reply.js'
import { acceptedSchema, messageSchema, representationSchema } from '../http/response-schemas.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import type { RouteDocs } from '../http/route-docs.js'
import { eventIdSchema, userIdSchema } from '../http/schemas.js'
import type { Metrics } from '../operations/metrics.js'
import { idempotencyKeyOf, readKeyHash } from './idempotency-key.js'
import { submitResponse } from './submit-response.js'

export interface BookingDeps {
  line: Pick<LineClient, 'submit'>
  events: Pick<EventReads, 'knows' | 'exists'>
  availability: Availability
  metrics: Pick<Metrics, 'jobSize'>
  tracing?: Pick<Tracing, 'current'> | undefined
  /** How long an answer is awaited without a preference, ms. */
  resultWaitMs: number
}

const body = z
  .strictObject({ eventId: eventIdSchema, userId: userIdSchema.optional() })
  .meta({ id: 'BookingRequest', example: { eventId: 1001 } })

/** `POST /book` and `POST /cancel`. */
export function bookingRoutes(deps: BookingDeps): Route[] {
  const route = (type: CommandType, path: string, docs: RouteDocs) =>
    defineRoute({
      method: 'POST',
      path,
      auth: 'required',
      limit: 'general',
      body,
      docs,
      handler: (c, input) => submit(c, type, input.body, deps),
    })
  return [route('book', '/book', bookDocs), route('cancel', '/cancel', cancelDocs)]
}

async function submit(
  c: Context<AppEnv>,
  type: CommandType,
  { eventId, userId: wantedUserId }: z.output<typeof body>,
  { line, events, availability, metrics, tracing, resultWaitMs }: BookingDeps,
): Promise<Response> {
  const principal = principalOf(c)
  const preferences = parsePrefer(c.req.header('prefer'))
  const keyHash = readKeyHash(idempotencyKeyOf(c))
  const caller = principal.userId
  const userId = wantedUserId ?? caller
  const staff = isStaff(principal)
  if (userId !== caller && !staff)
    throw new AppError('forbidden', 'Only staff may act for somebody else.')
  if (!events.knows(eventId) && !(await events.exists(eventId))) throw eventNotFound()
  if (!availability.redis() || !availability.postgres()) throw unavailable()

  const trace = tracing?.current()
  const request = {
    type,
    eventId,
    userId,
    caller,
    ...(keyHash !== undefined && { keyHash }),
    ...(trace !== undefined && { trace }),
  }
  const result = await line.submit(request, {
    waitMs: waitMsOf(preferences, resultWaitMs),
    spentMs: c.get('countedForMs') ?? 0,
  })
  if (userId !== caller) auditForOther(c, request, result)
  if ('commandId' in result) noteJobSize(metrics, result.commandId)
  return replyPlain(c, submitResponse(request, result, preferences, staff))
}

/** Logs that staff acted for another user, unless the command was not stored. */
function auditForOther(c: Context<AppEnv>, request: CommandRequest, result: SubmitResult): void {
  if (result.kind === 'busy' || result.kind === 'unavailable') return
  const { type, eventId, userId } = request
  const outcome = result.kind === 'decided' ? result.outcome.outcome : result.kind
  audit(c, 'acted_for_other', { userId, eventId, type, jobId: result.commandId, outcome })
}

/** Each job has one first command, and its id says how many there are. */
function noteJobSize(metrics: BookingDeps['metrics'], commandId = ''): void {
  const jobId = commandId.endsWith('.0') ? commandId.slice(0, -2) : undefined
  if (jobId !== undefined) metrics.jobSize.observe(commandCountOf(jobId))
}

function waitMsOf({ waitSeconds, respondAsync }: Preferences, resultWaitMs: number): number {
  if (waitSeconds !== undefined) return waitSeconds * 1000
  return respondAsync ? 0 : resultWaitMs
}

const shared = {
  tag: 'Booking',
  requestHeaders: {
    Prefer:
      '`wait=N` waits at most N seconds (30 at most), `respond-async` answers 202 at once, `return=representation` says more (RFC 7240).',
    'Idempotency-Key':
      '1 to 128 printable ASCII characters. The same key with the same request gives the first answer again, for 24 hours.',
  },
} as const

const decided = (messages: string) => ({
  description: messages,
  schema: z.union([messageSchema, representationSchema]),
  headers: {
    Location: 'The job of this request.',
    'Preference-Applied': 'Preferences that were used.',
    'Idempotency-Replayed': '`true` where this is the first answer given again.',
  },
})

const accepted = {
  description: 'Stored, and not decided yet: a promise. Ask the job for the answer.',
  schema: acceptedSchema,
  headers: { Location: 'The job of this request.', 'Retry-After': 'Seconds.' },
}

const bookDocs: RouteDocs = {
  ...shared,
  summary: 'Book a ticket, or take the next place in the waiting list',
  description: 'Requests for one event are decided in the order in which they entered its line.',
  responses: { 200: decided('`Ticket booked` or `Added to waiting list`'), 202: accepted },
  problems: [
    'forbidden',
    'event_not_found',
    'already_booked',
    'already_waiting',
    'idempotency_key_reused',
    'rejected',
    'busy',
    'unavailable',
    'unknown',
  ],
}

const cancelDocs: RouteDocs = {
  ...shared,
  summary: 'Give a ticket back, or leave the waiting list',
  description: 'A ticket given back goes to the first in the waiting list in the same transaction.',
  responses: { 200: decided('`Booking canceled` or `Removed from waiting list`'), 202: accepted },
  problems: [
    'forbidden',
    'event_not_found',
    'booking_not_found',
    'idempotency_key_reused',
    'rejected',
    'busy',
    'unavailable',
    'unknown',
  ],
}
