import { commandCountOf, plural, readJobPayload } from '@ticket-line/shared'
import { createDepthCounter } from '../depth.js'
import { createRecoveryRedis } from '../recovery/recovery-redis.js'
import { createLineRegistry } from '../registry.js'
import { findLostAccepted } from './accepted.js'
import { type Finding, fullyDecided, type InspectDeps } from './findings.js'

/**
 * Repairs what can be repaired about a finding. This is safe to repeat, and safe if the problem no
 * longer exists: a decided command is never decided again, whatever its line contains.
 *
 * @returns what was done, for the operator; undefined if nothing was
 */
export async function repair(deps: InspectDeps, finding: Finding): Promise<string | undefined> {
  const { lineName, jobId } = finding
  switch (finding.kind) {
    case 'not_moving':
      await announce(deps, lineName)
      return 'workers were woken up'
    case 'no_global_concurrency':
      await deps.queues.queueOf(lineName).setGlobalConcurrency(1)
      return 'global concurrency was set to 1'
    case 'stale_count':
      return (await createDepthCounter(deps.redis, deps.layout).forget(lineName))
        ? 'the count was deleted'
        : undefined
    case 'decided_not_completed':
      return removeDecided(deps, lineName, jobId as string)
    case 'failed_undecided':
      return retryFailed(deps, lineName, jobId as string)
    case 'lost_from_lists':
      return addUnlisted(deps, lineName, jobId as string)
    case 'accepted_lost':
      return addLost(deps, finding.acceptedNo as number)
    case 'paused':
    case 'newer_job':
    case 'unreadable_job':
    case 'unreadable_record':
    case 'set_aside':
    case 'no_worker':
      return undefined
  }
}

/** Adds a job that Redis has lost at the end of its line. */
async function addLost(deps: InspectDeps, acceptedNo: number): Promise<string | undefined> {
  const { redis, pool, layout, queues } = deps
  const [lost] = await findLostAccepted(redis, pool, layout, acceptedNo)
  if (lost === undefined || lost.isMalformed) return undefined
  if (lost.isCompleted) await queues.queueOf(lost.lineName).remove(lost.jobId)
  const recovery = createRecoveryRedis(redis, layout)
  const { missing } = await recovery.find([lost])
  if (missing.length === 0) return undefined
  await recovery.add(missing)
  await announce(deps, lost.lineName)
  return 'it was added again at the end of its line'
}

function announce({ redis, layout }: InspectDeps, lineName: string): Promise<void> {
  return createLineRegistry(redis, layout).announce(lineName)
}

/**
 * Removes a decided job from its line. Clients that wait for it get its outcomes from PostgreSQL. A
 * job that a worker has just fetched stays, and that worker finds the outcomes too.
 */
async function removeDecided(
  deps: InspectDeps,
  lineName: string,
  jobId: string,
): Promise<string | undefined> {
  if ((await fullyDecided(deps.pool, [jobId])).length === 0) return undefined
  const queue = deps.queues.queueOf(lineName)
  const job = await queue.getJob(jobId)
  if (job === undefined || (await job.isCompleted())) return undefined
  // If a worker has the lock, this returns 0. `job.remove()` would throw, and the remaining
  // findings would not be repaired.
  if ((await queue.remove(jobId)) === 0) return undefined
  return 'it was removed from the line, because its outcomes are stored'
}

async function retryFailed(
  deps: InspectDeps,
  lineName: string,
  jobId: string,
): Promise<string | undefined> {
  const job = await deps.queues.queueOf(lineName).getJob(jobId)
  if (job === undefined || !(await job.isFailed())) return undefined
  await job.retry()
  await announce(deps, lineName)
  return 'it was put back at the end of its line'
}

async function addUnlisted(
  deps: InspectDeps,
  lineName: string,
  jobId: string,
): Promise<string | undefined> {
  const queue = deps.queues.queueOf(lineName)
  const job = await queue.getJob(jobId)
  if (job === undefined || (await queue.getJobState(jobId)) !== 'unknown') return undefined
  const isDecided = (await fullyDecided(deps.pool, [jobId])).length > 0
  if (!isDecided && typeof readJobPayload(job.data) === 'string') return undefined
  // Shows the data first, because between the removal and the add this process has the only copy.
  deps.progress(`${jobId}: ${JSON.stringify(job.data)}`)
  await job.remove()
  if (isDecided) return 'its data was removed, because its outcomes are stored'
  await queue.add(job.name, job.data, { jobId, attempts: 1 })
  await announce(deps, lineName)
  return `its ${plural(commandCountOf(jobId), 'command')} went to the end of the line`
}
