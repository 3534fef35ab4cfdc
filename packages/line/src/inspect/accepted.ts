import { createAcceptedJobStore, type Pool, type UndecidedPage } from '@ticket-line/db'
import { type LineLayout, readJobPayload } from '@ticket-line/shared'
import { isLineName, jobKey, lineBase, linePrefix, readyKey, shardPrefixes } from '../keys.js'
import type { LineRedis } from '../line-redis.js'
import { isOf, JOBS_PER_PAGE, ON_ITS_WAY_MS } from '../recovery/recovery.js'
import { createRecoveryRedis, HIDDEN } from '../recovery/recovery-redis.js'
import { createLineRegistry } from '../registry.js'

type UndecidedJob = UndecidedPage['jobs'][number]

/** An accepted job that is not decided, and that no worker will fetch. */
export interface LostJob extends UndecidedJob {
  /**
   * True if Redis has it as completed, although PostgreSQL has no outcome of all its commands:
   * PostgreSQL was restored from a time before the decision.
   */
  isCompleted: boolean
  /** True if its record is malformed, so that no process can add the job again. */
  isMalformed: boolean
}

/** Reads all jobs that clients were told are accepted and that are not decided, page by page. */
export async function* undecidedJobs(pool: Pool): AsyncGenerator<UndecidedJob[]> {
  const store = createAcceptedJobStore(pool)
  let after: number | undefined = 0
  while (after !== undefined) {
    const page: UndecidedPage = await store.readUndecided(after, JOBS_PER_PAGE)
    yield page.jobs
    after = page.next
  }
}

/**
 * Finds accepted jobs that are neither decided nor in their lines. Workers soon add those that
 * Redis does not have, unless their records are malformed.
 *
 * @param only looks for the job with this number alone
 */
export async function findLostAccepted(
  redis: LineRedis,
  pool: Pool,
  layout: LineLayout,
  only?: number,
): Promise<LostJob[]> {
  const store = createAcceptedJobStore(pool)
  const limit = only === undefined ? JOBS_PER_PAGE : 1
  const lost: LostJob[] = []
  let after: number | undefined = only === undefined ? 0 : only - 1
  while (after !== undefined) {
    const page: UndecidedPage = await store.readUndecided(after, limit, ON_ITS_WAY_MS)
    const missing = await findMissing(redis, page.jobs, layout)
    if (missing.length > 0) {
      // Workers may have decided some of them since the page was read.
      const { jobs } = await store.readUndecided(after, limit, ON_ITS_WAY_MS)
      const undecided = new Set(jobs.map(({ jobId }) => jobId))
      lost.push(...missing.filter(({ jobId }) => undecided.has(jobId)))
    }
    after = only === undefined ? page.next : undefined
  }
  return lost
}

/** Finds the jobs that Redis does not have, or has as completed. */
async function findMissing(
  redis: LineRedis,
  jobs: UndecidedJob[],
  layout: LineLayout,
): Promise<LostJob[]> {
  const states = await Promise.all(
    jobs.map(({ lineName, jobId }) =>
      redis
        .of(linePrefix(lineName, layout))
        .hmget(
          jobKey(lineBase(lineName, layout), jobId),
          ...['data', 'finishedOn', 'failedReason'],
        ),
    ),
  )
  return jobs.flatMap((job, index) => {
    const [data, finishedOn, failedReason] = states[index] ?? []
    const isCompleted = Boolean(finishedOn) && !failedReason
    const isMalformed = readJobPayload(job.payload) === 'malformed'
    return data && !isCompleted ? [] : [{ ...job, isCompleted, isMalformed }]
  })
}

/** Finds the lines of records that no process of this layout serves. */
export async function findUnknownAcceptedLines(pool: Pool, layout: LineLayout): Promise<string[]> {
  const lineNames = await createAcceptedJobStore(pool).linesWithJobsBefore(Number.POSITIVE_INFINITY)
  return lineNames.filter((lineName) => !isLineName(lineName, layout))
}

/**
 * Returns false if Redis may lack accepted jobs. Until a process has added them again, clients get
 * 503, and no worker decides anything.
 */
export async function hasAllAccepted(redis: LineRedis, layout: LineLayout): Promise<boolean> {
  const { identity, generation } = await createRecoveryRedis(redis, layout).readPresentGeneration()
  // The users of the services may not be allowed to read the identity.
  return isOf(HIDDEN, generation) || isOf(identity, generation)
}

/**
 * Prepares Redis for a PostgreSQL from an earlier time, in which jobs are accepted and undecided
 * that were decided since. Removes all finished jobs, and makes the next process start a recovery,
 * which adds the others again in order of acceptance.
 */
export async function requireRecovery(redis: LineRedis, layout: LineLayout): Promise<void> {
  const registry = createLineRegistry(redis, layout)
  await registry.registerByKeys()
  await registry.removeFinished()
  await Promise.all(shardPrefixes(layout).map((prefix) => redis.of(prefix).del(readyKey(prefix))))
}
