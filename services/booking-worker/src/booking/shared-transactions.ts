import { AsyncLocalStorage } from 'node:async_hooks'
import { isSettle, type JobToDecide } from '@ticket-line/line/server'
import { createBatcher } from '@ticket-line/shared'
import { applyOnce } from './apply-batch.js'
import { applyJob, batchOf, isOldJob } from './apply-job.js'
import type { AppliedBatch, ApplyDeps, Batch } from './batch.js'
import { applyFastPath } from './fast-path.js'

/**
 * Jobs with more commands than this get a transaction of their own, because they would delay the
 * small ones.
 */
const MAX_COMMANDS_OF_A_JOB = 16
/**
 * Maximum number of commands in a shared transaction. Such a transaction takes about as long as one
 * with a single command.
 */
const MAX_COMMANDS_SHARED = 64
/**
 * Maximum number of shared transactions at once. Jobs that arrive while one runs share the next
 * one. Two at once would have fewer jobs each, and all of them would cost more.
 */
const RUNS_AT_ONCE = 1

interface GatheredJob {
  job: JobToDecide
  /** Runs a function in the job's own trace. */
  inTrace: <T>(run: () => T) => T
}

/**
 * Applies jobs; small jobs of several lines share a transaction.
 *
 * With a thousand busy lines, each job carries a single command, and a transaction costs about the
 * same for one command as for twenty. A small job passes through these states:
 *
 * - `gathered`: the batcher holds it until a run starts. The run takes the jobs that came first, up
 *   to `MAX_COMMANDS_SHARED` commands.
 * - `shared`: it is part of a run. First, the fast path decides the jobs that only book free
 *   tickets. Then one transaction decides the other jobs, without waiting for locked events.
 * - `alone`: the run failed, because of this job or of another one in it. `applyJob` then applies
 *   each of its jobs in a transaction of its own, for as long as it takes. Commands that the fast
 *   path has booked get their stored outcomes.
 *
 * A job that has many commands, settles, was started before or is old is never gathered; it is
 * `alone` at once.
 *
 * Each line has at most one active job, so the jobs of a run are of different lines. They have no
 * event in common and no order among themselves.
 *
 * `RUNS_AT_ONCE` limits the runs, not the jobs that are `alone`. Otherwise a locked event would
 * delay all other lines. A stopping worker fetches no more jobs, so no job stays `gathered`.
 */
export function createApply(deps: ApplyDeps): (job: JobToDecide) => Promise<AppliedBatch> {
  async function applyShared(batches: Batch[]): Promise<AppliedBatch[]> {
    const booked = await applyFastPath(deps.store, batches)
    const others = batches.filter((_, i) => booked[i] === undefined)
    const applied = others.length === 0 ? [] : await applyOnce(deps.store, others, 'fail')
    return booked.map((done) => done ?? (applied.shift() as AppliedBatch))
  }

  /**
   * Runs a shared transaction. Resolves when the transaction has ended, with a promise for each
   * job. The promises of jobs that are then `alone` are still pending.
   */
  async function run(jobs: GatheredJob[]): Promise<Promise<AppliedBatch>[]> {
    const shared = applyShared(jobs.map(({ job }) => batchOf(job)))
    shared.catch((error: unknown) => deps.onRetry(error, 1))
    const results = jobs.map(({ job, inTrace }, i) => {
      const part = (): Promise<AppliedBatch> => shared.then((applied) => applied[i] as AppliedBatch)
      const traced = inTrace(() => deps.traced?.(part) ?? part())
      return traced.catch(() => inTrace(() => applyJob(deps, job)))
    })
    await shared.catch(() => undefined)
    return results
  }

  const share = createBatcher({
    run,
    // A run starts after all jobs that arrived from Redis together are gathered.
    schedule: (start) => void setImmediate(start),
    maxSize: MAX_COMMANDS_SHARED,
    sizeOf: ({ job }: GatheredJob) => job.payload.commands.length,
    maxRunning: RUNS_AT_ONCE,
  })

  return (job) => {
    const isLarge = job.payload.commands.length > MAX_COMMANDS_OF_A_JOB
    if (isLarge || isSettle(job.payload) || job.startedBefore || isOldJob(deps, job))
      return applyJob(deps, job)
    return share({ job, inTrace: AsyncLocalStorage.snapshot() })
  }
}
