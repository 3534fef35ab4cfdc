import type { Log } from '@ticket-line/shared'
import type { JobStore, StoreResult } from './job-store.js'
import type { JobInFlight, Waiter } from './jobs-in-flight.js'
import type { KeepInLine } from './keep-in-line.js'

export interface RecheckDeps {
  jobs: Map<string, JobInFlight>
  /** Answers a waiter whose outcome is stored. */
  lookUp: (job: JobInFlight, waiter: Waiter) => Promise<void>
  isInRedis: KeepInLine
  addAgain: JobStore['addAgain']
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
 * Looks after jobs whose reply is overdue: the outcomes may be stored and the reply lost, or Redis
 * may have lost the job. A *lost* job is added again under the same id, as often as needed while
 * its clients wait, because on a busy machine an add may seem unanswered for long.
 * @returns one round; call it a few times a second
 */
export function createRecheck(deps: RecheckDeps): () => void {
  const { jobs, lookUp, storeEnded, log, monotonicMs } = deps
  const underWay = new Set<JobInFlight>()

  async function recheck(job: JobInFlight): Promise<void> {
    const open = (): Waiter[] => job.waiters.filter((waiter) => !waiter.answered())
    const lookAll = (): Promise<unknown> => Promise.all(open().map((waiter) => lookUp(job, waiter)))
    await lookAll()
    if (open().length === 0) return
    if (await deps.isInRedis(job.lineName, job.jobId)) return found(job)
    // The job was completed and removed between the two looks, or is lost.
    await lookAll()
    if (open().length === 0) return
    if (job.state !== 'lost') {
      log.warn(
        { jobId: job.jobId },
        'Redis lost a job that clients wait for: it is added again under the same id',
      )
      job.state = 'lost'
    }
    if (await deps.addAgain(job)) found(job)
  }

  function found(job: JobInFlight): void {
    if (job.state === 'lost') storeEnded(job, { kind: 'stored' })
  }

  /** A job whose first add is under way is left to it. */
  function isDue(job: JobInFlight): boolean {
    if (underWay.has(job)) return false
    if (job.state === 'lost') return true
    return job.state === 'stored' && monotonicMs() - job.checkedAtMs >= RECHECK_MS
  }

  return () => {
    let budget = JOBS_PER_TICK
    for (const job of jobs.values()) {
      if (budget === 0 || monotonicMs() - job.startedAtMs < RECHECK_MS) return
      if (!isDue(job)) continue
      budget -= 1
      job.checkedAtMs = monotonicMs()
      underWay.add(job)
      recheck(job)
        .catch((error: unknown) =>
          log.debug({ jobId: job.jobId, err: error }, 'a job could not be looked up'),
        )
        .finally(() => underWay.delete(job))
    }
  }
}
