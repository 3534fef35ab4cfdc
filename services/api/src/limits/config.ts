import type { EnvReader } from '@ticket-line/shared'

/** The rate limits of one client. */
export interface LimitsConfig {
  /** Length of the window in which requests are counted, ms. */
  windowMs: number
  /** Maximum number of requests of a user or an address in a window. */
  requests: number
  /** Maximum number of requests to `GET /jobs/:jobId` in a window. */
  polls: number
  /** Maximum number of failed sign-ins and registrations of an account or an address. */
  signInFailures: number
  /** Highest rate limit that an API key may have, in requests per minute. */
  keyRequestsPerMinute: number
}

/**
 * Reads `RATE_WINDOW_MS`, `RATE_LIMIT`, `POLL_RATE_LIMIT`, `LOGIN_RATE_LIMIT` and
 * `KEY_RATE_LIMIT_MAX`.
 */
export function readLimitsConfig(env: EnvReader): LimitsConfig {
  const limit = { min: 1, max: 1_000_000_000 }
  return {
    windowMs: env.integer('RATE_WINDOW_MS', 900_000, { min: 1000, max: 86_400_000 }),
    requests: env.integer('RATE_LIMIT', 100, limit),
    polls: env.integer('POLL_RATE_LIMIT', 1000, limit),
    signInFailures: env.integer('LOGIN_RATE_LIMIT', 20, limit),
    keyRequestsPerMinute: env.integer('KEY_RATE_LIMIT_MAX', 60_000, limit),
  }
}
