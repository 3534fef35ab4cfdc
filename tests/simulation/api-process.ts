import { createReadiness, type Readiness } from '@ticket-line/line'
import {
  createAdmission,
  createFindStored,
  createJobStore,
  createRecorder,
  createSubmitter,
  type SubmitResult,
  type SubmitterDeps,
} from '@ticket-line/line/client'
import { type CommandRequest, every } from '@ticket-line/shared'
import { createProcess, type SimProcess } from './clock.ts'
import type { Connection } from './connection.ts'
import { createDepth, createQueues } from './line-queues.ts'
import { createSimulatedRecovery, joinRecovery } from './recovery-redis.ts'
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

/** The code of an API process that handles lines, on the simulated Redis and PostgreSQL. */
export function startApi(world: World, name: string): ApiProcess {
  const { clock } = world
  const process = createProcess(name, true)
  return clock.as(process, () => {
    const connection = world.redis.connect(process, { patient: false, timeoutMs: REDIS_TIMEOUT_MS })
    const readiness = createReadiness()
    joinRecovery(world, process, createSimulatedRecovery(world, connection), readiness)
    const submitter = createSubmitter(submitterDeps(world, process, connection, readiness))
    world.streams.onReplies(name, process, submitter.onReply)
    readiness.onChange((isReady) => {
      if (isReady) submitter.onRecovered()
    })
    if (!world.without.rescue) every(TICK_MS, submitter.rescue, { onError: world.reportBug })

    return {
      process,
      submit(request, waitMs) {
        if (!connection.isReady() || world.postgres.awayForMs() > PROBE_MS)
          return Promise.resolve({ kind: 'unavailable' })
        if (!readiness.isReady()) return Promise.resolve({ kind: 'unavailable' })
        return submitter.submit(request, { waitMs })
      },
      stop() {
        clock.as(process, () => {
          submitter.drain()
          const isDone = (): boolean => {
            const { commands, jobs } = submitter.counts()
            return commands + jobs === 0
          }
          every(50, () => (isDone() ? world.kill(process) : undefined), {
            onError: world.reportBug,
          })
        })
      },
    }
  })
}

function submitterDeps(
  world: World,
  process: SimProcess,
  connection: Connection,
  readiness: Readiness,
): SubmitterDeps {
  const { clock, data, without } = world
  const steady = { wallMs: clock.now, steadyMs: clock.now }
  const store = world.storeOf(process)
  const jobStore = createJobStore({
    queues: createQueues(world, connection),
    wakeUp: (lineName) =>
      void connection.call(() => world.streams.wakeUp(lineName)).catch(() => undefined),
    relistJob: (lineName, jobId) => connection.call(() => data.relist(lineName, jobId)),
    store,
    log: silent,
    clock: steady,
  })
  return {
    layout: world.layout,
    replyTo: process.name,
    newJobId: world.newJobId,
    admission: createAdmission({
      depth: createDepth(world, process, connection),
      maxDepth: world.maxQueueDepth,
      readiness,
      clock: steady,
    }),
    jobStore: {
      ...jobStore,
      async store(job, findUntilMs, mayBeRecorded) {
        const stored = jobStore.store(job, findUntilMs, mayBeRecorded)
        return without.acceptAfterStore ? { kind: 'stored' } : stored
      },
    },
    findStored: createFindStored(store),
    recordAccepted: recorderOf(world, process, connection, readiness),
    readiness,
    holdMs: HOLD_MS,
    log: silent,
    clock: steady,
    setTimer: (run, ms) => ({
      cancel: without.deadline && ms > HOLD_MS ? () => undefined : clock.after(ms, process, run),
    }),
    soon: setImmediate,
  }
}

/** How long after the 202 a job is recorded if that guard is removed, ms. */
const RECORDED_LATE_MS = 20

function recorderOf(
  world: World,
  process: SimProcess,
  connection: Connection,
  readiness: Readiness,
): SubmitterDeps['recordAccepted'] {
  const { acceptAfterRecord, recordBeforeAccept } = world.without
  const record = createRecorder({
    store: world.acceptedJobsOf(process),
    async confirmGeneration() {
      const found = await connection.call(world.data.generation)
      const known = readiness.generation()
      return found === known ? known : undefined
    },
    log: silent,
  })
  return async (job) => {
    // As if Redis had the generation of the job after the commit, too.
    const { generation } = job as { generation?: string }
    const accepted = { isRecorded: true, generation }
    if (recordBeforeAccept) {
      setTimeout(() => void record(job), RECORDED_LATE_MS)
      return accepted
    }
    const recorded = record(job)
    return acceptAfterRecord ? accepted : recorded
  }
}
