import { type ErrorCode, hasCode, NoAnswerError, type TicketLineError } from '@ticket-line/client'
import { number, until } from '../format.js'

/** What a person reads about an error. */
export interface Explanation {
  text: string
  /** What is wrong with individual fields, in the words of the API. */
  details: string[]
  /** Whether the same call may succeed if it is made again. */
  mayRetry: boolean
}

/**
 * Sentences by error code. They tell buyers and organizers what happened and what to do next; the
 * sentences of the API are for developers. Codes without an entry keep the sentence of the API.
 * `event/notices.ts` and `box-office/people/texts.ts` have other sentences for codes that mean more
 * after what somebody did.
 */
export const SENTENCES = {
  unauthorized: 'Your sign-in has ended. Please sign in again.',
  invalid_credentials: 'The name or the password is wrong. Please check both.',
  user_exists: 'This name is taken. Please choose another one, or sign in.',
  forbidden: 'You are not allowed to do this.',
  insufficient_scope: 'You are not allowed to do this.',
  event_not_found: 'There is no such event. Please check the address.',
  booking_not_found: 'You have no ticket for this event, and you are not on the waiting list.',
  not_found: 'This does not exist here. It may have been removed.',
  event_exists: 'An event with this number exists already. Please choose another number.',
  event_in_use:
    'Somebody has had a ticket for this event, so it cannot be deleted. Cancel it instead.',
  already_booked: 'You already have a ticket for this event.',
  already_held: 'A ticket is already held for you.',
  already_waiting: 'You are already on the waiting list.',
  hold_expired: 'You were too late. No ticket is free any more.',
  hold_limit_reached: 'This hold cannot be extended any further.',
  sales_not_open: 'The sale has not begun yet.',
  sales_paused: 'The sale is paused. Please try again later.',
  sales_closed: 'The sale is over.',
  event_canceled: 'This event was canceled.',
  sold_out: 'All tickets are gone.',
  waiting_list_full: 'All tickets are gone, and the waiting list is full.',
  capacity_below_committed:
    'More tickets are booked or held than that. Choose a larger number, or let the event shrink as tickets come back.',
  version_mismatch:
    'Somebody else has changed this event since you opened it. Look at the present settings, and try again.',
  last_admin: 'There must be at least one admin.',
  changes_pruned: 'These changes are so old that they were deleted.',
  epoch_changed: 'The history of this event began again. Please load it again.',
  payload_too_large: 'That is too much text.',
  // These three are followed by when to try again.
  rate_limited: 'You have sent too many requests.',
  busy: 'The service is very busy. Nothing has changed.',
  unavailable: 'The service cannot do this at the moment. Nothing has changed.',
  unknown: 'The service did not say whether this worked. Please load the page again to see.',
  idempotency_key_reused: 'This was sent before with other values. Please load the page again.',
} as const satisfies Partial<Record<ErrorCode, string>>

/** Codes after which the same call may succeed. */
const TEMPORARY: ErrorCode[] = [
  'rate_limited',
  'busy',
  'unavailable',
  'unknown',
  'unexpected_answer',
  'rejected',
]

/**
 * Explains an error.
 *
 * @param failedAtMs when the call failed. `Retry-After` counts from then
 */
export function explain(error: unknown, failedAtMs = Date.now()): Explanation {
  if (hasCode(error, 'invalid_request')) {
    const { errors = [], message } = error.problem
    return { text: message, details: errors.map(detailOf), mayRetry: false }
  }
  if (hasCode(error, 'already_waiting')) {
    const text = `You are already on the waiting list, at position ${number(error.problem.position)}.`
    return { text, details: [], mayRetry: false }
  }
  if (hasCode(error)) {
    const sentences: Partial<Record<ErrorCode, string>> = SENTENCES
    const text = [sentences[error.code] ?? error.message, ...againOf(error, failedAtMs)].join(' ')
    return { text, details: [], mayRetry: TEMPORARY.includes(error.code) }
  }
  const text =
    error instanceof NoAnswerError || error instanceof TypeError
      ? 'The service cannot be reached. Please check your connection, and try again.'
      : 'Something went wrong on this page. Please load it again.'
  return { text, details: [], mayRetry: true }
}

/** When to try again, after the sentences that need it. */
function againOf({ code, retryAfterSeconds }: TicketLineError, failedAtMs: number): string[] {
  if (code === 'busy' || code === 'unavailable') return ['Please try again in a moment.']
  if (code !== 'rate_limited') return []
  if (retryAfterSeconds === undefined) return ['Please wait a few minutes.']
  const atMs = failedAtMs + retryAfterSeconds * 1000
  return [`Try again at ${until(new Date(atMs).toISOString(), failedAtMs)}.`]
}

/** Names the field and its problem, for example `totalTickets must be …`. */
function detailOf({ pointer, detail }: { pointer: string; detail: string }): string {
  return `${pointer.replace(/^\//, '')} ${detail}`.trim()
}
