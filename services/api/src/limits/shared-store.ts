import { type Clock, createBatcher, defineScript, systemClock, UNLOGGED } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { CounterStore } from './stores.js'

export type { CounterStore }

/** Maximum number of keys of one call of the script. Redis runs nothing else during the call. */
const MAX_KEYS_PER_CALL = 500

// If a key lives longer than the window, its expiry was set before the clock of Redis was set back.
const COUNT = `-- KEYS       the keys to count, each once per request
-- ARGV[1]    length of the window, ms
-- Output     for each key: its hits, and the ms until its window ends
local windowMs = tonumber(ARGV[1])
local counted = {}
for i, key in ipairs(KEYS) do
  local hits = redis.call('INCR', key)
  local leftMs = hits > 1 and redis.call('PTTL', key) or -1
  if leftMs <= 0 or leftMs > windowMs then
    leftMs = windowMs
    redis.call('PEXPIRE', key, leftMs)
  end
  counted[2 * i - 1] = hits
  counted[2 * i] = leftMs
end
return counted`

// The window may have ended since the request was counted. DECR would then create a key that never
// expires, and the next window would start below zero.
const TAKE_BACK = `-- KEYS[1]    the key whose hits are reduced by one
if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end`

export interface SharedStoreOptions {
  /**
   * Whether counts survive a restart of Redis. If true, Redis flushes each count to disk. If false,
   * windows start again after a restart, and counting takes a third of the time.
   */
  durable: boolean
  clock?: Clock
}

/**
 * Counters that all API processes share. One call to Redis counts all requests of one turn of the
 * event loop. In a rush this takes a third of the time of one call per request, both here and in
 * Redis.
 *
 * While Redis is unavailable, calls reject after one timeout of the connection.
 */
export function createSharedStore(
  redis: Redis,
  prefix: string,
  { durable, clock = systemClock }: SharedStoreOptions,
): CounterStore {
  const define = (name: string, numberOfKeys: number | undefined, lua: string) =>
    durable
      ? defineScript(redis, `${name}Durably`, numberOfKeys, lua)
      : defineScript(redis, name, numberOfKeys, `${UNLOGGED}\n${lua}`)
  const count = define('limitsCount', undefined, COUNT)
  const takeBack = define('limitsTakeBack', 1, TAKE_BACK)
  let windowMs = 0

  const increment = createBatcher({
    async run(keys: string[]) {
      const replies = (await count(keys.length, ...keys, windowMs)) as number[]
      const nowMs = clock.wallMs()
      return keys.map((_, i) => {
        const [totalHits = 0, leftMs = 0] = replies.slice(2 * i, 2 * i + 2)
        return { totalHits, resetTime: new Date(nowMs + leftMs) }
      })
    },
    schedule: setImmediate,
    maxSize: MAX_KEYS_PER_CALL,
    maxRunning: Number.POSITIVE_INFINITY,
  })

  return {
    init: (options) => {
      windowMs = options.windowMs
    },
    increment: (key) => increment(prefix + key),
    decrement: async (key) => void (await takeBack(prefix + key)),
    resetKey: async (key) => void (await redis.del(prefix + key)),
  }
}
