import type { Context, MiddlewareHandler } from 'hono'
import { z } from 'zod'
import type { AppEnv } from '../http/env.js'
import { sendJson } from '../http/reply.js'
import type { LimitName } from './limit-names.js'

const TOO_MANY = 'Too many requests from this IP, please try again later.'

/** Body of every 429. */
export const tooManyRequestsSchema = z
  .strictObject({ message: z.literal(TOO_MANY) })
  .meta({ id: 'TooManyRequests', example: { message: TOO_MANY } })
const BODY: z.output<typeof tooManyRequestsSchema> = { message: TOO_MANY }

/** How much of a limit is used. */
export interface LimitState {
  limit: number
  remaining: number
  /** Time until the window ends and counting starts again, ms. */
  resetMs: number
  windowMs: number
}

/** Sets the `RateLimit` headers (draft-ietf-httpapi-ratelimit-headers-07). */
export function showLimit(
  c: Context<AppEnv>,
  { limit, remaining, resetMs, windowMs }: LimitState,
): void {
  c.header('RateLimit-Policy', `${limit};w=${seconds(windowMs)}`)
  c.header('RateLimit', `limit=${limit}, remaining=${remaining}, reset=${seconds(resetMs)}`)
}

/** Sends the 429. The `RateLimit` headers must already be set. */
export function tooManyRequests(c: Context<AppEnv>, limit: LimitName): Response {
  c.set('refusedBy', limit)
  return sendJson(c, 429, BODY)
}

/** Sends the 429 of this limit with all headers. */
export function refuse(c: Context<AppEnv>, state: LimitState, limit: LimitName): Response {
  showLimit(c, state)
  c.header('Retry-After', String(seconds(state.resetMs)))
  return tooManyRequests(c, limit)
}

/**
 * Counts a request from within a handler.
 *
 * @returns the 429 to send if the request is over the limit
 */
export async function countOn(
  limit: MiddlewareHandler<AppEnv>,
  c: Context<AppEnv>,
): Promise<Response | undefined> {
  let isWithin = false
  const refusal = await limit(c, async () => {
    isWithin = true
  })
  return isWithin ? undefined : (refusal as Response)
}

/** The limit with the fewest requests left. */
export function tightest(states: LimitState[]): LimitState {
  return states.reduce((tight, state) => (state.remaining < tight.remaining ? state : tight))
}

function seconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1000))
}
