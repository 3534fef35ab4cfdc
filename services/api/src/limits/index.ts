import { type Clock, type Log, systemClock } from '@ticket-line/shared'
import type { Context, MiddlewareHandler, Next } from 'hono'
import { rateLimiter } from 'hono-rate-limiter'
import type { Redis } from 'ioredis'
import type { AppEnv } from '../http/env.js'
import type { PrincipalKey } from '../http/principal.js'
import type { UnmatchedLimit } from '../http/route.js'
import { clientAddressKey, rateLimitKey } from './client-key.js'
import type { LimitsConfig } from './config.js'
import type { LimitName } from './limit-names.js'
import { countOn, type LimitState, refuse, showLimit, tightest, tooManyRequests } from './reply.js'
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
 * A request with a verified token counts by user. One with an API key counts by key, with the limit
 * of the key. All others count by address. Without Redis, `general`, `poll` and `dashboard` count
 * in this process only, and `administration`, `login` and `register` refuse with 503.
 */
export interface Limits {
  general: MiddlewareHandler<AppEnv>
  /** Shares the counters of `general`, but always counts by address. */
  address: MiddlewareHandler<AppEnv>
  /** `GET /jobs/:jobId`. */
  poll: MiddlewareHandler<AppEnv>
  /**
   * For requests with an API key that act for the user in the body. Counts each of them by key,
   * with the limit of the key, and by key and user, with the limit of `general`. The headers show
   * the limit with fewer requests left.
   */
  keyAndUser: KeyAndUserLimit
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

/**
 * @param userId the user in a valid body; undefined to count for the key alone
 * @returns the 429 to send, or `undefined` if the request is within both limits
 */
export type KeyAndUserLimit = (
  c: Context<AppEnv>,
  key: PrincipalKey,
  userId: string | undefined,
) => Promise<Response | undefined>

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

  function createLimit(
    name: LimitName,
    limit: number,
    store: CounterStore,
  ): MiddlewareHandler<AppEnv> {
    return rateLimiter<AppEnv>({
      windowMs,
      limit,
      store,
      standardHeaders: 'draft-7',
      keyGenerator: rateLimitKey,
      handler: (c) => tooManyRequests(c, name),
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

  // Not logged, because every request waits for its count. After a restart of Redis, counting
  // starts again at zero.
  const sharedStore = (name: string) =>
    createSharedStore(redis, `${prefix}${name}:`, { logged: false, clock })
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

  const allAttempts = createLimit(
    'sign_in',
    requests,
    createSharedOnlyStore(sharedStore('attempts')),
  )
  async function login(c: Context<AppEnv>, next: Next): Promise<Response | undefined> {
    const failures = await attempts.read(c.get('clientAddress'))
    if (failures.remaining === 0) return refuse(c, failures, 'sign_in')
    const refusal = await allAttempts(c, () => {
      showLimit(c, failures)
      return next()
    })
    return refusal ?? undefined
  }

  const generalStore = fallbackStore('general')
  const general = measured(createLimit('requests', requests, generalStore))

  /** Counts a request in a window that is as long as the limit says. */
  async function countIn(
    store: CounterStore,
    key: string,
    limit: PrincipalKey['rateLimit'],
  ): Promise<LimitState & { isOver: boolean }> {
    const { totalHits, resetTime } = await store.increment(key, limit.windowMs)
    return {
      limit: limit.requests,
      remaining: Math.max(0, limit.requests - totalHits),
      resetMs: Number(resetTime) - clock.wallMs(),
      windowMs: limit.windowMs,
      isOver: totalHits > limit.requests,
    }
  }

  /** Runs `limit`, or counts a request with an API key under the key's own limit. */
  function orByKey(
    limit: MiddlewareHandler<AppEnv>,
    store: CounterStore,
    limitOf: (key: PrincipalKey) => PrincipalKey['rateLimit'],
  ): MiddlewareHandler<AppEnv> {
    return async (c, next) => {
      const key = c.get('principal')?.key
      if (key === undefined) return limit(c, next)
      const state = await countIn(store, keyOf(key), limitOf(key))
      if (state.isOver) return refuse(c, state, 'key')
      showLimit(c, state)
      return next()
    }
  }

  async function keyAndUser(
    c: Context<AppEnv>,
    key: PrincipalKey,
    userId: string | undefined,
  ): Promise<Response | undefined> {
    const startedAtMs = clock.steadyMs()
    const ofKey = countIn(generalStore, keyOf(key), key.rateLimit)
    // One call to Redis makes both counts.
    const states =
      userId === undefined
        ? [await ofKey]
        : await Promise.all([
            ofKey,
            countIn(generalStore, `${keyOf(key)}:u:${userId}`, { requests, windowMs }),
          ])
    c.set('rateLimitMs', clock.steadyMs() - startedAtMs)
    const exceeded = states.filter(({ isOver }) => isOver)
    if (exceeded.length > 0)
      return refuse(c, latest(exceeded), states[0]?.isOver ? 'key' : 'requests')
    showLimit(c, tightest(states))
    return undefined
  }

  async function unmatched(c: Context<AppEnv>): Promise<Response | undefined> {
    const { totalHits, resetTime } = await generalStore.increment(clientAddressKey(c))
    const resetMs = Number(resetTime) - clock.wallMs()
    const state = {
      limit: requests,
      remaining: Math.max(0, requests - totalHits),
      resetMs,
      windowMs,
    }
    if (totalHits > 2 * requests) return refuse(c, state, 'unknown_path')
    showLimit(c, state)
    return undefined
  }

  const pollStore = fallbackStore('poll')
  /** The limit of the key, or the usual one if that allows more polls. */
  function pollsOf({ rateLimit }: PrincipalKey): PrincipalKey['rateLimit'] {
    const usual = { requests: polls, windowMs }
    return rateLimit.requests * windowMs >= polls * rateLimit.windowMs ? rateLimit : usual
  }

  return {
    general: orByKey(general, generalStore, (key) => key.rateLimit),
    address(c, next) {
      c.set('rateLimitKey', clientAddressKey(c))
      return general(c, next)
    },
    poll: orByKey(createLimit('polls', polls, pollStore), pollStore, pollsOf),
    keyAndUser,
    dashboard: createLimit('dashboard', dashboardLimit(windowMs), fallbackStore('dashboard')),
    // No API key may make these calls, so it does not matter which store counts those of keys.
    administration: orByKey(
      createLimit('requests', requests, createSharedOnlyStore(sharedStore('general'))),
      generalStore,
      (key) => key.rateLimit,
    ),
    login,
    register: login,
    unmatched,
    renewal: createKeyedLimit(
      createLimit('token_refresh', requests, createSharedOnlyStore(sharedStore('renewal'))),
    ),
    signOut: createKeyedLimit(createLimit('sign_out', requests, fallbackStore('sign-out'))),
  }
}

/** The key in Redis contains the id of the API key, never its secret. */
const keyOf = ({ id }: PrincipalKey): string => `k:${id}`

/** The limit whose window ends last. */
function latest(states: LimitState[]): LimitState {
  return states.reduce((last, state) => (state.resetMs > last.resetMs ? state : last))
}

/** Four requests per second and 300 more: each tab of the dashboard polls every 5 s. */
function dashboardLimit(windowMs: number): number {
  return Math.ceil(windowMs / 1000) * 4 + 300
}
