import type { AcceptedJobStore } from '@ticket-line/db'
import { every, type Log } from '@ticket-line/shared'
import type { JobToStore } from '../queues.js'
import type { Readiness } from '../recovery/readiness.js'
import { createRecordCheck } from '../recovery/record-check.js'
import { ON_ITS_WAY_MS } from '../recovery/recovery.js'
import type { RecoveryRedis } from '../recovery/recovery-redis.js'

export interface AcceptedJobsDeps {
  store: Pick<AcceptedJobStore, 'readUndecided' | 'removeDecided'>
  redis: Pick<RecoveryRedis, 'find' | 'add' | 'wake'>
  readiness: Readiness
  /** Called with the number of jobs that were added again. */
  onRescued: (jobs: number) => void
  log: Log
}

/** Pause between two rounds, ms. */
const ROUND_EVERY_MS = 1000
/** Records that one statement reads. */
const RECORDS_PER_STEP = 1000
/** Maximum number of steps in which a round removes records. */
const STEPS_PER_ROUND = 20
/** Undecided jobs that a round looks for in Redis. */
const LOOKED_FOR_PER_ROUND = 500

/**
 * Removes the records of decided jobs, and adds single jobs again that Redis has lost although its
 * generation is the same. Each round continues where the last one ended, so it costs the same
 * however many undecided jobs there are. Several processes may do so at the same time.
 */
export function keepAcceptedJobs(deps: AcceptedJobsDeps): { stop(): void } {
  const { store, redis, readiness } = deps
  const isWellFormed = createRecordCheck(deps.log)
  let removedUpTo = 0
  let lookedUpTo = 0

  async function removeDecided(signal: AbortSignal): Promise<void> {
    for (let step = 0; step < STEPS_PER_ROUND && !signal.aborted; step++) {
      const { removed, next } = await store.removeDecided(removedUpTo, RECORDS_PER_STEP)
      removedUpTo = next ?? 0
      if (next === undefined || removed === 0) return
    }
  }

  async function addLost(): Promise<void> {
    // A recovery adds the jobs in their order.
    if (!readiness.isReady()) return
    const after = lookedUpTo
    const read = () => store.readUndecided(after, LOOKED_FOR_PER_ROUND, ON_ITS_WAY_MS)
    const { jobs, next } = await read()
    lookedUpTo = next ?? 0
    if (jobs.length === 0) return
    const { missing, relisted } = await redis.find(jobs)
    const undecided = missing.length === 0 ? [] : selectUndecided(missing, (await read()).jobs)
    const lost = undecided.filter(isWellFormed)
    if (lost.length > 0) await redis.add(lost)
    const putBack = [...lost, ...relisted]
    if (putBack.length === 0) return
    await redis.wake(new Set(putBack.map(({ lineName }) => lineName)))
    if (lost.length > 0) deps.onRescued(lost.length)
    const counts = { added: lost.length, relisted: relisted.length }
    deps.log.warn(counts, 'Redis had lost single jobs: put them back into their lines')
  }

  const keeping = every(
    ROUND_EVERY_MS,
    async (signal) => {
      await removeDecided(signal)
      await addLost()
    },
    { onError: (err) => deps.log.debug({ err }, 'could not look after accepted jobs') },
  )
  return { stop: () => void keeping.stop() }
}

/**
 * Selects the jobs that are still undecided. A worker may have decided a job after the page was
 * read. Redis then may have removed it before it was looked for.
 */
function selectUndecided(
  jobs: readonly JobToStore[],
  undecided: readonly { jobId: string }[],
): JobToStore[] {
  const ids = new Set(undecided.map(({ jobId }) => jobId))
  return jobs.filter(({ jobId }) => ids.has(jobId))
}
