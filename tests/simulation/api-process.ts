import type { LineQueues } from '@ticket-line/line'
import {
  type Counts,
  createFindStored,
  createJobStore,
  createSubmitter,
  type Entrance,
  type SubmitResult,
  type SubmitterDeps,
} from '@ticket-line/line/client'
import type { CommandRequest, JobPayload } from '@ticket-line/shared'
import { createProcess, type SimProcess } from './clock.ts'
import type { Connection } from './connection.ts'
import { silent, type World } from './world.ts'

export interface ApiProcess {
  process: SimProcess
  submit(request: CommandRequest, waitMs: number): Promise<SubmitResult>
  /**
   * SIGTERM: the process stores everything that it holds, answers pending commands with 202 once
   * their job is stored, and ends.
   */
  stop(): void
}

const REDIS_TIMEOUT_MS = 400
const HOLD_MS = 100
const TICK_MS = 250
/** How long PostgreSQL is away before the probes notice. */
const PROBE_MS = 250
/** From this depth limit on, short lines do not await their admission. */
const FAR_BOUND = 4096

/** The code of an API process that handles lines, on the simulated Redis and PostgreSQL. */
export function startApi(world: World, name: string): ApiProcess {
  const { clock } = world
  const process = createProcess(name, true)
  return clock.as(process, () => {
    const connection = world.redis.connect(process, { patient: false, timeoutMs: REDIS_TIMEOUT_MS })
    const submitter = createSubmitter(submitterDeps(world, process, connection))
    world.streams.onReplies(name, process, submitter.replied)
    if (!world.without.rescue) setInterval(submitter.tick, TICK_MS)

    return {
      process,
      submit(request, waitMs) {
        if (!connection.isReady() || world.postgres.awayForMs() > PROBE_MS)
          return Promise.resolve({ kind: 'unavailable' })
        return submitter.submit(request, { waitMs })
      },
      stop() {
        clock.as(process, () => {
          submitter.drain()
          const isDone = (): boolean => {
            const { waiting, held, jobs } = submitter.counts()
            return waiting + held + jobs === 0
          }
          setInterval(() => (isDone() ? world.kill(process) : undefined), 50)
        })
      },
    }
  })
}

function submitterDeps(world: World, process: SimProcess, connection: Connection): SubmitterDeps {
  const { clock, data, without } = world
  const store = world.storeOf(process)
  const jobStore = createJobStore({
    queues: {
      queueOf: (lineName: string) => createQueue(lineName, world, connection),
    } as unknown as LineQueues,
    note: (lineName) =>
      void connection.call(() => world.streams.wakeUp(lineName)).catch(() => undefined),
    store,
    log: silent,
    monotonicMs: clock.now,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  })
  return {
    layout: world.layout,
    replyTo: process.name,
    newJobId: world.newJobId,
    entrance: createEntrance(world, connection),
    jobStore: {
      ...jobStore,
      async store(job, lookUntilMs) {
        const stored = jobStore.store(job, lookUntilMs)
        return without.acceptAfterStore ? { kind: 'stored' } : stored
      },
    },
    isInRedis: (lineName, jobId) =>
      connection.call(() => data.getJob(lineName, jobId) !== undefined),
    findStored: createFindStored(store),
    holdMs: HOLD_MS,
    log: silent,
    now: clock.now,
    monotonicMs: clock.now,
    setTimer: (run, ms) => ({
      cancel: without.deadline && ms > HOLD_MS ? () => undefined : clock.after(ms, process, run),
    }),
    soon: setImmediate,
  }
}

function createQueue(lineName: string, { data }: World, connection: Connection): object {
  return {
    add: (_name: string, payload: JobPayload, { jobId }: { jobId: string }) => {
      const json = JSON.stringify(payload)
      return connection.call(() => data.add(lineName, jobId, json), 'add')
    },
    getJob: (jobId: string) => connection.call(() => data.getJob(lineName, jobId)),
  }
}

/**
 * Follows the real admission: far from a large limit, the count is sent with the add; otherwise it
 * is awaited first.
 */
function createEntrance({ data, maxQueueDepth }: World, connection: Connection): Entrance {
  const count = (lineName: string, counts: Counts, max: number): Promise<Counts> =>
    connection.call(() => data.enter(lineName, counts, max), 'count')
  return {
    enter(lineName, counts) {
      if (maxQueueDepth < FAR_BOUND) return count(lineName, counts, maxQueueDepth)
      count(lineName, counts, Number.POSITIVE_INFINITY).catch(() => undefined)
      return counts
    },
    leave(lineName, counts) {
      connection.call(() => data.leave(lineName, counts)).catch(() => undefined)
    },
  }
}
