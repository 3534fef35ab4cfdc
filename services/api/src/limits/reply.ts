import type { Context, MiddlewareHandler } from 'hono'
import type { AppEnv } from '../http/env.js'
import { reply } from '../http/reply.js'

const TOO_MANY = { message: 'Too many requests from this IP, please try again later.' }

/** How much of a limit is used. */
export interface LimitState {
  limit: number
  remaining: number
  /** Until the window ends and counting starts again. */
  resetMs: number
  windowMs: number
}

/** Tells the client how much he has left (draft-ietf-httpapi-ratelimit-headers-07). */
export function showLimit(
  c: Context<AppEnv>,
  { limit, remaining, resetMs, windowMs }: LimitState,
): void {
  c.header('RateLimit-Policy', `${limit};w=${seconds(windowMs)}`)
  c.header('RateLimit', `limit=${limit}, remaining=${remaining}, reset=${seconds(resetMs)}`)
}

/** The answer to whoever is over a limit whose headers are set. */
export function tooManyRequests(c: Context<AppEnv>): Response {
  return reply(c, 429, TOO_MANY)
}

/** The answer to whoever is over this limit. */
export function refuse(c: Context<AppEnv>, state: LimitState): Response {
  showLimit(c, state)
  c.header('Retry-After', String(seconds(state.resetMs)))
  return tooManyRequests(c)
}

/**
 * Counts a request on a limit from within a handler.
 *
 * @returns the 429 to answer if it is over the limit
 */
export async function countOn(
  limit: MiddlewareHandler<AppEnv>,
  c: Context<AppEnv>,
): Promise<Response | undefined> {
  let within = false
  const refusal = await limit(c, async () => {
    within = true
  })
  return within ? undefined : (refusal as Response)
}

function seconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1000))
}
