import type { SettleClockDeps } from '@ticket-line/booking-worker/settle-clock'
import type { AcceptedJobStore, CommandStore, LineStore } from '@ticket-line/db'
import type { RecoveryDeps } from '@ticket-line/line'
import {
  type CommandRequest,
  createLog,
  type JobPayload,
  type LineLayout,
} from '@ticket-line/shared'
import type { EventStart } from '../model/row-store.ts'
import { createRandom, type Random } from '../random.ts'
import { createSimulatedAcceptedJobs } from './accepted-jobs.ts'
import { type ArmedCuts, createArmedCuts } from './armed-cuts.ts'
import { type Clock, createClock, type SimProcess } from './clock.ts'
import { createSimulatedStore, readDue } from './line-store.ts'
import { createPostgres, type Postgres } from './postgres.ts'
import { createRedisData, isSettle, type Loss, type RedisData } from './redis-data.ts'
import { createServer, type Server } from './server.ts'
import { createStreams, type Streams } from './streams.ts'

/** Guards of the design that are left out, to show that the checks notice. */
export interface RemovedGuards {
  /** Stored outcomes are looked up. */
  storedOutcomes?: boolean
  /** The fast path looks up stored outcomes. */
  fastPathCheck?: boolean
  /** A batch locks its events. */
  rowLock?: boolean
  /** A batch is answered after its COMMIT has returned. */
  answerAfterCommit?: boolean
  /** The change log is written in the transaction of the decision. */
  logInTransaction?: boolean
  /** Commands are recorded as abandoned if the add of their job may have been lost. */
  abandonedRecord?: boolean
  /** A line has one active job. */
  oneActiveJob?: boolean
  /** A stalled job returns to the head of its line. */
  stalledJobToHead?: boolean
  /** The API sets a timer for the deadline of a pending command. */
  deadline?: boolean
  /** The API accepts a command when its job is stored. */
  acceptAfterStore?: boolean
  /** The API rescues jobs whose reply does not arrive. */
  rescue?: boolean
  /** A depth that a crash left over is reset. */
  depthReset?: boolean
  /** Workers look for lines with work that no worker serves. */
  sweep?: boolean
  /** A settle ends only holds whose deadline has passed. */
  holdDeadlines?: boolean
  /** Workers add settles when deadlines have passed. */
  settleClock?: boolean
  /** A mark keeps a second settle of an event away. */
  settleMarks?: boolean
  /** The mark of a settle that was lost is replaced. */
  lostSettles?: boolean
  /** A command is accepted when its job is recorded. */
  acceptAfterRecord?: boolean
  /** A job is being recorded when its first client is told that it is accepted. */
  recordBeforeAccept?: boolean
  /** A worker checks the generation after a fetch. */
  fetchedGeneration?: boolean
  /** The API checks the generation when it counts commands. */
  countedGeneration?: boolean
  /** A process compares the generation with the one that PostgreSQL has. */
  recordedGeneration?: boolean
  /** A recovery puts accepted jobs before all others. */
  acceptedOrder?: boolean
  /** A recovery adds what Redis has lost. */
  recovery?: boolean
  /** Workers add single jobs again that Redis has lost. */
  lostJobs?: boolean
  /** The record of a job is removed after its decision. */
  tidyAfterDecision?: boolean
}

/** The parts of a simulation apart from its processes. */
export interface World {
  clock: Clock
  random: Random
  layout: LineLayout
  maxQueueDepth: number
  redis: Server
  data: RedisData
  postgres: Postgres
  streams: Streams
  armedCuts: ArmedCuts
  without: RemovedGuards
  /**
   * Every arrival of a job in a line, by line. After a loss, jobs arrive again, and those that get
   * another place count as arriving anew.
   */
  arrivals: Map<string, Arrival[]>
  /** The events of the settles that have arrived, by job. */
  settles: Map<string, number>
  /** What Redis has lost so far. */
  losses: RecordedLoss[]
  /** The counts that a Redis answered which lacked accepted jobs. */
  unreadyCounts: { api: SimProcess; atMs: number; answeredAtMs: number }[]
  /** When Redis had everything again: PostgreSQL got the generation of a recovery. */
  recoveredAtMs: number[]
  /** Errors that the product must not cause, such as writes that contradict the rows. */
  bugs: unknown[]
  /** The stores of a process. */
  storeOf(process: SimProcess): LineStore & CommandStore
  /** The record of accepted jobs, for a process. */
  acceptedJobsOf(process: SimProcess): AcceptedJobStore
  /** Reads the generation that the last recovery gave to Redis. */
  generationReaderOf(process: SimProcess): RecoveryDeps['readRecordedGeneration']
  /** Runs the recovery of a process while no other one runs. */
  aloneOf(process: SimProcess): RecoveryDeps['alone']
  /** Reads the events that are due, on a connection of its own. */
  dueReaderOf(process: SimProcess): SettleClockDeps['readDue']
  /** Makes ids of jobs: the same seed gives the same ids. */
  newJobId: (lineName: string, commandCount: number, nowMs: number) => string
  /** Called with errors that the product must not cause. */
  reportBug(error: unknown): void
  /** Ends a process at once. */
  kill(process: SimProcess): void
  /** Calls the listener with every process that ends, for whatever reason. */
  onEnd(listener: (process: SimProcess) => void): void
}

