/** Every `code` of a problem document (RFC 9457), with its status and title. */
export const PROBLEMS = {
  invalid_request: { status: 400, title: 'Bad Request' },
  unauthorized: { status: 401, title: 'Unauthorized' },
  invalid_credentials: { status: 401, title: 'Unauthorized' },
  forbidden: { status: 403, title: 'Forbidden' },
  insufficient_scope: { status: 403, title: 'Forbidden' },
  not_found: { status: 404, title: 'Not Found' },
  event_not_found: { status: 404, title: 'Not Found' },
  booking_not_found: { status: 404, title: 'Not Found' },
  job_not_found: { status: 404, title: 'Not Found' },
  user_not_found: { status: 404, title: 'Not Found' },
  webhook_not_found: { status: 404, title: 'Not Found' },
  api_key_not_found: { status: 404, title: 'Not Found' },
  method_not_allowed: { status: 405, title: 'Method Not Allowed' },
  user_exists: { status: 409, title: 'Conflict' },
  event_exists: { status: 409, title: 'Conflict' },
  last_admin: { status: 409, title: 'Conflict' },
  too_many_webhooks: { status: 409, title: 'Conflict' },
  too_many_api_keys: { status: 409, title: 'Conflict' },
  webhook_disabled: { status: 409, title: 'Conflict' },
  already_booked: { status: 409, title: 'Conflict' },
  already_held: { status: 409, title: 'Conflict' },
  already_waiting: { status: 409, title: 'Conflict' },
  hold_expired: { status: 409, title: 'Conflict' },
  hold_limit_reached: { status: 409, title: 'Conflict' },
  sales_not_open: { status: 409, title: 'Conflict' },
  sales_paused: { status: 409, title: 'Conflict' },
  sales_closed: { status: 409, title: 'Conflict' },
  sold_out: { status: 409, title: 'Conflict' },
  waiting_list_full: { status: 409, title: 'Conflict' },
  capacity_below_committed: { status: 409, title: 'Conflict' },
  event_canceled: { status: 409, title: 'Conflict' },
  event_in_use: { status: 409, title: 'Conflict' },
  changes_pruned: { status: 410, title: 'Gone' },
  epoch_changed: { status: 410, title: 'Gone' },
  version_mismatch: { status: 412, title: 'Precondition Failed' },
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

/** The members that only some problems have. */
export interface ProblemMembers {
  errors?: FieldError[]
  /** Position in the waiting list (`already_waiting`). */
  position?: number
  /** The hold that the user has (`already_held`). */
  bookingId?: string
  /** When it ends, ISO 8601 (`already_held`). */
  expiresAt?: string
  /** When the sale opens, ISO 8601 (`sales_not_open`). */
  opensAt?: string
  /** Bookings and holds of the event (`capacity_below_committed`). */
  committed?: number
  /** Number of the oldest change that is retained (`changes_pruned`). */
  oldest?: number
}

/** The optional parts of a problem: further members, headers, and a cause for the log. */
export interface ProblemExtras extends ProblemMembers {
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
    // Nobody reads the stack of a refusal, and capturing it takes longer than writing the response.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause })
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'AppError'
    this.code = code
    this.extras = extras
  }

  get status(): (typeof PROBLEMS)[ErrorCode]['status'] {
    return PROBLEMS[this.code].status
  }
}
