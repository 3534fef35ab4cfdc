import type { CommandStore } from '@ticket-line/db'
import {
  type Clock,
  type Log,
  type Outcome,
  sleep,
  wasRefused,
  withDeadline,
} from '@ticket-line/shared'
import { addJob, type JobToStore, type LineQueues } from '../queues.js'
import { FIND_JOB_MS, RECORD_ABANDONED_MS } from './error-budget.js'

/** What became of an add. */
export type StoreResult =
  | { kind: 'stored' }
  /** It is not in Redis, and will never take effect. */
  | { kind: 'abandoned' }
  /**
   * It was not found in time, but a worker had decided some of its commands. `outcomes` has their
   * outcomes by command id. PostgreSQL has recorded the other commands as abandoned.
   */
  | { kind: 'decided'; outcomes: Map<string, Outcome> }
  /** Neither Redis nor PostgreSQL answered. It may or may not take effect. */
  | { kind: 'unknown' }

/** Stores jobs in Redis, and finds out what became of them. */
export interface JobStore {
  /**
   * Adds a job. If the reply to the add is lost, looks for the job until `findUntilMs`, by the
   * monotonic clock. It never rejects.
   *
   * @param mayBeRecorded returns whether the job may be recorded as accepted by now. If so, it is
   * abandoned only once that is recorded, too. Otherwise a recovery would add it
   */
  store(job: JobToStore, findUntilMs: number, mayBeRecorded: () => boolean): Promise<StoreResult>
  /**
   * Adds a job that Redis lost, under the same id.
   *
   * @returns whether it is known to be in Redis now
   */
  addAgain(job: JobToStore): Promise<boolean>
  /**
   * Makes sure that workers serve a job. If no list contains it, this puts it back at the end of
   * its line and sends a wake-up.
   *
   * @returns whether Redis has the job
   */
  ensureListed(lineName: string, jobId: string): Promise<boolean>
}

export interface JobStoreDeps {
  queues: LineQueues
  /** Tells the workers that a line has work. */
  wakeUp: (lineName: string) => void
  relistJob: (lineName: string, jobId: string) => Promise<'missing' | 'listed' | 'relisted'>
  store: Pick<CommandStore, 'recordAbandoned'>
  log: Log
  clock: Clock
}

/** Pause after a failed lookup of a job, ms. */
const RETRY_PAUSE_MS = 50

/** The message of ioredis for a command that it did not send. */
const NEVER_SENT = /isn't writeable and enableOfflineQueue options is false/

/**
 * Stores jobs. If an add is not answered, it looks for the job by its id. If it cannot find the
 * job, it records in PostgreSQL that the commands are abandoned, before their clients get an error.
 * The job then changes nothing if it still arrives in Redis.
 */
export function createJobStore(deps: JobStoreDeps): JobStore {
  const { queues, log, clock } = deps

  async function store(
    job: JobToStore,
    findUntilMs: number,
    mayBeRecorded: () => boolean,
  ): Promise<StoreResult> {
    const { lineName, jobId } = job
    try {
      await add(job)
      return { kind: 'stored' }
    } catch (err) {
      if (wasRefused(err) || (err instanceof Error && NEVER_SENT.test(err.message))) {
        log.warn({ jobId, err }, 'Redis refused a job, or it was never sent')
        return mayBeRecorded() ? abandon(job) : { kind: 'abandoned' }
      }
      log.warn({ jobId, err }, 'Redis did not confirm a job')
    }
    if (await isFound(job, Math.max(findUntilMs, clock.steadyMs() + FIND_JOB_MS))) {
      deps.wakeUp(lineName)
      return { kind: 'stored' }
    }
    return abandon(job)
  }

  const add = (job: JobToStore): Promise<void> => addJob(queues, job, deps.wakeUp)

  async function isFound({ lineName, jobId }: JobToStore, untilMs: number): Promise<boolean> {
    while (clock.steadyMs() < untilMs) {
      try {
        const job = queues.queueOf(lineName).getJob(jobId)
        // A frozen Redis does not answer this lookup either.
        return (await withDeadline(job, untilMs - clock.steadyMs(), () => undefined)) !== undefined
      } catch {
        await sleep(RETRY_PAUSE_MS)
      }
    }
    return false
  }

  async function abandon({ jobId, payload }: JobToStore): Promise<StoreResult> {
    const { acceptedAtMs, commands } = payload
    try {
      const recorded = deps.store.recordAbandoned({ jobId, acceptedAtMs, commands })
      const stored = await withDeadline(recorded, RECORD_ABANDONED_MS, () => undefined)
      if (stored === undefined) return { kind: 'unknown' }
      const outcomes = new Map<string, Outcome>()
      for (const [commandId, outcome] of stored)
        if (outcome.outcome !== 'abandoned') outcomes.set(commandId, outcome)
      return outcomes.size === 0 ? { kind: 'abandoned' } : { kind: 'decided', outcomes }
    } catch (err) {
      log.warn({ jobId, err }, 'could not record that a job was abandoned')
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
    async ensureListed(lineName, jobId) {
      const result = await deps.relistJob(lineName, jobId)
      if (result === 'relisted') deps.wakeUp(lineName)
      return result !== 'missing'
    },
  }
}