/** Something that Redis has lost. */
export interface RecordedLoss extends Loss {
  atMs: number
  /** True if all of Redis lost its data, false if single jobs were lost without a sign. */
  ofAll: boolean
}

export interface Arrival {
  jobId: string
  atMs: number
}

export const silent = createLog('simulation', 'silent')
export const LOCK_MS = 1500
export const STALLED_INTERVAL_MS = 500
/** A booking for this user kills the process that decides it. */
export const POISON = 'poison'

export interface WorldOptions {
  seed: number
  starts: EventStart[]
  /** Number of shared lines; 0 gives each event its own line. */
  lines: number
  maxQueueDepth: number
  without: RemovedGuards
}

export function createWorld({ seed, starts, lines, maxQueueDepth, without }: WorldOptions): World {
  const clock = createClock()
  const random = createRandom(seed)
  const armedCuts = createArmedCuts()
  const streams = createStreams(clock, random.fork('network'))
  const startCounts = new Map<string, number>()
  const bugs: unknown[] = []
  const endListeners: ((process: SimProcess) => void)[] = []
  const reportBug = (error: unknown): void => void bugs.push(error)

  const arrivals: World['arrivals'] = new Map()
  const settles: World['settles'] = new Map()
  const data = createRedisData({
    now: clock.now,
    lockMs: LOCK_MS,
    stalledIntervalMs: STALLED_INTERVAL_MS,
    onArrival(lineName, jobId, payload) {
      if (isSettle({ payload })) {
        const { commands } = JSON.parse(payload) as JobPayload
        settles.set(jobId, (commands[0] as CommandRequest).eventId)
      }
      const ofLine = arrivals.get(lineName) ?? []
      ofLine.push({ jobId, atMs: clock.exactNow() })
      arrivals.set(lineName, ofLine)
    },
    recordedGeneration: () => postgres.recorded.generation,
    without,
  })
  const postgres = createPostgres({
    clock,
    random: random.fork('postgres'),
    armedCuts,
    starts,
    kills(bookers, process) {
      const deadly = bookers.includes(POISON)
      if (deadly) kill(process)
      return deadly
    },
    onBug: reportBug,
    without,
  })

  const { accepted, recorded } = postgres
  const acceptedDeps = { accepted, recorded, exactNow: clock.exactNow, without }

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
    layout: { sharedLines: lines, shards: 1, keyPrefix: 'sim' },
    maxQueueDepth,
    redis: createServer(clock, random.fork('redis'), armedCuts, [0.1, 1.5]),
    data,
    postgres,
    streams,
    armedCuts,
    without,
    arrivals,
    settles,
    losses: [],
    unreadyCounts: [],
    recoveredAtMs: postgres.recorded.atMs,
    bugs,
    reportBug,
    storeOf: (process) =>
      createSimulatedStore({ postgres, pool: postgres.pool(process), startCounts, without }),
    acceptedJobsOf(process) {
      const { statement, lateStatement } = postgres.pool(process)
      return createSimulatedAcceptedJobs({ ...acceptedDeps, statement, lateStatement })
    },
    generationReaderOf(process) {
      const { statement } = postgres.pool(process)
      return () =>
        without.recordedGeneration
          ? Promise.resolve(data.generation())
          : statement(() => postgres.recorded.generation)
    },
    aloneOf(process) {
      const { alone, lateStatement } = postgres.pool(process)
      return (run) =>
        alone((statement) =>
          run(createSimulatedAcceptedJobs({ ...acceptedDeps, statement, lateStatement })),
        )
    },
    dueReaderOf(process) {
      const pool = postgres.pool(process)
      return (after) => pool.statement((rows, nowMs) => readDue(rows, nowMs, after))
    },
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
