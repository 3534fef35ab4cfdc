import { isRetryable } from '@ticket-line/db'
import { AppError, type ErrorCode, PROBLEMS, type ProblemExtras } from '@ticket-line/shared'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import type { LimitName } from '../limits/limit-names.js'
import type { AppEnv } from './env.js'
import { type PlainResponse, retryAfter, sendPlain } from './reply.js'
import { countSchema, positionSchema, timeSchema } from './schemas.js'

/** Body of every error response: RFC 9457 with a stable `code`. */
export const problemSchema = z
  .strictObject({
    type: z.string().meta({ example: 'urn:ticket-line:problem:invalid_request' }),
    title: z.string().meta({ example: 'Bad Request' }),
    status: z.int().meta({ example: 400 }),
    code: z
      .enum(Object.keys(PROBLEMS) as [keyof typeof PROBLEMS])
      .meta({ id: 'ErrorCode', description: 'Stable identifier for programs.' }),
    message: z.string().meta({ description: 'A sentence for people.' }),
    detail: z.string().meta({ description: 'The same sentence (RFC 9457).' }),
    errors: z
      .array(
        z.strictObject({
          pointer: z.string().meta({ description: 'JSON pointer (RFC 6901).' }),
          detail: z.string(),
        }),
      )
      .optional(),
    position: positionSchema.optional(),
    bookingId: z.string().optional().meta({ description: 'The hold that the user has.' }),
    expiresAt: timeSchema.optional().meta({ description: 'When that hold ends.' }),
    opensAt: timeSchema.optional().meta({ description: 'When the sale opens.' }),
    committed: countSchema.optional().meta({ description: 'Tickets that are booked or held.' }),
    oldest: z.int().optional().meta({ description: 'The oldest change that is retained.' }),
  })
  .meta({ id: 'Problem' })

export type Problem = z.output<typeof problemSchema>
export type ProblemResponse = PlainResponse<number, Problem>

/** Message of `not_found`. */
export const NOT_FOUND = 'There is nothing at this path.'
/** Message of `event_not_found`. */
export const EVENT_NOT_FOUND = 'There is no such event.'
/** Message of `changes_pruned`. */
export const CHANGES_PRUNED = 'These changes are no longer retained.'
/** Message of `internal`. */
export const INTERNAL = 'The server encountered an unexpected error.'
/** Message of a 503 to a request that changed nothing. */
export const UNAVAILABLE =
  'The service cannot reach a server that it needs. Nothing was changed. Please try again.'

/** The URN that identifies a kind of problem. It does not resolve (RFC 9457, section 3.1.1). */
export function problemType(code: ErrorCode): string {
  return `urn:ticket-line:problem:${code}`
}

/** Creates an error response as data. It does not need the request. */
export function problemResponse(
  code: ErrorCode,
  message: string,
  extras: ProblemExtras = {},
): ProblemResponse {
  const { status, title } = PROBLEMS[code]
  const { headers: given = {}, cause: _logged, ...members } = extras
  const body: Problem = {
    type: problemType(code),
    title,
    status,
    code,
    message,
    detail: message,
    ...members,
  }
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' }
  for (const [name, value] of Object.entries(given)) headers[name.toLowerCase()] = value
  return { status, headers, body }
}

/**
 * Creates the error for a request that needs a server which cannot be reached.
 *
 * @param cause logged with the request, if given
 */
export function unavailable(cause?: unknown, message = UNAVAILABLE): AppError {
  return new AppError('unavailable', message, { headers: retryAfter(1), cause })
}

/** Called when a call has missed its deadline, as the `onLate` of `withDeadline`. */
export function throwUnavailable(): never {
  throw unavailable()
}

/** The error of `busy`, with the limit that refused the request. */
class BusyError extends AppError {
  /** For metrics; undefined if the process is stopping. */
  readonly limit: LimitName | undefined

  constructor(message: string, limit: LimitName | undefined, retryAfterSeconds: number) {
    super('busy', message, { headers: retryAfter(retryAfterSeconds) })
    this.limit = limit
  }
}

/**
 * Creates the error for a request that exceeds a concurrency limit of this process.
 *
 * @param limit undefined if no limit was reached, because the process is stopping
 */
export function busy(message: string, limit?: LimitName, retryAfterSeconds = 1): AppError {
  return new BusyError(message, limit, retryAfterSeconds)
}

export function eventNotFound(): AppError {
  return new AppError('event_not_found', EVENT_NOT_FOUND)
}

// ioredis distinguishes these errors only by their messages.
const REDIS_UNAVAILABLE =
  /^(Connection is closed|Command timed out|Stream isn't writeable|Reached the max retries|READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|MOVED|ASK|TRYAGAIN|ERR Script attempted to access a non local key)/

/** Maps an error to one that the client may see; `undefined` for unexpected errors. */
function toAppError(error: unknown): AppError | undefined {
  if (error instanceof AppError) return error
  const isTemporary =
    isRetryable(error) || (error instanceof Error && REDIS_UNAVAILABLE.test(error.message))
  if (!isTemporary) return undefined
  // Unlike `UNAVAILABLE`, this does not say that nothing was changed, because something may be.
  return unavailable(error, 'The service cannot reach a server that it needs. Please try again.')
}

/**
 * Answers an error with `application/problem+json`. Unexpected errors are logged with the request
 * id and sent as a bare 500, so that no stack, SQL or internal name leaves the process.
 */
export function respondError(c: Context<AppEnv>, error: unknown): Response {
  const known = toAppError(error)
  if (known === undefined && error instanceof HTTPException) return error.getResponse()
  const requestId = c.get('requestId')
  if (known === undefined) {
    c.get('log')?.error({ err: error, requestId }, 'request failed')
    return sendPlain(c, problemResponse('internal', INTERNAL))
  }
  if (known.cause !== undefined)
    c.get('log')?.warn({ err: known.cause, requestId, code: known.code }, 'request refused')
  if (known instanceof BusyError) c.set('refusedBy', known.limit)
  return sendPlain(c, problemResponse(known.code, known.message, known.extras))
}
