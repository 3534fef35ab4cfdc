import type { CommandStore } from '@ticket-line/db'
import { type JobPayload, type Log, type Outcome, wasRefused } from '@ticket-line/shared'
import type { LineQueues } from '../queues.js'

/** One job on its way into Redis. */
export interface JobToStore {
  lineName: string
  jobId: string
  payload: JobPayload
}

/** What became of an add. */
export type StoreResult =
  | { kind: 'stored' }
  /** It is not in Redis and never will take effect. */
  | { kind: 'refused' }
  /** It was not found in time and recorded as refused, but some of its commands were decided first. */
  | { kind: 'settled'; outcomes: Map<string, Outcome> }
  /** Neither Redis nor PostgreSQL answered: it may or may not take effect. */
  | { kind: 'unknown' }

/**
 * Adds a job. If the reply to the add was lost, looks for the job until `lookUntilMs`, by the
 * monotonic clock.
 */
export type StoreJob = (job: JobToStore, lookUntilMs: number) => Promise<StoreResult>

/** Adds jobs to Redis and finds out whether they are stored. */
export interface JobStore {
  store: StoreJob
  /**
   * Adds a job that Redis lost, under the same id.
   *
   * @returns whether it is known to be in Redis now
   */
  addAgain(job: JobToStore): Promise<boolean>
}

export interface JobStoreDeps {
  queues: LineQueues
  /** Tells the workers that a line has work. */
  note: (lineName: string) => void
  store: Pick<CommandStore, 'recordAbandoned'>
  log: Log
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
  sleep: (ms: number) => Promise<void>
}

/** How long a job whose add was not answered is looked for, from the moment its first request came. */
export const LOOK_FOR_MS = 720
/** The least that one look gets, on a machine so busy that the time was over before. */
const ONE_LOOK_MS = 80
/** How long PostgreSQL may take to record a refusal: together with the look less than the second that a client is promised. */
const REFUSE_WITHIN_MS = 200

/** ioredis says this of a command that it did not send. */
const NEVER_SENT = /isn't writeable and enableOfflineQueue options is false/

/**
 * Stores jobs in Redis so that their fate is known: an add whose reply was lost is looked up by its id; what cannot be
 * found is recorded as refused in PostgreSQL before the client hears a 503, so that it changes nothing should it
 * still arrive.
 */
export function createJobStore(deps: JobStoreDeps): JobStore {
  const { queues, log, monotonicMs, sleep } = deps

  async function store(job: JobToStore, lookUntilMs: number): Promise<StoreResult> {
    try {
      await add(job)
      return { kind: 'stored' }
    } catch (error) {
      if (wasRefused(error) || (error instanceof Error && NEVER_SENT.test(error.message))) {
        log.warn({ jobId: job.jobId, err: error }, 'a job could not be added')
        return { kind: 'refused' }
      }
      log.warn({ jobId: job.jobId, err: error }, 'the reply to an add was lost')
    }
    if (await isFound(job, Math.max(lookUntilMs, monotonicMs() + ONE_LOOK_MS))) {
      deps.note(job.lineName)
      return { kind: 'stored' }
    }
    return refuse(job)
  }

  async function add(job: JobToStore): Promise<void> {
    const added = queues
      .queueOf(job.lineName)
      .add('commands', job.payload, { jobId: job.jobId, attempts: 1 })
    // The wake-up is sent after the add on the same connection, so Redis executes it after the add:
    // BullMQ sends within the microtasks of this turn, and a tick that is requested in one of them
    // runs after all of them.
    queueMicrotask(() => process.nextTick(deps.note, job.lineName))
    await added
  }

  async function isFound(job: JobToStore, untilMs: number): Promise<boolean> {
    const timeIsOver = sleep(untilMs - monotonicMs()).then(() => 'late' as const)
    while (monotonicMs() < untilMs) {
      try {
        // A Redis that is frozen does not answer this either: the look itself must end in time.
        const looked = queues.queueOf(job.lineName).getJob(job.jobId)
        const found = await Promise.race([looked, timeIsOver])
        return found !== 'late' && found !== undefined
      } catch {
        await sleep(50)
      }
    }
    return false
  }

  async function refuse(job: JobToStore): Promise<StoreResult> {
    const { jobId, payload } = job
    const recorded = deps.store.recordAbandoned({
      jobId,
      acceptedAtMs: payload.acceptedAtMs,
      commands: payload.commands,
    })
    recorded.catch(() => undefined)
    try {
      const stored = await Promise.race([recorded, sleep(REFUSE_WITHIN_MS)])
      if (!(stored instanceof Map)) return { kind: 'unknown' }
      const outcomes = new Map<string, Outcome>()
      for (const [commandId, outcome] of stored)
        if (outcome.outcome !== 'refused') outcomes.set(commandId, outcome)
      return outcomes.size === 0 ? { kind: 'refused' } : { kind: 'settled', outcomes }
    } catch (error) {
      log.warn({ jobId, err: error }, 'a refusal could not be recorded')
      return { kind: 'unknown' }
    }
  }

  return {
    store,
    addAgain: (job) =>
      add(job).then(
        () => true,
        () => false,
      ),
  }
}
