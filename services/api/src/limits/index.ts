import type { Log } from '@ticket-line/shared'
import type { Context, MiddlewareHandler, Next } from 'hono'
import { rateLimiter } from 'hono-rate-limiter'
import type { Redis } from 'ioredis'
import type { AppEnv } from '../http/env.js'
import { addressKey } from './client-key.js'
import type { LimitsConfig } from './config.js'
import { countOn, refuse, showLimit, tooManyRequests } from './reply.js'
import { createSharedStore } from './shared-store.js'
import type { SignInAttempts } from './sign-in-attempts.js'
import {
  type CounterStore,
  createClosedStore,
  createFallbackStore,
  createLocalStore,
} from './stores.js'

/**
 * The limits that routes choose from. Each stands behind `authenticate` (which sets `principal`) and before anything
 * of the body is read; it shows `RateLimit` headers on whatever the answer becomes, and answers 429 itself.
 *
 * Verified users are counted as such, everybody else by address. With Redis out of reach `general`, `poll` and
 * `dashboard` count in this process alone; `administration`, `login` and `register` answer 503.
 */
export interface Limits {
  general: MiddlewareHandler<AppEnv>
  /** Counts with `general`, on the address even if the user is known. */
  address: MiddlewareHandler<AppEnv>
  /** `GET /jobs/:jobId`. */
  poll: MiddlewareHandler<AppEnv>
  /** `/docs` and `/admin`, out of reach of the dashboard's own polling. */
  dashboard: MiddlewareHandler<AppEnv>
  /** Counts with `general`; for calls that change what others may do. */
  administration: MiddlewareHandler<AppEnv>
  /** All attempts of an address, and its failed ones; those of an account are counted by the handler. */
  login: MiddlewareHandler<AppEnv>
  /** The same limit as `login`. */
  register: MiddlewareHandler<AppEnv>
  /**
   * `/token/refresh`: counts on the sign-in of the refresh token. Without Redis it refuses with
   * 503.
   */
  renewal: KeyedLimit
  /**
   * Paths that do not exist and methods that a path does not have. They count on the address with
   * `general` and are refused over twice its limit.
   */
  unmatched: UnmatchedLimit
  /**
   * `/logout`, with a counter of its own: a client that is over another limit can still sign out.
   */
  signOut: KeyedLimit
}

/**
 * A limit for handlers that must read the request before they know on which key it counts.
 *
 * @param key the key on which the request counts; by default the user, or the address if there is
 * no user
 * @returns the 429 to answer, or `undefined` if the request is within the limit
 */
export type KeyedLimit = (c: Context<AppEnv>, key?: string) => Promise<Response | undefined>

/** @returns the 429 to answer, or `undefined` if the request is within the limit */
export type UnmatchedLimit = (c: Context<AppEnv>) => Promise<Response | undefined>

export interface LimitsDeps {
  /** A connection of their own that fails fast; `enableAutoPipelining` makes concurrent counts one round trip. */
  redis: Redis
  /** What the keys start with. */
  prefix: string
  config: LimitsConfig
  attempts: SignInAttempts
  log: Log
}

/** Keys of all limits, under the installation's first shard. */
export function limitPrefix(shardPrefix: string): string {
  return `${shardPrefix}:limit:`
}

export function createLimits({ redis, prefix, config, attempts, log }: LimitsDeps): Limits {
  const { windowMs, requests, polls } = config

  function limiter(limit: number, store: CounterStore): MiddlewareHandler<AppEnv> {
    return rateLimiter<AppEnv>({
      windowMs,
      limit,
      store,
      standardHeaders: 'draft-7',
      keyGenerator: whoAsks,
      handler: tooManyRequests,
    })
  }

  function keyed(limit: MiddlewareHandler<AppEnv>): KeyedLimit {
    return (c, key) => {
      c.set('countedOn', key)
      return countOn(limit, c)
    }
  }

  function onChange(sharedWorks: boolean, err?: unknown): void {
    if (sharedWorks) log.info('limits are shared again')
    else log.warn({ err }, 'limits count in this process alone, Redis is out of reach')
  }

  // Every request waits for its count, and a window that begins anew with a restart of Redis is no harm.
  const shared = (name: string) => createSharedStore(redis, `${prefix}${name}:`, { durable: false })
  const orLocal = (name: string) =>
    createFallbackStore({ shared: shared(name), local: createLocalStore(), onChange })

  /** Notes how long the count took: a request whose count Redis did not answer has less time left for the rest. */
  function timed(limit: MiddlewareHandler<AppEnv>): MiddlewareHandler<AppEnv> {
    return (c, next) => {
      const askedAtMs = performance.now()
      return limit(c, () => {
        c.set('countedForMs', performance.now() - askedAtMs)
        return next()
      })
    }
  }

  const allAttempts = limiter(requests, createClosedStore(shared('attempts')))
  async function signIn(c: Context<AppEnv>, next: Next): Promise<Response | undefined> {
    const failures = await attempts.look(c.get('clientAddress'))
    if (failures.remaining === 0) return refuse(c, failures)
    const refusal = await allAttempts(c, () => {
      showLimit(c, failures)
      return next()
    })
    return refusal ?? undefined
  }

  const general = orLocal('general')
  const countGeneral = timed(limiter(requests, general))
  async function unmatched(c: Context<AppEnv>): Promise<Response | undefined> {
    const { totalHits, resetTime } = await general.increment(addressOf(c))
    const resetMs = Number(resetTime) - Date.now()
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
    general: countGeneral,
    address(c, next) {
      c.set('countedOn', addressOf(c))
      return countGeneral(c, next)
    },
    poll: limiter(polls, orLocal('poll')),
    dashboard: limiter(dashboardLimit(windowMs), orLocal('dashboard')),
    administration: limiter(requests, createClosedStore(shared('general'))),
    login: signIn,
    register: signIn,
    unmatched,
    renewal: keyed(limiter(requests, createClosedStore(shared('renewal')))),
    signOut: keyed(limiter(requests, orLocal('sign-out'))),
  }
}

/** The key that the handler chose, else the verified user, else the address. */
function whoAsks(c: Context<AppEnv>): string {
  const named = c.get('countedOn')
  if (named !== undefined) return named
  const principal = c.get('principal')
  return principal === undefined ? addressOf(c) : `u:${principal.userId}`
}

function addressOf(c: Context<AppEnv>): string {
  return `a:${addressKey(c.get('clientAddress'))}`
}

/** Four requests a second, all day long, and a few page loads at once: a dashboard asks every 5 s a tab. */
function dashboardLimit(windowMs: number): number {
  return Math.ceil(windowMs / 1000) * 4 + 300
}
