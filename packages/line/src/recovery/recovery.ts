import { randomUUID } from 'node:crypto'
import type { AcceptedJobStore } from '@ticket-line/db'
import { every, type Log } from '@ticket-line/shared'
import type { Readiness } from './readiness.js'
import type { RecoveryRedis } from './recovery-redis.js'

export interface RecoveryDeps {
  redis: RecoveryRedis
  readiness: Readiness
  /** True if this installation owns the keys in Redis. */
  isOurs: () => boolean
  /**
   * Runs a function while no other process of the installation does. Does nothing if another one
   * runs it now.
   *
   * @throws whatever the function throws, or the driver's error
   */
  alone: (
    run: (store: Pick<AcceptedJobStore, 'readUndecided'>) => Promise<void>,
  ) => Promise<unknown>
  /** Called with the number of jobs that were added again. */
  onRescued: (jobs: number) => void
  log: Log
}

/** How often the generation is checked, ms. */
const CHECK_EVERY_MS = 2000
/** The same while Redis may lack accepted jobs, ms. */
const CHECK_AGAIN_MS = 250
/** Recorded jobs that are read at a time. */
const JOBS_PER_PAGE = 500

/**
 * Checks whether Redis has everything that was accepted, and adds what it has lost. See
 * `readiness.ts`.
 *
 * A recovery looks for each recorded job that is not decided, in order of acceptance. It adds those
 * that Redis does not have under the same id, and lists those again that no list contains. In each
 * line it puts the recorded jobs before all others: what clients were told is accepted is decided
 * before what arrived since. If a process dies in the middle, the next one starts again, and finds
 * part of the jobs in their places.
 *
 * If Redis loses its data during a recovery, the token of the recovery is gone, or the run id is
 * another one. The shard then gets no valid generation, and the next check starts another recovery.
 */
export function watchReadiness(deps: RecoveryDeps): { stop(): void } {
  const { redis, readiness } = deps
  const onError = (err: unknown): void =>
    deps.log.debug({ err }, 'could not check whether Redis has lost jobs')

  async function check(): Promise<void> {
    if (!redis.isConnected() || !deps.isOurs()) return
    const { runId, generation } = await redis.readGeneration()
    if (isOf(runId, generation)) return readiness.become(generation)
    readiness.lose()
    await recover(deps)
  }

  const checking = every(CHECK_EVERY_MS, check, { immediately: true, onError })
  const checkingAgain = every(
    CHECK_AGAIN_MS,
    () => (readiness.generation() === undefined ? checking.runNow() : undefined),
    { onError },
  )
  redis.onDisconnected(() => readiness.lose())
  return {
    stop() {
      void checking.stop()
      void checkingAgain.stop()
    },
  }
}

/** True if a recovery has written this generation since the server was started. */
export function isOf(runId: string, generation: string | undefined): generation is string {
  return generation?.startsWith(`${runId}:`) === true
}

async function recover({ redis, readiness, alone, onRescued, log }: RecoveryDeps): Promise<void> {
  await alone(async (store) => {
    // Another process may have recovered while this one waited for its connection.
    const { runId, generation: present } = await redis.readGeneration()
    if (isOf(runId, present)) return
    const token = randomUUID()
    await redis.begin(token)
    const added = await addAllLost(redis, store)
    onRescued(added)
    const generation = `${runId}:${token}`
    const isComplete = await redis.end(token, generation)
    if (!isComplete || (await redis.readGeneration()).runId !== runId) return
    readiness.become(generation)
    log.info({ added }, 'Redis has everything that was accepted')
  })
}

/** @returns how many jobs Redis did not have */
async function addAllLost(
  redis: RecoveryRedis,
  store: Pick<AcceptedJobStore, 'readUndecided'>,
): Promise<number> {
  /** The recorded jobs of each line, in order of acceptance. */
  const recorded = new Map<string, string[]>()
  let added = 0
  let after: number | undefined = 0
  while (after !== undefined) {
    const page = await store.readUndecided(after, JOBS_PER_PAGE)
    const { missing } = await redis.find(page.jobs)
    await redis.add(missing)
    added += missing.length
    for (const { lineName, jobId } of page.jobs) {
      const ofLine = recorded.get(lineName)
      if (ofLine === undefined) recorded.set(lineName, [jobId])
      else ofLine.push(jobId)
    }
    after = page.next
  }
  await redis.putFirst(recorded)
  return added
}
