/** Every `code` of a problem document (RFC 9457), with its status and title. */
export const PROBLEMS = {
  invalid_request: { status: 400, title: 'Bad Request' },
  unauthorized: { status: 401, title: 'Unauthorized' },
  invalid_credentials: { status: 401, title: 'Unauthorized' },
  forbidden: { status: 403, title: 'Forbidden' },
  not_found: { status: 404, title: 'Not Found' },
  event_not_found: { status: 404, title: 'Not Found' },
  booking_not_found: { status: 404, title: 'Not Found' },
  job_not_found: { status: 404, title: 'Not Found' },
  user_not_found: { status: 404, title: 'Not Found' },
  method_not_allowed: { status: 405, title: 'Method Not Allowed' },
  user_exists: { status: 409, title: 'Conflict' },
  event_exists: { status: 409, title: 'Conflict' },
  last_admin: { status: 409, title: 'Conflict' },
  already_booked: { status: 409, title: 'Conflict' },
  already_waiting: { status: 409, title: 'Conflict' },
  payload_too_large: { status: 413, title: 'Content Too Large' },
  unsupported_media_type: { status: 415, title: 'Unsupported Media Type' },
  idempotency_key_reused: { status: 422, title: 'Unprocessable Content' },
  internal: { status: 500, title: 'Internal Server Error' },
  rejected: { status: 500, title: 'Internal Server Error' },
  busy: { status: 503, title: 'Service Unavailable' },
  unavailable: { status: 503, title: 'Service Unavailable' },
  unknown: { status: 503, title: 'Service Unavailable' },
} as const

export type ErrorCode = keyof typeof PROBLEMS

/** One fault of a request body. */
export interface FieldError {
  /** JSON Pointer (RFC 6901) to the member. */
  pointer: string
  /** What is wrong with it. */
  detail: string
}

/** The optional parts of a problem: further members, headers, and a cause for the log. */
export interface ProblemExtras {
  errors?: FieldError[]
  position?: number
  headers?: Record<string, string>
  cause?: unknown
}

/**
 * A fault or a refusal, with the code that the client reads. It is thrown. Outcomes of a line are
 * values instead.
 */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly extras: ProblemExtras

  /** @param message a sentence for the client, so it names nothing internal */
  constructor(code: ErrorCode, message: string, extras: ProblemExtras = {}) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause })
    this.name = 'AppError'
    this.code = code
    this.extras = extras
  }

  get status(): (typeof PROBLEMS)[ErrorCode]['status'] {
    return PROBLEMS[this.code].status
  }
}
