import { createBatcher, defineScript, UNLOGGED } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { CounterStore } from './stores.js'

/** Keys counted by one run of the script: Redis does nothing else meanwhile. */
const MAX_KEYS_A_RUN = 500

// If a key lives for longer than the window, its expiry was set before Redis's clock was set back.
const COUNT = `local counted = {}
local window = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local hits = redis.call('INCR', key)
  local left = hits > 1 and redis.call('PTTL', key) or -1
  if left <= 0 or left > window then
    left = window
    redis.call('PEXPIRE', key, left)
  end
  counted[2 * i - 1] = hits
  counted[2 * i] = left
end
return counted`

// A window may have ended meanwhile: a key made by this would never expire, and start the next one below zero.
const TAKE_BACK = `if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end`

export interface SharedStoreOptions {
  /**
   * Whether counts outlive a restart of Redis, at the price of a flush to its disk for each call. Without it windows begin
   * anew then, and a count costs a third.
   */
  durable: boolean
}

/**
 * Counters that all API processes share. What is counted in the same turn of the event loop goes to Redis as one call:
 * in a rush that is a third of what a call for each request costs, here and there.
 *
 * Its calls reject while Redis is out of reach, after one timeout of the connection.
 */
export function createSharedStore(
  redis: Redis,
  prefix: string,
  { durable }: SharedStoreOptions,
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
      const now = Date.now()
      return keys.map((_, i) => {
        const [totalHits = 0, leftMs = 0] = replies.slice(2 * i, 2 * i + 2)
        return { totalHits, resetTime: new Date(now + leftMs) }
      })
    },
    schedule: setImmediate,
    maxSize: MAX_KEYS_A_RUN,
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
