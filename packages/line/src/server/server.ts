import { hostname } from 'node:os'
import {
  createReaderRedis,
  dropIfSilent,
  type LineLayout,
  type Log,
  reconnectTogether,
} from '@ticket-line/shared'
import { createRedisBackend } from 'bullmq'
import type { Redis } from 'ioredis'
import { activityKey, linePrefix, shardPrefixes } from '../keys.js'
import type { LineRegistry } from '../registry.js'
import { followStreams } from '../streams.js'
import { createAnswer } from './answer.js'
import { divideGrace } from './grace.js'
import { createLine, createShortenLocks, type JobResult, type JobToDecide } from './line.js'
import { createLockRenewer } from './lock-renewer.js'
import { createRoomMaker } from './room-maker.js'
import { createLines, type Lines } from './scheduler.js'
import { createSweeper } from './sweeper.js'

/** Times that decide how fast a dead worker's line goes on. */
export interface LineTimes {
  /** How long a job stays locked without renewal, ms. */
  lockDurationMs: number
  /** How often lines with work are looked at for jobs whose lock ended and for lines that nobody serves, ms. */
  stalledIntervalMs: number
}

/** What the operator sets. */
export interface ServerOptions {
  redisUrl: string
  layout: LineLayout
  times: LineTimes
  /** A line without work for this long is forgotten, ms. */
  lineIdleMs: number
  maxOpenLines: number
  sweepIntervalMs: number
  /** Jobs that can be in their transaction at the same time: the connections to PostgreSQL. */
  poolSize: number
  /** How long a stopping process finishes the jobs at hand before it leaves them to others, ms. */
  shutdownGraceMs: number
}

export interface ServingDeps {
  options: ServerOptions
  redis: Redis
  registry: LineRegistry
  /** Decides a job. */
  onJob: (job: JobToDecide) => Promise<JobResult>
  onStalled: (jobs: number) => void
  /** Called with a job that is set aside: it is neither decided nor left in the line. */
  onSetAside?: (jobId: string, error: Error) => void
  log: Log
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
}

/** A job spends about a third of its time in PostgreSQL, the rest on its way from and to Redis. */
const LINES_PER_CONNECTION = 3

/**
 * How often the sweeper walks through all keys of Redis to find lines that are not registered, ms.
 */
const WALK_INTERVAL_MS = 60_000

/** A Redis that answers on one connection answers on the other within this. */
const ANSWERS_OTHERS_MS = 500

/** Everything of a worker process that looks after lines. */
export interface Serving {
  counts: Lines['counts']
  /** No more notes; then the jobs at hand are finished, and the lines handed over. */
  stop(): Promise<void>
}

/**
 * Serves lines on two connections to Redis, however many lines there are: one for all commands, one that blocks on the
 * notes of activity.
 */
export function startServing(deps: ServingDeps): Serving {
  const { options, redis, registry, log, monotonicMs } = deps
  const { layout } = options
  let stopping = false

  const locks = createLockRenewer(options.times.lockDurationMs, log)
  const root = createRedisBackend('root', {
    connection: redis,
    skipVersionCheck: true,
    lockDuration: options.times.lockDurationMs,
    stalledInterval: options.times.stalledIntervalMs,
    // A stalled job is no failure: crashes of a command are counted in PostgreSQL.
    maxStalledCount: Number.MAX_SAFE_INTEGER,
    removeOnComplete: { count: 20, age: 3600 },
    removeOnFail: { count: 100, age: 7 * 24 * 3600 },
  } as Parameters<typeof createRedisBackend>[1])
  root.on('error', () => undefined)

  const lineDeps = {
    redis,
    root,
    processName: `${hostname()}:${process.pid}`,
    locks,
    shortenLocks: createShortenLocks(redis, options.times),
    log,
    onJob: deps.onJob,
    answer: createAnswer(redis, layout, log),
    ...(deps.onSetAside && { onSetAside: deps.onSetAside }),
    stopping: () => stopping,
    monotonicMs,
  }
  const lines = createLines({
    create: (lineName) => createLine(lineDeps, lineName, linePrefix(lineName, layout)),
    inspect: (lineNames) => registry.inspect(lineNames),
    servedAtOnce: options.poolSize * LINES_PER_CONNECTION,
    maxOpenLines: options.maxOpenLines,
    idleMs: options.lineIdleMs,
    watchIntervalMs: options.times.stalledIntervalMs,
    handOver: (lineNames) => registry.note(lineNames),
    onStalled: deps.onStalled,
    log,
    monotonicMs,
  })
  const reader = createReaderRedis(options.redisUrl).on('error', () => undefined)
  // The connection for commands waits longer before it takes silence for the end, since its commands may be carried out
  // twice then. Here Redis has just answered: if it does not answer there, that one leads to a host that is gone.
  reader.on('ready', () => void dropIfSilent(redis, ANSWERS_OTHERS_MS))
  reconnectTogether(redis, reader)
  const stopReading = followStreams({
    redis: reader,
    streams: shardPrefixes(layout).map((prefix) => ({ key: activityKey(prefix), lastId: '$' })),
    blockMs: 2000,
    count: 1000,
    onEntry: ([, lineName]) => {
      if (lineName !== undefined) lines.wake(lineName)
    },
    onError: (error) => log.warn({ err: error }, 'notes of activity could not be read'),
  })
  const sweeper = createSweeper({
    lines,
    registry,
    intervalMs: options.sweepIntervalMs,
    walkIntervalMs: WALK_INTERVAL_MS,
    forgetAfterMs: options.lineIdleMs,
    log,
  })
  const roomMaker = createRoomMaker({ redis, registry, log, monotonicMs })
  // What happened while the connection was away may have gone unnoted.
  redis.on('ready', () => sweeper.sweepNow())

  return {
    counts: lines.counts,
    async stop() {
      stopping = true
      stopReading()
      sweeper.stop()
      void roomMaker.stop()
      await lines.close(divideGrace(options.shutdownGraceMs))
      locks.stop()
    },
  }
}
