import { commandCountOf, defineScript, readJobPayload } from '@ticket-line/shared'
import { depthKey, linePrefix } from '../keys.js'
import { type Finding, fullyDecided, type LookDeps } from './findings.js'
import { noteLine } from './note.js'

/** What was done about a finding, in words. */
export type Mended = string

// Only while the line is empty: a command may have entered since.
const FORGET_COUNT = `if redis.call('LLEN', KEYS[1]) == 0 and redis.call('LLEN', KEYS[2]) == 0 then
  return redis.call('DEL', KEYS[3])
end
return 0`

/**
 * Does what can be done about a finding. Every step is safe where the finding was over before it was mended, and where
 * it is done twice: what is decided is never decided again, whatever stands in the line.
 *
 * @returns what was done; undefined where nothing had to be
 */
export async function mend(deps: LookDeps, finding: Finding): Promise<Mended | undefined> {
  const { lineName, jobId } = finding
  switch (finding.kind) {
    case 'not_moving':
      await noteLine(deps.redis, lineName, deps.layout)
      return 'workers were told of it'
    case 'no_global_concurrency':
      await deps.queues.queueOf(lineName).setGlobalConcurrency(1)
      return 'global concurrency was set to 1'
    case 'stale_count':
      return mendCount(deps, lineName)
    case 'decided_not_completed':
      return mendDecided(deps, lineName, jobId as string)
    case 'failed_undecided':
      return mendFailed(deps, lineName, jobId as string)
    case 'lost_from_lists':
      return mendLost(deps, lineName, jobId as string)
    case 'paused':
    case 'newer_job':
    case 'unreadable_job':
    case 'set_aside':
    case 'no_worker':
      return undefined
  }
}

async function mendCount(
  { redis, layout }: LookDeps,
  lineName: string,
): Promise<Mended | undefined> {
  const prefix = linePrefix(lineName, layout)
  const base = `${prefix}:${lineName}:`
  const forget = defineScript(redis, 'ticketsForgetCount', 3, FORGET_COUNT)
  const done = await forget(`${base}wait`, `${base}active`, depthKey(prefix, lineName))
  return Number(done) > 0 ? 'the count was cleared' : undefined
}

/**
 * Takes the job out of the line; who waits for it finds the answers in PostgreSQL. A job that a worker has just taken
 * stays with it: that one finds the answers as well.
 */
async function mendDecided(
  deps: LookDeps,
  lineName: string,
  jobId: string,
): Promise<Mended | undefined> {
  if ((await fullyDecided(deps.pool, [jobId])).length === 0) return undefined
  const queue = deps.queues.queueOf(lineName)
  const job = await queue.getJob(jobId)
  if (job === undefined || (await job.isCompleted())) return undefined
  // `job.remove()` throws where a worker holds the lock, and the other findings would stay as they are.
  if ((await queue.remove(jobId)) === 0) return undefined
  return 'it was taken out of the line: its answers are stored'
}

async function mendFailed(
  deps: LookDeps,
  lineName: string,
  jobId: string,
): Promise<Mended | undefined> {
  const job = await deps.queues.queueOf(lineName).getJob(jobId)
  if (job === undefined || !(await job.isFailed())) return undefined
  await job.retry()
  await noteLine(deps.redis, lineName, deps.layout)
  return 'it was put back at the end of its line'
}

async function mendLost(
  deps: LookDeps,
  lineName: string,
  jobId: string,
): Promise<Mended | undefined> {
  const queue = deps.queues.queueOf(lineName)
  const job = await queue.getJob(jobId)
  if (job === undefined || (await queue.getJobState(jobId)) !== 'unknown') return undefined
  const decided = (await fullyDecided(deps.pool, [jobId])).length > 0
  const payload = readJobPayload(job.data)
  if (!decided && typeof payload === 'string') return undefined
  // Shown before it is gone: between the two steps this process holds the only copy.
  deps.progress(`${jobId}: ${JSON.stringify(job.data)}`)
  await job.remove()
  if (decided) return 'its left-over data was removed: its answers are stored'
  await queue.add(job.name, job.data, { jobId, attempts: 1 })
  await noteLine(deps.redis, lineName, deps.layout)
  return `its ${commandCountOf(jobId)} commands were put at the end of their line`
}
