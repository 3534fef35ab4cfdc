import { hostname } from 'node:os'
import type { AcceptedJobStore } from '@ticket-line/db'
import {
  type Clock,
  dropIfSilent,
  type LineLayout,
  type Log,
  newJobId,
  type RedisSettings,
} from '@ticket-line/shared'
import { createRedisBackend } from 'bullmq'
import type { Redis } from 'ioredis'
import { lineBase, linePrefix, readyKey } from '../keys.js'
import { type LineRedis, onEachShard, openReaders } from '../line-redis.js'
import type { Readiness } from '../recovery/readiness.js'
import { createRecoveryRedis } from '../recovery/recovery-redis.js'
import type { LineRegistry } from '../registry.js'
import { createSendReply } from '../replies.js'
import { defineShortenLocks } from '../scripts.js'
import { followWakeUps, sendWakeUp } from '../wake-ups.js'
import { keepAcceptedJobs } from './accepted-jobs.js'
import { createJobCleaner } from './job-cleaner.js'
import { createLine, type LineDeps } from './line.js'
import { createLockRenewer, type LockCounts } from './lock-renewer.js'
import { createScheduler, type SchedulerCounts } from './scheduler.js'
import { createSettleStore, createSettles, type Settles } from './settles.js'
import { createSweeper } from './sweeper.js'

/** Times that decide how soon other workers take over the lines of a worker that died. */
export interface LineTimes {
  /** How long a job stays locked without renewal, ms. */
  lockDurationMs: number
  /**
   * Time between two runs of the monitor, which returns jobs with expired locks to their lines, ms.
   */
  stalledIntervalMs: number
}

export interface ServerOptions {
  redis: RedisSettings
  layout: LineLayout
  times: LineTimes
  /** A line without work is forgotten after this long, ms. */
  lineIdleMs: number
  /** Maximum number of lines that a process remembers. */
  maxOpenLines: number
  /** Time between two sweeps, ms. */
  sweepIntervalMs: number
  /**
   * Number of connections to PostgreSQL: how many jobs can be in a transaction at the same time.
   */
  poolSize: number
  /** How long a stopping process may take, ms. */
  shutdownGraceMs: number
}

export interface ServerDeps {
  options: ServerOptions
  /** The connections for all Redis commands, from `createPatientRedis`. */
  redis: LineRedis
  registry: LineRegistry
  readiness: Readiness
  acceptedJobs: AcceptedJobStore
  /** Called with the number of lost jobs that were added again. */
  onRescued: (jobs: number) => void
  /** Decides a job, and commits before it resolves. */
  onJob: LineDeps['onJob']
  /** Called with the number of jobs whose lock has expired. */
  onStalled: (jobs: number) => void
  /** Called with a job that is set aside: it is neither decided nor left in its line. */
  onSetAside?: (jobId: string, error: Error) => void
  log: Log
  clock: Clock
}

/** The worker's end of the line. */
export interface LineServer {
  /** Adds settles to lines. Add none after `stop`. */
  addSettles: Settles['add']
  /** The counts of its parts, for metrics. */
  counts(): SchedulerCounts & LockCounts
  /** Takes no more wake-ups, finishes the jobs at hand, and hands the lines over. */
  stop(): Promise<void>
}

/**
 * Lines served at once for each connection to PostgreSQL. A job spends most of its time on its way
 * from and to Redis, and small jobs of several lines share a connection.
 */
const LINES_PER_CONNECTION = 6

/** Time between two scans of all keys, which find lines that are not registered, ms. */
const SCAN_EVERY_MS = 60_000

/** Once the reader has connected, Redis must reply on the other connection within this time, ms. */
const REPLIES_WITHIN_MS = 500

/** How many completed jobs of a line BullMQ keeps, and for how many seconds. */
const KEEP_COMPLETED = { count: 20, age: 3600 }
/** The same for failed jobs. */
const KEEP_FAILED = { count: 100, age: 7 * 24 * 3600 }

/**
 * Serves lines on two connections to Redis, however many lines there are: one for all Redis
 * commands, and one that blocks until wake-ups arrive. In a cluster each shard has two.
 */
