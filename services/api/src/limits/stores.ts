import { AppError } from '@ticket-line/shared'
import type { Store } from 'hono-rate-limiter'
import { LRUCache } from 'lru-cache'
import type { AppEnv } from '../http/env.js'

/** Counts hits of keys within a window; what hono-rate-limiter asks. */
export type CounterStore = Store<AppEnv>

/** Keys that a process counts by itself while Redis is away; the least recent make room. */
const MAX_LOCAL_KEYS = 100_000
/** While Redis is away one request in this time looks whether it is back, the others do not wait for it. */
const LOOK_AGAIN_MS = 1000

/** Counters of this process alone, of a bounded number of keys. */
export function createLocalStore(maxKeys = MAX_LOCAL_KEYS): CounterStore {
  let windowMs = 0
  const counters = new LRUCache<string, { totalHits: number; endsAtMs: number }>({ max: maxKeys })
  return {
    localKeys: true,
    init: (options) => {
      windowMs = options.windowMs
    },
    increment(key) {
      // The monotonic clock: if the wall clock was set back, a window would last that much longer.
      const nowMs = performance.now()
      let counter = counters.get(key)
      if (counter === undefined || counter.endsAtMs <= nowMs) {
        counter = { totalHits: 0, endsAtMs: nowMs + windowMs }
        counters.set(key, counter)
      }
      counter.totalHits++
      const { totalHits, endsAtMs } = counter
      return { totalHits, resetTime: new Date(Date.now() + endsAtMs - nowMs) }
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
  /** Told when the shared counters are lost and when they are back. */
  onChange: (sharedWorks: boolean, error?: unknown) => void
  nowMs?: () => number
}

/** The shared counters, and while they are out of reach those of this process: never none. */
export function createFallbackStore({
  shared,
  local,
  onChange,
  nowMs = () => performance.now(),
}: FallbackStoreDeps): CounterStore {
  let failing = false
  let localUntil = 0

  return {
    init(options) {
      shared.init?.(options)
      local.init?.(options)
    },
    async increment(key) {
      if (nowMs() < localUntil) return local.increment(key)
      if (failing) localUntil = nowMs() + LOOK_AGAIN_MS
      try {
        const info = await shared.increment(key)
        if (failing) onChange(true)
        failing = false
        localUntil = 0
        return info
      } catch (error) {
        if (!failing) onChange(false, error)
        failing = true
        localUntil = nowMs() + LOOK_AGAIN_MS
        return local.increment(key)
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

/** The shared counters or nobody: for calls that must not go uncounted. Throws AppError `unavailable`. */
export function createClosedStore(shared: CounterStore): CounterStore {
  return {
    init: (options) => shared.init?.(options),
    async increment(key) {
      try {
        return await askTwice(() => shared.increment(key))
      } catch (cause) {
        throw new AppError(
          'unavailable',
          'This is not possible right now, please try again in a moment.',
          {
            cause,
            headers: { 'Retry-After': '1' },
          },
        )
      }
    },
    decrement: (key) => shared.decrement(key),
    resetKey: (key) => shared.resetKey(key),
  }
}

/**
 * Asks once more where the first answer did not come in time: a process that was held up itself sees the time run out
 * before it sees the answer. What was counted twice by that makes a limit one stricter.
 */
export async function askTwice<T>(ask: () => Promise<T> | T): Promise<T> {
  try {
    return await ask()
  } catch {
    return await ask()
  }
}
