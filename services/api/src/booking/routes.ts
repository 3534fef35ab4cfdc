import type { Availability, LineClient, SubmitResult } from '@ticket-line/line/client'
import {
  AppError,
  type CommandRequest,
  type CommandType,
  commandCountOf,
  IDEMPOTENCY_KEY_HOURS,
} from '@ticket-line/shared'
import type { Tracing } from '@ticket-line/telemetry'
import type { Context } from 'hono'
import type { z } from 'zod'
import type { EventReads } from '../events/reads.js'
import { audit } from '../http/audit.js'
import type { AppEnv } from '../http/env.js'
import { type Preferences, parsePrefer } from '../http/prefer.js'
import { isStaff } from '../http/principal.js'
import { eventNotFound, unavailable } from '../http/problem.js'
import { sendPlain } from '../http/reply.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import type { Metrics } from '../operations/metrics.js'
import { idempotencyKeyOf, readKeyHash } from './idempotency-key.js'
import { COMMAND_PROBLEMS, commandResponses, submitResponse } from './responses.js'
import { bookingSchema } from './schemas.js'

export interface BookingDeps {
  line: Pick<LineClient, 'submit'>
  events: Pick<EventReads, 'knows' | 'exists'>
  availability: Availability
  metrics: Pick<Metrics, 'jobSize'>
  tracing?: Pick<Tracing, 'current'> | undefined
  /** How long a request without a preference waits for the decision, ms. */
  resultWaitMs: number
}

/** `POST /book` and `POST /cancel`. */
export function bookingRoutes(deps: BookingDeps): Route[] {
  return [
    commandRoute('book', deps, {
      summary: 'Book a ticket, or join the waiting list',
      description:
        'Requests for one event are decided in the order in which they entered its line.',
      decided: '`Ticket booked` or `Added to waiting list`',
    }),
    commandRoute('cancel', deps, {
      summary: 'Cancel a booking, or leave the waiting list',
      description:
        'The first user on the waiting list gets the canceled ticket in the same transaction.',
      decided: '`Booking canceled` or `Removed from waiting list`',
    }),
  ]
}

function commandRoute(
  type: CommandType,
  deps: BookingDeps,
  { decided, ...texts }: { summary: string; description: string; decided: string },
): Route {
  return defineRoute({
    method: 'POST',
    path: `/${type}`,
    auth: 'required',
    limit: 'general',
    body: bookingSchema,
    docs: {
      ...texts,
      tag: 'Booking',
      requestHeaders: {
        Prefer:
          '`wait=N` waits up to N seconds for the decision, at most 30. `respond-async` returns 202 as soon as the request is stored. `return=representation` adds details to the response (RFC 7240).',
        'Idempotency-Key': `1 to 128 printable ASCII characters. Within ${IDEMPOTENCY_KEY_HOURS} hours, the same request with the same key returns the first response again.`,
      },
      problems: COMMAND_PROBLEMS[type],
    },
    responses: commandResponses(decided),
    handler: (c, { body }) => submit(c, type, body, deps),
  })
}

async function submit(
  c: Context<AppEnv>,
  type: CommandType,
  { eventId, userId: requestedUserId }: z.output<typeof bookingSchema>,
  { line, events, availability, metrics, tracing, resultWaitMs }: BookingDeps,
): Promise<Response> {
  const principal = principalOf(c)
  const preferences = parsePrefer(c.req.header('prefer'))
  const keyHash = readKeyHash(idempotencyKeyOf(c))
  const caller = principal.userId
  const userId = requestedUserId ?? caller
  const staff = isStaff(principal)
  if (userId !== caller && !staff) throw new AppError('forbidden', STAFF_ACT_FOR_OTHERS)
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
    spentMs: c.get('rateLimitMs') ?? 0,
  })
  if (userId !== caller) auditForOther(c, request, result)
  if ('commandId' in result) observeJobSize(metrics, result.commandId)
  return sendPlain(c, submitResponse(request, result, preferences, staff))
}

/** Message of `forbidden` if a user books or cancels for somebody else. */
export const STAFF_ACT_FOR_OTHERS = 'Only staff may act for another user.'

/** Logs that staff acted for another user. Logs nothing if the command was not stored. */
function auditForOther(c: Context<AppEnv>, request: CommandRequest, result: SubmitResult): void {
  if (result.kind === 'busy' || result.kind === 'unavailable') return
  const { type, eventId, userId } = request
  const outcome = result.kind === 'decided' ? result.outcome.outcome : result.kind
  audit(c, 'acted_for_other', { userId, eventId, type, jobId: result.commandId, outcome })
}

/** Observes the size of each job once, by its first command. The id of a job contains its size. */
function observeJobSize(metrics: BookingDeps['metrics'], commandId = ''): void {
  const jobId = commandId.endsWith('.0') ? commandId.slice(0, -2) : undefined
  if (jobId !== undefined) metrics.jobSize.observe(commandCountOf(jobId))
}

function waitMsOf({ waitSeconds, respondAsync }: Preferences, resultWaitMs: number): number {
  if (waitSeconds !== undefined) return waitSeconds * 1000
  return respondAsync ? 0 : resultWaitMs
}