export function startLineServer(deps: ServerDeps): LineServer {
  const { options, redis, registry, readiness, acceptedJobs, log, clock } = deps
  const { layout, times } = options
  let isStopping = false

  const locks = createLockRenewer(times.lockDurationMs, log)
  const rootOf = onEachShard(redis, (connection) => createRoot(connection, times))
  const shortenLocksOf = onEachShard(redis, (connection) => defineShortenLocks(connection, times))

  const settles = createSettles({
    store: createSettleStore(redis, layout),
    layout,
    newJobId,
    log,
    clock,
  })
  const lineDeps: Omit<LineDeps, 'redis' | 'root' | 'shortenLocks'> = {
    processName: `${hostname()}:${process.pid}`,
    locks,
    log,
    onJob: deps.onJob,
    onJobEnd: settles.onJobEnd,
    sendReply: createSendReply(redis, layout, log),
    ...(deps.onSetAside && { onSetAside: deps.onSetAside }),
    readiness,
    readShardGeneration: (prefix) => redis.of(prefix).get(readyKey(prefix)),
    isStopping: () => isStopping,
    clock,
  }
  const scheduler = createScheduler({
    createLine(lineName) {
      const prefix = linePrefix(lineName, layout)
      const ofShard = {
        redis: redis.of(prefix),
        root: rootOf(prefix),
        shortenLocks: shortenLocksOf(prefix),
      }
      return createLine(
        { ...lineDeps, ...ofShard },
        { lineName, prefix, base: lineBase(lineName, layout) },
      )
    },
    measure: registry.measure,
    servedAtOnce: options.poolSize * LINES_PER_CONNECTION,
    maxOpenLines: options.maxOpenLines,
    idleMs: options.lineIdleMs,
    monitorEveryMs: times.stalledIntervalMs,
    handOver: (lineNames) =>
      Promise.all(lineNames.map((lineName) => sendWakeUp(redis, layout, lineName))),
    onStalled: deps.onStalled,
    log,
    clock,
  })

  const readers = openReaders(options.redis, layout, redis)
  // The connection for commands waits long for a silent server, because a command that is sent
  // again may be executed twice. But the reader has just connected, so Redis works. If the
  // connection for commands stays silent all the same, it leads to a host that is gone.
  for (const { redis: reader, prefixes } of readers.connections)
    reader.on('ready', () => void dropIfSilent(redis.of(prefixes[0]), REPLIES_WITHIN_MS))
  const stopReading = followWakeUps(readers, {
    // The sweep finds the lines whose wake-ups came before.
    onStart: () => sweeper.sweepNow(),
    onWakeUp: scheduler.wake,
    onError: (err) => log.warn({ err }, 'could not read wake-ups'),
  })
  const sweeper = createSweeper({
    scheduler,
    registry,
    sweepEveryMs: options.sweepIntervalMs,
    scanEveryMs: SCAN_EVERY_MS,
    forgetAfterMs: options.lineIdleMs,
    log,
  })
  const servers = redis.connections.map((connection) => connection.redis)
  const jobCleaner = createJobCleaner({ servers, registry, log, clock })
  const keeper = keepAcceptedJobs({
    store: acceptedJobs,
    redis: createRecoveryRedis(redis, layout),
    readiness,
    onRescued: deps.onRescued,
    log,
  })
  // Wake-ups may have been lost while the connection was down, and lines were not served while
  // Redis might lack accepted jobs.
  readiness.onChange((isReady) => {
    if (isReady) sweeper.sweepNow()
  })

  return {
    // A settle must not get ahead of commands that a recovery adds again.
    addSettles: async (eventIds) => (readiness.isReady() ? settles.add(eventIds) : 0),
    counts: () => ({ ...scheduler.counts(), ...locks.counts() }),
    async stop() {
      isStopping = true
      stopReading()
      sweeper.stop()
      void jobCleaner.stop()
      keeper.stop()
      await scheduler.close(divideGrace(options.shutdownGraceMs))
      locks.stop()
    },
  }
}

/** The backend from which those of the lines on a connection are derived. */
function createRoot(connection: Redis, times: LineTimes) {
  const root = createRedisBackend('root', {
    connection,
    skipVersionCheck: true,
    lockDuration: times.lockDurationMs,
    stalledInterval: times.stalledIntervalMs,
    // A stalled job has not failed. Crashes that a command causes are counted in PostgreSQL.
    maxStalledCount: Number.MAX_SAFE_INTEGER,
    removeOnComplete: KEEP_COMPLETED,
    removeOnFail: KEEP_FAILED,
  } as Parameters<typeof createRedisBackend>[1])
  root.on('error', () => undefined)
  return root
}

/** How a stopping process divides its grace, ms. */
export interface Grace {
  /**
   * Until then, the worker keeps retrying jobs that fail. After that, it leaves them to other
   * workers.
   */
  giveUpAfterMs: number
  /** How long the jobs at hand may take, including a moment to end after they are given up. */
  finishMs: number
  /** How long handing the lines over may take after that. The rest is for closing connections. */
  handOverMs: number
}

/** Maximum part of a grace that is kept for what follows the jobs, ms. */
const MAX_KEPT_MS = 1000

export function divideGrace(graceMs: number): Grace {
  const keptMs = Math.min(MAX_KEPT_MS, graceMs / 5)
  return { giveUpAfterMs: graceMs - keptMs, finishMs: graceMs - keptMs / 2, handOverMs: keptMs / 4 }
}
