import { assertWritable, type Pool } from '@ticket-line/db'
import { every, type ProbeResult, watchServer } from '@ticket-line/shared'
import { createShardProbe, isConnected, type LineRedis } from '../line-redis.js'
import type { Availability } from './types.js'

export interface AvailabilityDeps {
  redis: Pick<LineRedis, 'connections'>
  pool: Pool
  /** Time between two probes of a server, ms. */
  probeMs: number
  /** Maximum time that a probe waits for a reply, ms. */
  probeTimeoutMs: number
  /** Called when a server becomes available or unavailable. */
  onChange: (server: Server, available: boolean) => void
}

type Server = 'redis' | 'postgres'

/** If the event loop was blocked for at least this long, a missing reply proves nothing, ms. */
const BLOCKED_MS = 200
/** In that case, a server that replied less than this long ago keeps its state, ms. */
const DOUBT_MS = 5000

/**
 * Probes both servers a few times a second. Redis is available if every shard is. If a server is
 * unavailable, requests that need it fail at once instead of after a timeout. If PostgreSQL becomes
 * unavailable after Redis has stored a command, the command is decided later. A client that leaves
 * before gets "unknown", because nobody can record that the command is accepted.
 *
 * If the event loop of this process was blocked, for example by thousands of clients that connected
 * at once, a timeout says nothing about the server, and the state stays as it was.
 */
export function watchAvailability(deps: AvailabilityDeps): Availability & { stop: () => void } {
  const { redis, pool } = deps
  const available = { redis: false, postgres: true }
  const repliedAtMs = { redis: Number.NEGATIVE_INFINITY, postgres: Number.NEGATIVE_INFINITY }
  const eventLoop = watchEventLoop()

  function set(server: Server, isAvailable: boolean): void {
    if (isAvailable) repliedAtMs[server] = performance.now()
    if (available[server] === isAvailable) return
    available[server] = isAvailable
    deps.onChange(server, isAvailable)
  }

  function onResult(server: Server, { kind }: ProbeResult, startedAtMs: number): void {
    const isDoubtful =
      kind === 'silent' &&
      eventLoop.longestBlockSince(startedAtMs) >= BLOCKED_MS &&
      performance.now() - repliedAtMs[server] < DOUBT_MS
    if (!isDoubtful) set(server, kind === 'works')
  }

  const watch = (server: Server, ask: () => Promise<unknown>) =>
    watchServer({
      ask,
      intervalMs: deps.probeMs,
      timeoutMs: deps.probeTimeoutMs,
      onResult: (result, startedAtMs) => onResult(server, result, startedAtMs),
    })

  const askShards = createShardProbe(redis)
  const redisWatch = watch('redis', () =>
    isConnected(redis) ? askShards() : Promise.reject(new Error('not connected')),
  )
  const postgresWatch = watch('postgres', () => assertWritable(pool))
  // A new connection does not prove that Redis accepts writes, so this probes at once.
  for (const connection of redis.connections) {
    connection.redis.on('ready', () => void redisWatch.runNow())
    connection.redis.on('close', () => set('redis', false))
  }

  return {
    redis: () => available.redis && isConnected(redis),
    postgres: () => available.postgres,
    stop() {
      void redisWatch.stop()
      void postgresWatch.stop()
      eventLoop.stop()
    },
  }
}

/** How often a timer checks whether the event loop was blocked, ms. */
const BEAT_MS = 50
/** How long a block is remembered, ms. This is longer than a probe takes. */
const REMEMBERED_MS = 120_000
/** How many blocks are remembered. */
const REMEMBERED = 100

/** Measures how long the event loop was blocked. */
function watchEventLoop(): {
  longestBlockSince: (startedAtMs: number) => number
  stop: () => void
} {
  let beatAtMs = performance.now()
  let blocks: { endedAtMs: number; tookMs: number }[] = []
  function beat(): void {
    const nowMs = performance.now()
    const tookMs = nowMs - beatAtMs - BEAT_MS
    beatAtMs = nowMs
    if (tookMs > BEAT_MS) blocks = [...blocks.slice(-REMEMBERED), { endedAtMs: nowMs, tookMs }]
  }
  const beating = every(BEAT_MS, beat, { onError: () => undefined })
  return {
    longestBlockSince(startedAtMs) {
      // The timer may not have noticed a block that has just ended.
      beat()
      blocks = blocks.filter(({ endedAtMs }) => endedAtMs >= beatAtMs - REMEMBERED_MS)
      const since = blocks.filter(({ endedAtMs }) => endedAtMs >= startedAtMs)
      return since.reduce((longest, { tookMs }) => Math.max(longest, tookMs), 0)
    },
    stop: () => void beating.stop(),
  }
}
