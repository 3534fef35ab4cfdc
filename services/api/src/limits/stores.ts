import { type Clock, systemClock } from '@ticket-line/shared'
import type { Store } from 'hono-rate-limiter'
import { LRUCache } from 'lru-cache'
import type { AppEnv } from '../http/env.js'
import { unavailable } from '../http/problem.js'

/**
 * Counts the requests of each key within a window. The interface is that of hono-rate-limiter, but
 * `increment` also takes the length of the window, for keys that have one of their own.
 */
export type CounterStore = Omit<Store<AppEnv>, 'increment'> & {
  increment(key: string, windowMs?: number): ReturnType<Store<AppEnv>['increment']>
}

/**
 * Keys that a process counts while Redis is unavailable. The least recently used ones are dropped.
 */
const MAX_LOCAL_KEYS = 100_000
/** Interval at which one request tries an unavailable Redis again, ms. All others count locally. */
const RETRY_INTERVAL_MS = 1000

/** Counts in this process only, for a bounded number of keys. */
export function createLocalStore(
  maxKeys = MAX_LOCAL_KEYS,
  clock: Clock = systemClock,
): CounterStore {
  let windowMs = 0
  const counters = new LRUCache<string, { totalHits: number; endsAtMs: number }>({ max: maxKeys })
  return {
    localKeys: true,
    init: (options) => {
      windowMs = options.windowMs
    },
    increment(key, ownWindowMs = windowMs) {
      // With the wall clock, the window would last longer if that clock was set back.
      const nowMs = clock.steadyMs()
      let counter = counters.get(key)
      if (counter === undefined || counter.endsAtMs <= nowMs) {
        counter = { totalHits: 0, endsAtMs: nowMs + ownWindowMs }
        counters.set(key, counter)
      }
      counter.totalHits++
      const { totalHits, endsAtMs } = counter
      return { totalHits, resetTime: new Date(clock.wallMs() + endsAtMs - nowMs) }
    },
    decrement(key) {
      const counter = counters.peek(key)
      if (counter !== undefined && counter.totalHits > 0) counter.totalHits--
    },
    resetKey: (key) => void counters.delete(key),
  }
}

export interface FallbackStoreDeps {
  shared: CounterStore
  local: CounterStore
  /** Called when the shared counters become unavailable, and when they are available again. */
  onChange: (isShared: boolean, error?: unknown) => void
  clock?: Clock
}

/**
 * Counts in Redis, or in this process while Redis is unavailable, so that every request counts.
 */
export function createFallbackStore({
  shared,
  local,
  onChange,
  clock = systemClock,
}: FallbackStoreDeps): CounterStore {
  let failing = false
  let localUntilMs = 0

  return {
    init(options) {
      shared.init?.(options)
      local.init?.(options)
    },
    async increment(key, ownWindowMs) {
      if (clock.steadyMs() < localUntilMs) return local.increment(key, ownWindowMs)
      if (failing) localUntilMs = clock.steadyMs() + RETRY_INTERVAL_MS
      try {
        const info = await shared.increment(key, ownWindowMs)
        if (failing) onChange(true)
        failing = false
        localUntilMs = 0
        return info
      } catch (error) {
        if (!failing) onChange(false, error)
        failing = true
        localUntilMs = clock.steadyMs() + RETRY_INTERVAL_MS
        return local.increment(key, ownWindowMs)
      }
    },
    async decrement(key) {
      await (failing ? local : shared).decrement(key)
    },
    async resetKey(key) {
      await (failing ? local : shared).resetKey(key)
    },
  }
}

/**
 * Counts in Redis only, for calls that must not be served uncounted. While Redis is unavailable, it
 * throws AppError `unavailable`.
 */
export function createSharedOnlyStore(shared: CounterStore): CounterStore {
  return {
    init: (options) => shared.init?.(options),
    increment: (key, windowMs) =>
      retryOnce(() => shared.increment(key, windowMs)).catch((cause: unknown) => {
        throw unavailable(cause, 'This is not possible right now. Please try again.')
      }),
    decrement: (key) => shared.decrement(key),
    resetKey: (key) => shared.resetKey(key),
  }
}

/**
 * Tries a call to Redis again if it fails. The event loop of this process may have been blocked, so
 * that the timeout fired before the reply was read. If that counts a request twice, the limit
 * becomes one request stricter.
 */
export async function retryOnce<T>(call: () => Promise<T> | T): Promise<T> {
  try {
    return await call()
  } catch {
    return await call()
  }
}
