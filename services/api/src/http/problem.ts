import { isRetryable } from '@ticket-line/db'
import { AppError, type ErrorCode, PROBLEMS, type ProblemExtras } from '@ticket-line/shared'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { AppEnv } from './env.js'
import { type PlainResponse, replyPlain } from './reply.js'

/** Body of every refusal and failure: RFC 9457 with a stable `code`. */
export interface Problem {
  type: string
  title: string
  status: number
  code: ErrorCode
  message: string
  /** The same sentence as `message`, under the name of RFC 9457. */
  detail: string
  errors?: { pointer: string; detail: string }[]
  position?: number
}

/** The URN that names a kind of problem. It identifies and leads nowhere (RFC 9457, section 3.1.1). */
export function problemType(code: ErrorCode): string {
  return `urn:ticket-line:problem:${code}`
}

/** The answer to a refusal or failure, away from any request. */
export function problemResponse(
  code: ErrorCode,
  message: string,
  extras: ProblemExtras = {},
): PlainResponse {
  const { status, title } = PROBLEMS[code]
  const body: Problem = { type: problemType(code), title, status, code, message, detail: message }
  if (extras.errors !== undefined) body.errors = extras.errors
  if (extras.position !== undefined) body.position = extras.position
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' }
  for (const [name, value] of Object.entries(extras.headers ?? {}))
    headers[name.toLowerCase()] = value
  return { status, headers, body }
}

// ioredis tells these by their words alone.
const REDIS_OUT_OF_REACH =
  /^(Connection is closed|Command timed out|Stream isn't writeable|Reached the max retries|READONLY|LOADING|MASTERDOWN|CLUSTERDOWN)/

/** Turns whatever was thrown into what a client may read; `undefined` for what nobody foresaw. */
function toAppError(error: unknown): AppError | undefined {
  if (error instanceof AppError) return error
  const passing =
    isRetryable(error) || (error instanceof Error && REDIS_OUT_OF_REACH.test(error.message))
  if (!passing) return undefined
  const message = 'The service cannot reach a server it needs, please try again in a moment.'
  return new AppError('unavailable', message, { headers: { 'Retry-After': '1' }, cause: error })
}

/**
 * Answers an error as `application/problem+json`. What is not an {@link AppError} is logged with the request id and
 * leaves as a bare 500 (or 503 where a server was out of reach): no stack, SQL or internal name goes out.
 */
export function respondError(c: Context<AppEnv>, error: unknown): Response {
  const known = toAppError(error)
  if (known === undefined && error instanceof HTTPException) return error.getResponse()
  const requestId = c.get('requestId')
  if (known === undefined) {
    c.get('log')?.error({ err: error, requestId }, 'request failed')
    return replyPlain(c, problemResponse('internal', 'Something went wrong on our side.'))
  }
  if (known.cause !== undefined)
    c.get('log')?.warn({ err: known.cause, requestId, code: known.code }, 'request refused')
  return replyPlain(c, problemResponse(known.code, known.message, known.extras))
}
