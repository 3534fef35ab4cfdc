import type { Clock, Log } from '@ticket-line/shared'
import { type PendingCommand, type PendingJob, transitionJob, unanswered } from './pending.js'
import type { JobStore } from './store-job.js'

export interface RescueDeps {
  jobs: ReadonlyMap<string, PendingJob>
  jobStore: Pick<JobStore, 'addAgain' | 'ensureListed'>
  /** Answers the client of a command if its outcome is in PostgreSQL. */
  findOutcome: (job: PendingJob, command: PendingCommand) => Promise<void>
  /** Called when a job that was lost is in Redis again. */
  onStored: (job: PendingJob) => void
  log: Log
  clock: Clock
}

/**
 * A reply is overdue after this long, ms. The rescue then checks its job, and repeats the check at
 * this interval.
 */
const OVERDUE_MS = 1000
/** Maximum number of jobs that one round checks. */
const JOBS_PER_ROUND = 64

export interface Rescue {
  /** Starts one round, which checks jobs whose reply is overdue. Call it a few times a second. */
  checkOverdue(): void
  /**
   * Called when Redis has everything again that was accepted. The next rounds check all jobs of
   * this process, because Redis may have lost those that are not recorded.
   */
  checkAll(): void
  /**
   * Looks for a job in Redis, and adds it again if Redis does not have it. If it was decided in the
   * meantime, workers find its outcomes.
   *
   * @returns whether it is known to be in Redis now
   * @throws the error of Redis
   */
  restore(job: PendingJob): Promise<boolean>
}

/**
 * Checks the jobs whose reply is overdue. If the outcomes are in PostgreSQL, the reply was lost,
 * and the rescue answers the clients. If Redis has lost the job, the rescue adds it again under the
 * same id. It does so as often as needed while clients wait, because on a busy machine an add may
 * go unanswered for a long time. If the job is still in its line, the rescue leaves it there.
 */
export function createRescue(deps: RescueDeps): Rescue {
  const { jobs, jobStore, findOutcome, log, clock } = deps
  const inProgress = new Set<PendingJob>()
  /** Jobs that were last checked before this are due. */
  let recoveredAtMs = Number.NEGATIVE_INFINITY

  async function rescue(job: PendingJob): Promise<void> {
    await findOutcomes(job)
    if (unanswered(job).length === 0) return
    if (await jobStore.ensureListed(job.lineName, job.jobId)) return found(job)
    // Either the job was completed and removed between the two checks, or it is lost.
    await findOutcomes(job)
    if (unanswered(job).length > 0) await addAgain(job)
  }

  async function restore(job: PendingJob): Promise<boolean> {
    if (!(await jobStore.ensureListed(job.lineName, job.jobId))) return addAgain(job)
    found(job)
    return true
  }

  async function addAgain(job: PendingJob): Promise<boolean> {
    if (job.state !== 'lost') {
      log.warn({ jobId: job.jobId }, 'Redis lost a job: adding it again')
      transitionJob(job, 'lost')
    }
    const isAdded = await jobStore.addAgain(job)
    if (isAdded) found(job)
    return isAdded
  }

  function findOutcomes(job: PendingJob): Promise<unknown> {
    return Promise.all(unanswered(job).map((command) => findOutcome(job, command)))
  }

  function found(job: PendingJob): void {
    if (job.state === 'lost') deps.onStored(job)
  }

  function isDue(job: PendingJob, nowMs: number): boolean {
    if (inProgress.has(job)) return false
    switch (job.state) {
      case 'storing':
        return false
      case 'stored':
        return nowMs - job.checkedAtMs >= OVERDUE_MS || job.checkedAtMs < recoveredAtMs
      case 'lost':
        return true
    }
  }

  function checkOverdue(): void {
    let left = JOBS_PER_ROUND
    for (const job of jobs.values()) {
      const nowMs = clock.steadyMs()
      // Jobs are in the order in which they were made, so all further ones are younger.
      const isYoung = nowMs - job.madeAtMs < OVERDUE_MS && job.madeAtMs >= recoveredAtMs
      if (left === 0 || isYoung) return
      if (!isDue(job, nowMs)) continue
      left -= 1
      job.checkedAtMs = nowMs
      inProgress.add(job)
      rescue(job)
        .catch((err: unknown) => log.debug({ jobId: job.jobId, err }, 'could not check a job'))
        .finally(() => inProgress.delete(job))
    }
  }

  return {
    checkOverdue,
    checkAll() {
      recoveredAtMs = clock.steadyMs()
    },
    restore,
  }
}
