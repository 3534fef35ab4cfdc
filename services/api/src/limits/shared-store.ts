import {
  type Clock,
  createBatcher,
  defineScript,
  readScript,
  systemClock,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { CounterStore } from './stores.js'

export type { CounterStore }

/** Maximum number of keys of one call of the script. Redis runs nothing else during the call. */
const MAX_KEYS_PER_CALL = 500

const COUNT = new URL('../../scripts/count-requests.lua', import.meta.url)
const TAKE_BACK = new URL('../../scripts/take-request-back.lua', import.meta.url)

/**
 * Lua: keeps the further writes of a script out of the append-only file. With `appendfsync always`
 * Redis flushes that file to disk before it answers any client. Replicas still get the writes.
 */
const UNLOGGED = 'redis.set_repl(redis.REPL_REPLICA)'

/** A request to count. */
interface Count {
  key: string
  windowMs: number
}

export interface SharedStoreOptions {
  /**
   * Whether Redis writes counts to its append-only file. If false, windows start again after a
   * restart. With `appendfsync always`, counting then takes a third of the time.
   */
  logged: boolean
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
  { logged, clock = systemClock }: SharedStoreOptions,
): CounterStore {
  const define = (name: string, file: URL) => {
    const { lua, numberOfKeys } = readScript(file)
    return logged
      ? defineScript(redis, `${name}Logged`, { lua, numberOfKeys })
      : defineScript(redis, name, { lua: `${UNLOGGED}\n${lua}`, numberOfKeys })
  }
  const count = define('limitsCount', COUNT)
  const takeBack = define('limitsTakeBack', TAKE_BACK)
  let windowMs = 0

  const increment = createBatcher({
    async run(counts: Count[]) {
      const keys = counts.map(({ key }) => key)
      const haveOneWindow = counts.every((count) => count.windowMs === windowMs)
      const windows = haveOneWindow ? [windowMs] : counts.map((count) => count.windowMs)
      const replies = (await count(keys.length, ...keys, ...windows)) as number[]
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
    increment: (key, ownWindowMs = windowMs) =>
      increment({ key: prefix + key, windowMs: ownWindowMs }),
    decrement: async (key) => void (await takeBack(prefix + key)),
    resetKey: async (key) => void (await redis.del(prefix + key)),
  }
}
