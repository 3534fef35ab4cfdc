import type { ErrorCode, ProblemMembers } from '@ticket-line/shared'
import { USER_EXISTS, WRONG_CREDENTIALS } from '../accounts/routes.js'
import { LAST_ADMIN, USER_NOT_FOUND } from '../accounts/user-routes.js'
import { SIGN_IN_REQUIRED } from '../auth/authenticate.js'
import { JOB_NOT_FOUND } from '../booking/job-routes.js'
import { REFUSAL, UNKNOWN } from '../booking/responses.js'
import { EVENT_IN_USE } from '../events/event-routes.js'
import { EVENT_EXISTS } from '../events/routes.js'
import { NOT_JSON, TOO_LARGE } from '../http/body.js'
import { notValid } from '../http/input.js'
import {
  CHANGES_PRUNED,
  INTERNAL,
  NOT_FOUND,
  problemResponse,
  UNAVAILABLE,
} from '../http/problem.js'
import { OVERLOADED } from '../http/request-context.js'
import { ROLE_NEEDED, SCOPE_MISSING, supportsOnly } from '../http/route.js'
import { API_KEY_NOT_FOUND, TOO_MANY_API_KEYS } from '../keys/schemas.js'
import { EPOCH_CHANGED } from '../live/change-feed.js'
import { TOO_MANY_WEBHOOKS, WEBHOOK_DISABLED, WEBHOOK_NOT_FOUND } from '../webhooks/routes.js'

/** An example message for each code. */
const MESSAGES: Record<ErrorCode, string> = {
  ...REFUSAL,
  invalid_request: notValid('request body'),
  unauthorized: SIGN_IN_REQUIRED,
  invalid_credentials: WRONG_CREDENTIALS,
  forbidden: ROLE_NEEDED.staff,
  insufficient_scope: SCOPE_MISSING,
  not_found: NOT_FOUND,
  job_not_found: JOB_NOT_FOUND,
  user_not_found: USER_NOT_FOUND,
  webhook_not_found: WEBHOOK_NOT_FOUND,
  api_key_not_found: API_KEY_NOT_FOUND,
  method_not_allowed: supportsOnly('POST, OPTIONS'),
  user_exists: USER_EXISTS,
  event_exists: EVENT_EXISTS,
  event_in_use: EVENT_IN_USE,
  last_admin: LAST_ADMIN,
  too_many_webhooks: TOO_MANY_WEBHOOKS,
  too_many_api_keys: TOO_MANY_API_KEYS,
  webhook_disabled: WEBHOOK_DISABLED,
  changes_pruned: CHANGES_PRUNED,
  epoch_changed: EPOCH_CHANGED,
  payload_too_large: TOO_LARGE,
  unsupported_media_type: NOT_JSON,
  internal: INTERNAL,
  busy: OVERLOADED,
  unavailable: UNAVAILABLE,
  unknown: UNKNOWN,
}

/** The members that only some problems have. */
const MEMBERS: Partial<Record<ErrorCode, ProblemMembers>> = {
  invalid_request: { errors: [{ pointer: '/eventId', detail: 'is required' }] },
  already_waiting: { position: 3 },
  already_held: { bookingId: '1001-7', expiresAt: '2030-01-31T18:00:00.000Z' },
  sales_not_open: { opensAt: '2030-01-31T18:00:00.000Z' },
  capacity_below_committed: { committed: 480 },
  changes_pruned: { oldest: 1025 },
}

/** Creates an example body for a problem. */
export function problemExample(code: ErrorCode): object {
  return problemResponse(code, MESSAGES[code], MEMBERS[code]).body
}
