import type { Log } from '@ticket-line/shared'
import { LOOK_FOR_MS, type StoreJob, type StoreResult } from './job-store.js'
import type { JobInFlight, Waiter } from './jobs-in-flight.js'

export interface RecheckDeps {
  jobs: Map<string, JobInFlight>
  /** Answers a waiter whose outcome is stored. */
  lookUp: (job: JobInFlight, waiter: Waiter) => Promise<void>
  isInRedis: (lineName: string, jobId: string) => Promise<boolean>
  store: StoreJob
  storeEnded: (job: JobInFlight, result: StoreResult) => void
  log: Log
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
}

/** A waiter is looked up in PostgreSQL when it was not answered for this long, and again as often. */
const RECHECK_MS = 1000
/** Jobs looked up in one tick. */
const JOBS_PER_TICK = 64

/**
 * Looks after jobs whose reply is overdue: their outcomes may be stored and the reply lost, or Redis may have lost the
 * job, which is then added again under the same id.
 * @returns one round; call it a few times a second
 */
export function createRecheck(deps: RecheckDeps): () => void {
  const { jobs, lookUp, log, monotonicMs } = deps

  async function recheck(job: JobInFlight): Promise<void> {
    const open = (): Waiter[] => job.waiters.filter((waiter) => !waiter.answered())
    const lookAll = (): Promise<unknown> => Promise.all(open().map((waiter) => lookUp(job, waiter)))
    await lookAll()
    if (open().length === 0 || (await deps.isInRedis(job.lineName, job.jobId))) return
    // Completed and removed between the two looks, or lost.
    await lookAll()
    if (open().length === 0) return
    log.warn(
      { jobId: job.jobId },
      'Redis lost a job that clients wait for: it is added again under the same id',
    )
    const result = await deps.store(job, monotonicMs() + LOOK_FOR_MS)
    // It was stored once and may yet turn up (a failover that is undone): nobody can say that it will not.
    if (result.kind !== 'stored')
      deps.storeEnded(job, result.kind === 'refused' ? { kind: 'unknown' } : result)
  }

  return () => {
    let budget = JOBS_PER_TICK
    for (const job of jobs.values()) {
      if (budget === 0 || monotonicMs() - job.startedAtMs < RECHECK_MS) return
      if (!job.stored || monotonicMs() - job.checkedAtMs < RECHECK_MS) continue
      budget -= 1
      job.checkedAtMs = monotonicMs()
      recheck(job).catch((error: unknown) =>
        log.debug({ jobId: job.jobId, err: error }, 'a job could not be looked up'),
      )
    }
  }
}
