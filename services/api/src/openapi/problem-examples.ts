import type { ErrorCode } from '@ticket-line/shared'
import { z } from 'zod'
import { MAX_BODY_BYTES } from '../http/body-bytes.js'
import { problemResponse } from '../http/problem.js'
import type { Route } from '../http/route.js'

/** An example of a message for each code. */
const MESSAGES: Record<ErrorCode, string> = {
  invalid_request: 'The request body is not valid.',
  unauthorized: 'Please sign in: this needs a token.',
  invalid_credentials: 'User id or password is wrong.',
  forbidden: 'This is for organizers and admins.',
  not_found: 'There is nothing at this path.',
  event_not_found: 'There is no such event.',
  booking_not_found: 'There is no booking and no place in the waiting list to cancel.',
  job_not_found: 'There is no such job.',
  user_not_found: 'There is no such local account.',
  method_not_allowed: 'This path answers POST, OPTIONS.',
  user_exists: 'This user id is taken.',
  event_exists: 'There already is an event of that id with another size.',
  last_admin: 'This is the last admin. Please make somebody else an admin first.',
  already_booked: 'There already is a booking of this user for this event.',
  already_waiting: 'This user already is on the waiting list of this event.',
  payload_too_large: `The body is larger than ${MAX_BODY_BYTES} bytes.`,
  unsupported_media_type: 'The body must be sent as application/json.',
  idempotency_key_reused: 'This Idempotency-Key was sent before with another request.',
  internal: 'Something went wrong on our side.',
  rejected: 'This request could not be processed and was set aside. Nothing was changed.',
  busy: 'The service has as many requests under way as it takes. Nothing was changed, please try again.',
  unavailable:
    'The service cannot reach a server it needs. Nothing was changed, please try again in a moment.',
  unknown:
    'The service lost its servers in the middle of this request. Ask the job in Location, or send it again with the same Idempotency-Key.',
}

/** Example bodies of a route's answers with these codes, by code. */
export function problemExamples(
  route: Route,
  codes: readonly ErrorCode[],
): Record<string, { summary: string; value: object | null }> {
  return Object.fromEntries(
    codes.map((code) => [code, { summary: code, value: exampleOf(route, code) }]),
  )
}

function exampleOf({ body, role }: Route, code: ErrorCode): object | null {
  if (code === 'already_waiting') return problemResponse(code, MESSAGES[code], { position: 3 }).body
  if (code === 'forbidden' && role === undefined) {
    return problemResponse(code, 'Only staff may act for somebody else.').body
  }
  if (code === 'forbidden' && role === 'admin')
    return problemResponse(code, 'This is for admins.').body
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
