import { createAcceptedJobStore, type Pool, type UndecidedPage } from '@ticket-line/db'
import type { LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { jobKey, lineBase } from '../keys.js'

type UndecidedJob = UndecidedPage['jobs'][number]

/** Jobs that are read at a time. */
const JOBS_PER_PAGE = 500
/** A job that was recorded less than this ago may still be on its way to Redis, ms. */
const ON_ITS_WAY_MS = 5000

/** Reads all jobs that clients were told are accepted and that are not decided, page by page. */
export async function* undecidedJobs(pool: Pool, minAgeMs = 0): AsyncGenerator<UndecidedJob[]> {
  const store = createAcceptedJobStore(pool)
  let after: number | undefined = 0
  while (after !== undefined) {
    const page: UndecidedPage = await store.readUndecided(after, JOBS_PER_PAGE, minAgeMs)
    yield page.jobs
    after = page.next
  }
}

/** Finds accepted jobs that are neither decided nor in Redis. Workers add them again soon. */
export async function findLostAccepted(
  redis: Redis,
  pool: Pool,
  layout: LineLayout,
): Promise<UndecidedJob[]> {
  const lost: UndecidedJob[] = []
  for await (const jobs of undecidedJobs(pool, ON_ITS_WAY_MS)) {
    const exist = await Promise.all(
      jobs.map(({ lineName, jobId }) => redis.exists(jobKey(lineBase(lineName, layout), jobId))),
    )
    lost.push(...jobs.filter((_, index) => exist[index] === 0))
  }
  return lost
}
