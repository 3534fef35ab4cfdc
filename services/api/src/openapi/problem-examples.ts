import type { ErrorCode } from '@ticket-line/shared'
import { z } from 'zod'
import { WRONG_CREDENTIALS } from '../accounts/routes.js'
import { SIGN_IN_REQUIRED } from '../auth/authenticate.js'
import { REFUSAL, UNKNOWN } from '../booking/responses.js'
import { STAFF_ACT_FOR_OTHERS } from '../booking/routes.js'
import { EVENT_EXISTS } from '../events/routes.js'
import { MAX_BODY_BYTES } from '../http/body.js'
import { problemResponse, UNAVAILABLE } from '../http/problem.js'
import { OVERLOADED } from '../http/request-context.js'
import { ROLE_NEEDED, type Route } from '../http/route.js'

/** An example message for each code. */
const MESSAGES: Record<ErrorCode, string> = {
  ...REFUSAL,
  invalid_request: 'The request body is not valid.',
  unauthorized: SIGN_IN_REQUIRED,
  invalid_credentials: WRONG_CREDENTIALS,
  forbidden: ROLE_NEEDED.staff,
  not_found: 'There is nothing at this path.',
  job_not_found: 'There is no such job.',
  user_not_found: 'There is no such local account.',
  method_not_allowed: 'This path supports POST, OPTIONS.',
  user_exists: 'This user id is taken.',
  event_exists: EVENT_EXISTS,
  last_admin: 'This is the last admin. Make another user an admin first.',
  payload_too_large: `The body is larger than ${MAX_BODY_BYTES} bytes.`,
  unsupported_media_type: 'The body must be sent as application/json.',
  internal: 'The server encountered an unexpected error.',
  busy: OVERLOADED,
  unavailable: UNAVAILABLE,
  unknown: UNKNOWN,
}

/** Creates an example body for each problem of a route. */
export function problemExamples(
  route: Route,
  codes: readonly ErrorCode[],
): Record<string, { summary: string; value: object }> {
  return Object.fromEntries(
    codes.map((code) => [code, { summary: code, value: exampleOf(route, code) }]),
  )
}

function exampleOf({ body, role }: Route, code: ErrorCode): object {
  if (code === 'already_waiting') return problemResponse(code, MESSAGES[code], { position: 3 }).body
  if (code === 'forbidden') {
    const message = role === undefined ? STAFF_ACT_FOR_OTHERS : ROLE_NEEDED[role]
    return problemResponse(code, message).body
  }
  if (code !== 'invalid_request') return problemResponse(code, MESSAGES[code]).body
  const [member] = body instanceof z.ZodObject ? Object.keys(body.shape) : []
  return member === undefined
    ? problemResponse(code, 'The query is not valid.', {
        errors: [{ pointer: '/color', detail: 'is not a known parameter' }],
      }).body
    : problemResponse(code, MESSAGES[code], {
        errors: [{ pointer: `/${member}`, detail: 'is required' }],
      }).body
}
