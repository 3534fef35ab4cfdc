import { type Clock, type Log, systemClock } from '@ticket-line/shared'
import type { Context, MiddlewareHandler, Next } from 'hono'
import { rateLimiter } from 'hono-rate-limiter'
import type { Redis } from 'ioredis'
import type { AppEnv } from '../http/env.js'
import type { UnmatchedLimit } from '../http/route.js'
import { clientAddressKey, rateLimitKey } from './client-key.js'
import type { LimitsConfig } from './config.js'
import { countOn, refuse, showLimit, tooManyRequests } from './reply.js'
import { createSharedStore } from './shared-store.js'
import type { SignInAttempts } from './sign-in-attempts.js'
import {
  type CounterStore,
  createFallbackStore,
  createLocalStore,
  createSharedOnlyStore,
} from './stores.js'

/**
 * The rate limits that routes select by name. Each runs after `authenticate`, which sets
 * `principal`, and before the body is read. It sets the `RateLimit` headers of every response, and
 * sends the 429 itself.
 *
 * A request with a verified token counts by user, any other by address. Without Redis, `general`,
 * `poll` and `dashboard` count in this process only, and `administration`, `login` and `register`
 * refuse with 503.
 */
export interface Limits {
  general: MiddlewareHandler<AppEnv>
  /** Shares the counters of `general`, but always counts by address. */
  address: MiddlewareHandler<AppEnv>
  /** `GET /jobs/:jobId`. */
  poll: MiddlewareHandler<AppEnv>
  /** `/docs` and `/admin`. It is high enough for the polling of the dashboard. */
  dashboard: MiddlewareHandler<AppEnv>
  /** Shares the counters of `general`. For calls that change the privileges of others. */
  administration: MiddlewareHandler<AppEnv>
  /**
   * Counts all sign-in attempts of an address, and refuses an address with too many failed ones.
   * The handler counts the failed ones of an account.
   */
  login: MiddlewareHandler<AppEnv>
  /** The same limit as `login`. */
  register: MiddlewareHandler<AppEnv>
  /** `/token/refresh`. It counts by the sign-in of the refresh token, and needs Redis. */
  renewal: KeyedLimit
  /**
   * Unknown paths, and methods that a path does not have. It counts them by address with the
   * counters of `general`, and refuses them beyond twice its limit.
   */
  unmatched: UnmatchedLimit
  /** `/logout`. It has its own counter, so that a client over another limit can still sign out. */
  signOut: KeyedLimit
}

/**
 * A limit for handlers that must read the request to know its key.
 *
 * @param key the key under which the request is counted; by default the user, or the address if
 * there is no user
 * @returns the 429 to send, or `undefined` if the request is within the limit
 */
export type KeyedLimit = (c: Context<AppEnv>, key?: string) => Promise<Response | undefined>

export interface LimitsDeps {
  /** A fail-fast connection. With `enableAutoPipelining`, concurrent counts share a round trip. */
  redis: Redis
  /** Prefix of the keys. */
  prefix: string
  config: LimitsConfig
  attempts: SignInAttempts
  log: Log
  clock?: Clock
}

/** Prefix of the keys of all limits, in the first shard of the installation. */
export function limitPrefix(shardPrefix: string): string {
  return `${shardPrefix}:limit:`
}

export function createLimits({
  redis,
  prefix,
  config,
  attempts,
  log,
  clock = systemClock,
}: LimitsDeps): Limits {
  const { windowMs, requests, polls } = config

  function createLimit(limit: number, store: CounterStore): MiddlewareHandler<AppEnv> {
    return rateLimiter<AppEnv>({
      windowMs,
      limit,
      store,
      standardHeaders: 'draft-7',
      keyGenerator: rateLimitKey,
      handler: tooManyRequests,
    })
  }

  function createKeyedLimit(limit: MiddlewareHandler<AppEnv>): KeyedLimit {
    return (c, key) => {
      c.set('rateLimitKey', key)
      return countOn(limit, c)
    }
  }

  function onChange(isShared: boolean, err?: unknown): void {
    if (isShared) log.info('rate limits are shared between processes again')
    else log.warn({ err }, 'Redis cannot be reached; rate limits count in this process only')
  }

  // Not durable, because every request waits for its count. After a restart of Redis, counting
  // starts again at zero.
  const sharedStore = (name: string) =>
    createSharedStore(redis, `${prefix}${name}:`, { durable: false, clock })
  const fallbackStore = (name: string) =>
    createFallbackStore({ shared: sharedStore(name), local: createLocalStore(), onChange, clock })

  /** Records how long counting took, because the rest of the request then has less time. */
  function measured(limit: MiddlewareHandler<AppEnv>): MiddlewareHandler<AppEnv> {
    return (c, next) => {
      const startedAtMs = clock.steadyMs()
      return limit(c, () => {
        c.set('rateLimitMs', clock.steadyMs() - startedAtMs)
        return next()
      })
    }
  }

  const allAttempts = createLimit(requests, createSharedOnlyStore(sharedStore('attempts')))
  async function login(c: Context<AppEnv>, next: Next): Promise<Response | undefined> {
    const failures = await attempts.read(c.get('clientAddress'))
    if (failures.remaining === 0) return refuse(c, failures)
    const refusal = await allAttempts(c, () => {
      showLimit(c, failures)
      return next()
    })
    return refusal ?? undefined
  }

  const generalStore = fallbackStore('general')
  const general = measured(createLimit(requests, generalStore))
  async function unmatched(c: Context<AppEnv>): Promise<Response | undefined> {
    const { totalHits, resetTime } = await generalStore.increment(clientAddressKey(c))
    const resetMs = Number(resetTime) - clock.wallMs()
    const state = {
      limit: requests,
      remaining: Math.max(0, requests - totalHits),
      resetMs,
      windowMs,
    }
    if (totalHits > 2 * requests) return refuse(c, state)
    showLimit(c, state)
    return undefined
  }

  return {
    general,
    address(c, next) {
      c.set('rateLimitKey', clientAddressKey(c))
      return general(c, next)
    },
    poll: createLimit(polls, fallbackStore('poll')),
    dashboard: createLimit(dashboardLimit(windowMs), fallbackStore('dashboard')),
    administration: createLimit(requests, createSharedOnlyStore(sharedStore('general'))),
    login,
    register: login,
    unmatched,
    renewal: createKeyedLimit(createLimit(requests, createSharedOnlyStore(sharedStore('renewal')))),
    signOut: createKeyedLimit(createLimit(requests, fallbackStore('sign-out'))),
  }
}

/** Four requests per second and 300 more: each tab of the dashboard polls every 5 s. */
function dashboardLimit(windowMs: number): number {
  return Math.ceil(windowMs / 1000) * 4 + 300
}
