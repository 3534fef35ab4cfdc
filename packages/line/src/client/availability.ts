import { assertWritable, type Pool } from '@ticket-line/db'
import { createWriteProbe, every, type ProbeResult, watchServer } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { Availability } from './line-client.js'

export interface AvailabilityDeps {
  redis: Redis
  /** A prefix of keys that this installation may use. */
  keyPrefix: string
  pool: Pool
  /** Pause between two probes. */
  probeMs: number
  /** Longest a probe may take. */
  probeTimeoutMs: number
  onChange: (server: 'redis' | 'postgres', available: boolean) => void
}

/** If the event loop was blocked for this long, a missing answer proves nothing, ms. */
const HELD_UP_MS = 200
/** For this long after its last answer a server then still counts as available, ms. */
const DOUBT_MS = 5000

/**
 * Asks both servers a few times a second whether they take writes, so that a request gets a quick
 * 503 instead of a time-out. A command that is already stored in Redis when PostgreSQL goes away
 * still gets its 202.
 *
 * If the event loop of this process was blocked, for example by thousands of clients that connect
 * at once, a time-out says nothing about the server, and the state stays as it was.
 */
export function watchAvailability(deps: AvailabilityDeps): Availability & { stop: () => void } {
  const { redis, pool, probeMs, onChange } = deps
  const state = { redis: false, postgres: true }
  const answeredAtMs = { redis: Number.NEGATIVE_INFINITY, postgres: Number.NEGATIVE_INFINITY }
  const askRedis = createWriteProbe(redis, deps.keyPrefix)
  const standstill = watchStandstill()

  function set(server: 'redis' | 'postgres', available: boolean): void {
    if (available) answeredAtMs[server] = performance.now()
    if (state[server] === available) return
    state[server] = available
    onChange(server, available)
  }

  function learn(server: 'redis' | 'postgres', result: ProbeResult, startedAtMs: number): void {
    const isDoubtful =
      result.kind === 'silent' &&
      standstill.longestSince(startedAtMs) >= HELD_UP_MS &&
      performance.now() - answeredAtMs[server] < DOUBT_MS
    if (!isDoubtful) set(server, result.kind === 'works')
  }

  const intervals = { intervalMs: probeMs, timeoutMs: deps.probeTimeoutMs }
  const watchedRedis = watchServer({
    ...intervals,
    ask: () => (redis.status === 'ready' ? askRedis() : Promise.reject(new Error('not connected'))),
    onResult: (result, startedAtMs) => learn('redis', result, startedAtMs),
  })
  const watchedPostgres = watchServer({
    ...intervals,
    ask: () => assertWritable(pool),
    onResult: (result, startedAtMs) => learn('postgres', result, startedAtMs),
  })
  // A connection alone says nothing about writing, so the next probe comes at once.
  redis.on('ready', () => void watchedRedis.runNow())
  redis.on('close', () => set('redis', false))

  return {
    redis: () => state.redis && redis.status === 'ready',
    postgres: () => state.postgres,
    stop() {
      void watchedRedis.stop()
      void watchedPostgres.stop()
      standstill.stop()
    },
  }
}

/** How often a timer checks whether the event loop was blocked, ms. */
const BEAT_MS = 50
/** How long a standstill is remembered, ms: longer than a probe takes. */
const KEPT_MS = 120_000

/** Measures standstills of the event loop: times in which it was blocked. */
function watchStandstill(): { longestSince: (startedAtMs: number) => number; stop: () => void } {
  let beatAtMs = performance.now()
  let standstills: { endedAtMs: number; tookMs: number }[] = []
  function beat(): void {
    const nowMs = performance.now()
    const tookMs = nowMs - beatAtMs - BEAT_MS
    beatAtMs = nowMs
    if (tookMs > BEAT_MS) standstills = [...standstills.slice(-100), { endedAtMs: nowMs, tookMs }]
  }
  const beating = every(BEAT_MS, beat, { onError: () => undefined })
  return {
    longestSince(startedAtMs) {
      // The timer may not have noticed a standstill that has just ended.
      beat()
      standstills = standstills.filter(({ endedAtMs }) => endedAtMs >= beatAtMs - KEPT_MS)
      const since = standstills.filter(({ endedAtMs }) => endedAtMs >= startedAtMs)
      return since.reduce((longest, { tookMs }) => Math.max(longest, tookMs), 0)
    },
    stop: () => void beating.stop(),
  }
}
