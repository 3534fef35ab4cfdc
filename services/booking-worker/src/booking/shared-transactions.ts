import { AsyncLocalStorage } from 'node:async_hooks'
import { type AppliedBatch, type ApplyDeps, applyOnce, type Batch } from './apply-batch.js'
import { applyJob, batchOf, isOldJob, type JobToApply } from './apply-job.js'
import { applyPlainBookings } from './fast-path.js'

/** A job with more commands is worth a transaction of its own, and would keep the small ones waiting. */
const MAX_COMMANDS_OF_A_JOB = 16
/** Commands of one transaction for several jobs: it takes about as long as one for a single command does. */
const MAX_COMMANDS_TOGETHER = 64
/** Such transactions at the same time; while they run, what arrives goes together in the next. */
const RUNS_AT_ONCE = 2

interface Pending {
  job: JobToApply
  resolve: (applied: Promise<AppliedBatch>) => void
  /** Runs something as part of the job's own trace. */
  inTrace: <T>(run: () => T) => T
}

/**
 * Applies jobs, small ones of several lines in one transaction: with a thousand lines each job is of a single command, and
 * what a transaction costs is the same for one and for twenty. Each line still has one job at work, so their events
 * differ.
 *
 * It is only tried: where one of the jobs makes the transaction fail, or the row of its event is locked, each is applied
 * by itself, with everything that `applyJob` does about faults and for as long as it takes. That is not counted as a
 * run: two events that somebody has locked would keep all others waiting.
 */
export function createApply(deps: ApplyDeps): (job: JobToApply) => Promise<AppliedBatch> {
  const pending: Pending[] = []
  let scheduled = false
  let running = 0

  function schedule(): void {
    if (scheduled || running >= RUNS_AT_ONCE || pending.length === 0) return
    scheduled = true
    // What was fetched in the same moment is taken in first.
    setImmediate(() => {
      scheduled = false
      const together = take()
      running += 1
      void run(together).finally(() => {
        running -= 1
        schedule()
      })
      schedule()
    })
  }

  /** The first that wait, as many as one transaction takes. */
  function take(): Pending[] {
    let count = 0
    const end = pending.findIndex(({ job }) => {
      count += job.payload.commands.length
      return count > MAX_COMMANDS_TOGETHER
    })
    return pending.splice(0, end < 0 ? pending.length : end)
  }

  /** Plain bookings by the short way, what else there is in one transaction. */
  async function attempt(batches: Batch[]): Promise<AppliedBatch[]> {
    const short = await applyPlainBookings(deps.pool, batches)
    const others = batches.filter((_, i) => short[i] === undefined)
    const applied = others.length === 0 ? [] : await applyOnce(deps.pool, others, 'fail')
    return short.map((done) => done ?? (applied.shift() as AppliedBatch))
  }

  /** Tries jobs in one transaction; the promise resolves when it is over, whatever has to be done after it. */
  async function run(together: Pending[]): Promise<void> {
    const shared = attempt(together.map(({ job }) => batchOf(job)))
    shared.catch((error: unknown) => deps.onRetry(error, 1))
    for (const [i, { job, inTrace, resolve }] of together.entries()) {
      const part = (): Promise<AppliedBatch> => shared.then((applied) => applied[i] as AppliedBatch)
      const traced = inTrace(() => deps.traced?.(part) ?? part())
      resolve(traced.catch(() => inTrace(() => applyJob(deps, job))))
    }
    await shared.catch(() => undefined)
  }

  return (job) => {
    const isLarge = job.payload.commands.length > MAX_COMMANDS_OF_A_JOB
    if (isLarge || job.startedBefore || isOldJob(deps, job)) return applyJob(deps, job)
    return new Promise((resolve) => {
      pending.push({ job, resolve, inTrace: AsyncLocalStorage.snapshot() })
      schedule()
    })
  }
}
