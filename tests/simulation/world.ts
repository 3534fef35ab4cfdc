import type { CommandStore, LineStore } from '@ticket-line/db'
import { createLog, type LineLayout } from '@ticket-line/shared'
import { createRandom, type Random } from '../random.ts'
import { type Clock, createClock, type SimProcess } from './clock.ts'
import { createSimulatedStore } from './line-store.ts'
import { createPostgres, type Postgres } from './postgres.ts'
import { createRedisData, type Flushed, type RedisData } from './redis-data.ts'
import { createServer, type Server } from './server.ts'
import { createStreams, type Streams } from './streams.ts'
import { createTraps, type Traps } from './traps.ts'

/** Parts that can be broken on purpose, each a guard of the design. */
export interface Broken {
  /** Outcomes that are stored already are not looked at. */
  storedOutcomes?: boolean
  /** The short way of plain bookings does not look whether a command was decided before. */
  seenBefore?: boolean
  /** A batch does not lock its events. */
  rowLock?: boolean
  /** A batch counts as committed as soon as its COMMIT is sent. */
  earlyCommit?: boolean
  /** Nothing is recorded about a job whose add was lost. */
  refusal?: boolean
  /** Several jobs of a line may be active. */
  globalConcurrency?: boolean
  /** A job whose worker is gone goes to the tail of its line. */
  stalledToTail?: boolean
  /** The API forgets to set the timer of a waiter's deadline. */
  deadline?: boolean
  /** The API takes an add for stored as soon as it is sent. */
  earlyAccept?: boolean
  /** Nobody looks after a reply that does not come. */
  recheck?: boolean
  /** A count that a crash left behind is not forgotten. */
  leftBehind?: boolean
  /** Nobody looks for lines with work that nobody serves. */
  sweep?: boolean
}

/** Everything a simulation is made of beside the processes. */
export interface World {
  clock: Clock
  random: Random
  layout: LineLayout
  maxQueueDepth: number
  redis: Server
  data: RedisData
  postgres: Postgres
  streams: Streams
  traps: Traps
  broken: Broken
  /** Every arrival of a job in a line, by line: a job may arrive again after a flush. */
  arrivals: Map<string, Arrival[]>
  /** When Redis forgot everything, and what. */
  flushes: (Flushed & { atMs: number })[]
  /** Writes that contradicted the rows. */
  bugs: unknown[]
  /** The stores of a process. */
  storeOf(process: SimProcess): LineStore & CommandStore
  /** Makes ids of jobs: the same seed gives the same ids. */
  newJobId: (lineName: string, commandCount: number, nowMs: number) => string
  /** Ends a process at once. */
  kill(process: SimProcess): void
  /** Calls `listener` with every process that ends, however it came to it. */
  onEnd(listener: (process: SimProcess) => void): void
}

export interface Arrival {
  jobId: string
  atMs: number
}

export const silent = createLog('simulation', 'silent')
export const LOCK_MS = 1500
export const STALLED_INTERVAL_MS = 500
/** Booking for this user kills whoever tries. */
export const POISON = 'poison'

export interface WorldOptions {
  seed: number
  sizes: number[]
  /** Lines that all events share; 0: each has its own. */
  lines: number
  maxQueueDepth: number
  broken: Broken
}

export function createWorld({ seed, sizes, lines, maxQueueDepth, broken }: WorldOptions): World {
  const clock = createClock()
  const random = createRandom(seed)
  const traps = createTraps()
  const streams = createStreams(clock, random.fork('network'))
  const startCounts = new Map<string, number>()
  const bugs: unknown[] = []
  const endListeners: ((process: SimProcess) => void)[] = []

  const arrivals: World['arrivals'] = new Map()
  const data = createRedisData({
    now: clock.now,
    lockMs: LOCK_MS,
    stalledIntervalMs: STALLED_INTERVAL_MS,
    onArrival(lineName, jobId) {
      const ofLine = arrivals.get(lineName) ?? []
      ofLine.push({ jobId, atMs: clock.exactNow() })
      arrivals.set(lineName, ofLine)
    },
    broken,
  })
  const postgres = createPostgres({
    clock,
    random: random.fork('postgres'),
    traps,
    sizes,
    kills(bookers, process) {
      const deadly = bookers.includes(POISON)
      if (deadly) kill(process)
      return deadly
    },
    onBug: (error) => bugs.push(error),
    broken,
  })

  function kill(process: SimProcess): void {
    if (!process.alive) return
    process.alive = false
    streams.forget(process)
    postgres.forget(process)
    for (const listener of endListeners) listener(process)
  }

  return {
    clock,
    random,
    layout: { lines, shards: 1, keyPrefix: 'sim' },
    maxQueueDepth,
    redis: createServer(clock, random.fork('redis'), traps, [0.1, 1.5]),
    data,
    postgres,
    streams,
    traps,
    broken,
    arrivals,
    flushes: [],
    bugs,
    storeOf: (process) =>
      createSimulatedStore({ postgres, pool: postgres.pool(process), startCounts, broken }),
    newJobId: createJobIds(),
    kill,
    onEnd: (listener) => void endListeners.push(listener),
  }
}

/** Ids like those of the product, with a number in place of the random part. */
function createJobIds(): World['newJobId'] {
  let made = 0
  return (lineName, commandCount, nowMs) => {
    const time = nowMs.toString(36).padStart(9, '0')
    return `${lineName}.${time}${(made++).toString(36).padStart(12, '0')}.${commandCount}`
  }
}
