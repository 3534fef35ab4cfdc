import { defineScript, type LineLayout, REDIS_NOW, writeTogether } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { depthKey, linePrefix, linesKey } from '../keys.js'

/** How many commands of each event want to enter a line. */
export type Counts = Map<number, number>

/** Bounds how many undecided commands an event may have, and registers lines. */
export interface Entrance {
  /**
   * Counts commands in, on the connection that adds their job right after.
   * @returns how many of each event may enter now; or a promise of it, where the event may be near its bound
   * @throws (or rejects) where Redis is out of reach; nothing was counted that a worker would not set straight
   */
  enter(lineName: string, counts: Counts): Counts | Promise<Counts>
  /** Takes back the count of commands whose job will not come. */
  leave(lineName: string, counts: Counts): void
}

// There is no bound if ARGV[1] is negative. The line is registered before the job is added, so the
// workers' sweeper finds the job if the wake-up after the add is lost. A crash between the count
// and the add leaves a count that no answer reduces. If such a count alone fills an empty line, it
// is deleted, but not if the line was registered a moment ago, because the job may still be on its
// way. All times are those of Redis, because the clocks of API processes differ. If its clock was
// set back, a registration is in the future.
const ENTER = `${REDIS_NOW}
local result = {}
local max = tonumber(ARGV[1])
local entered = false
local function is_left_behind()
  local counted_at = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[3]) or '0')
  return math.abs(now_ms() - counted_at) > tonumber(ARGV[4])
    and redis.call('LLEN', KEYS[3]) == 0 and redis.call('LLEN', KEYS[4]) == 0
end
for i = 5, #ARGV, 2 do
  local wanted = tonumber(ARGV[i + 1])
  local granted = wanted
  local depth = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0')
  local full = max >= 0 and depth + wanted > max
  if depth < 0 or (full and depth > 0 and is_left_behind()) then
    redis.call('HDEL', KEYS[1], ARGV[i])
    depth = 0
  end
  if max >= 0 and depth + wanted > max then granted = math.max(0, max - depth) end
  if granted > 0 then
    depth = redis.call('HINCRBY', KEYS[1], ARGV[i], granted)
    entered = true
  end
  result[#result + 1] = granted
  result[#result + 1] = depth
end
if ARGV[2] == '1' and entered then
  redis.call('ZADD', KEYS[2], now_ms(), ARGV[3])
end
return result`

/** A line is registered at most this often by one process: much less than it takes to be forgotten. */
const REGISTER_INTERVAL_MS = 500
/** A job is added, or its add has failed, this long after it was counted and its line registered. */
const LEFT_BEHIND_AFTER_MS = 5000
/** Within this many commands of the bound, and for bounds this small, the count is asked for before the add. */
const NEAR_BOUND = 2048

export interface EntranceDeps {
  redis: Redis
  layout: LineLayout
  /** Most undecided commands of one event. */
  maxQueueDepth: number
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
}

/**
 * Far from the bound, by the last count this process saw, the count travels with the add and costs no round trip; near it the add waits for the answer.
 * Counts live in one hash a line; workers take them down with their answers and clear them when a line is empty, so
 * that what a crash leaves behind is bounded and goes away.
 */
export function createEntrance(deps: EntranceDeps): Entrance {
  const { redis, layout, maxQueueDepth, monotonicMs } = deps
  const enterScript = defineScript(redis, 'ticketsEnter', 4, ENTER)
  const known = new LRUCache<number, number>({ max: 20_000 })
  const registeredAt = new LRUCache<string, number>({ max: 20_000 })

  function isFarFromBound(counts: Counts): boolean {
    if (maxQueueDepth < 2 * NEAR_BOUND) return false
    for (const [eventId, count] of counts) {
      // However long ago that was: a trickle must not fill a line beyond its bound because nobody looked for a second.
      const depth = known.get(eventId) ?? 0
      if (depth + count + NEAR_BOUND > maxQueueDepth) return false
    }
    return true
  }

  async function send(lineName: string, counts: Counts, max: number): Promise<Counts> {
    const prefix = linePrefix(lineName, layout)
    const atMs = monotonicMs()
    const register =
      atMs - (registeredAt.get(lineName) ?? Number.NEGATIVE_INFINITY) >= REGISTER_INTERVAL_MS
    if (register) registeredAt.set(lineName, atMs)
    const base = `${prefix}:${lineName}`
    const keys = [depthKey(prefix, lineName), linesKey(prefix), `${base}:wait`, `${base}:active`]
    try {
      const reply = (await enterScript(
        ...keys,
        max,
        register ? 1 : 0,
        lineName,
        LEFT_BEHIND_AFTER_MS,
        ...[...counts].flat(),
      )) as number[]
      const granted: Counts = new Map()
      let i = 0
      for (const eventId of counts.keys()) {
        granted.set(eventId, reply[i] ?? 0)
        known.set(eventId, reply[i + 1] ?? 0)
        i += 2
      }
      if (register && [...granted.values()].every((count) => count === 0))
        registeredAt.delete(lineName)
      return granted
    } catch (error) {
      registeredAt.delete(lineName)
      throw error
    }
  }

  return {
    enter(lineName, counts) {
      if (!isFarFromBound(counts)) return send(lineName, counts, maxQueueDepth)
      writeTogether(redis)
      // The add on the same connection meets the same fate and reports it.
      send(lineName, counts, -1).catch(() => undefined)
      return counts
    },
    leave(lineName, counts) {
      const key = depthKey(linePrefix(lineName, layout), lineName)
      for (const [eventId, count] of counts)
        redis.hincrby(key, String(eventId), -count).catch(() => undefined)
    },
  }
}
