import type { Problem } from './schemas.js'

/** The codes of the API, and two for answers that have none. */
export type ErrorCode =
  | Problem['code']
  /** 429: the rate limit is exceeded. */
  | 'rate_limited'
  /** An answer that is not from the API, for example a proxy's 502. */
  | 'unexpected_answer'

/** The members that problems with these codes have in addition. */
interface Members {
  already_held: 'bookingId' | 'expiresAt'
  already_waiting: 'position'
  sales_not_open: 'opensAt'
  capacity_below_committed: 'committed'
  changes_pruned: 'oldest'
}

/** A problem with any code. */
type AnyProblem = Omit<Problem, 'code'> & { code: ErrorCode }

/** The problem that belongs to a code (RFC 9457). */
export type ProblemOf<Code extends ErrorCode> = Code extends keyof Members
  ? Omit<Problem, 'code'> & { code: Code } & Required<Pick<Problem, Members[Code]>>
  : Omit<Problem, 'code'> & { code: Code }

/** Where an error comes from. */
export interface ErrorSource {
  /** The job of the command that was refused. */
  jobId?: string | undefined
  headers?: Headers | undefined
}

/** The API answered with an error: a refusal (4xx), or a failure that lasted (429, 5xx). */
export class TicketLineError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'TicketLineError'
  readonly code: Code
  /** Status of the answer. */
  readonly status: number
  readonly problem: ProblemOf<Code>
  /** The job of the command, if it entered the line. */
  readonly jobId: string | undefined
  /** The time in `Retry-After`, s; undefined if the answer had no such header. */
  readonly retryAfterSeconds: number | undefined
  /** Identifies the request in the logs of the API. */
  readonly requestId: string | undefined

  constructor(problem: AnyProblem, { jobId, headers }: ErrorSource = {}) {
    super(problem.message)
    this.code = problem.code as Code
    this.status = problem.status
    this.problem = problem as ProblemOf<Code>
    this.jobId = jobId ?? jobIdOf(headers)
    this.retryAfterSeconds = headers && retryAfterSecondsOf(headers)
    this.requestId = headers?.get('x-request-id') ?? undefined
  }
}

/**
 * The API gave no answer in any attempt: it could not be reached, or the connection broke. A
 * command may have been decided nevertheless. To find out, send it again with the same
 * `idempotencyKey`. It still has one effect.
 */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError'
}

/**
 * Whether an error is an answer of the API with one of these codes. Without codes, whether it is an
 * answer of the API at all.
 *
 * @example if (hasCode(error, 'already_held')) show(error.problem.expiresAt)
 */
export function hasCode<Code extends ErrorCode = ErrorCode>(
  error: unknown,
  ...codes: Code[]
): error is TicketLineError<Code> {
  if (!(error instanceof TicketLineError)) return false
  return codes.length === 0 || (codes as ErrorCode[]).includes(error.code)
}

/** The error for an answer that is no success. @param body its JSON, or its text */
export function errorOf(response: Response, body: unknown): TicketLineError {
  return new TicketLineError(problemOf(response, body), { headers: response.headers })
}

function problemOf({ status, statusText }: Response, body: unknown): AnyProblem {
  if (isProblem(body)) return body
  const code = status === 429 ? 'rate_limited' : 'unexpected_answer'
  const message =
    hasMessage(body) && status === 429 ? body.message : `The answer was ${status} ${statusText}.`
  return { type: 'about:blank', title: statusText, status, code, message, detail: message }
}

function isProblem(body: unknown): body is Problem {
  return hasMessage(body) && 'code' in body && 'status' in body
}

function hasMessage(body: unknown): body is { message: string } {
  return typeof body === 'object' && body !== null && 'message' in body
}

/** The job that `Location` names. */
export function jobIdOf(headers: Headers | undefined): string | undefined {
  return /\/jobs\/([^/?]+)$/.exec(headers?.get('location') ?? '')?.[1]
}

/** The time in `Retry-After`, which is in seconds or a date (RFC 9110, section 10.2.3). */
export function retryAfterSecondsOf(headers: Headers, nowMs = Date.now()): number | undefined {
  const value = headers.get('retry-after')
  if (value === null) return undefined
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - nowMs) / 1000
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds)
}
