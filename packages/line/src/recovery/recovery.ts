import { randomUUID } from 'node:crypto'
import type { AcceptedJobStore } from '@ticket-line/db'
import { chunksOf, every, type Log } from '@ticket-line/shared'
import type { JobToStore } from '../queues.js'
import type { Readiness } from './readiness.js'
import { createRecordCheck } from './record-check.js'
import { HIDDEN, type RecoveryRedis } from './recovery-redis.js'

export interface RecoveryDeps {
  redis: RecoveryRedis
  readiness: Readiness
  /** True if this installation owns the keys in Redis. */
  isOurs: () => boolean
  /** Reads from PostgreSQL which generation the last recovery gave to Redis. */
  readRecordedGeneration: AcceptedJobStore['readRecordedGeneration']
  /**
   * Runs a function while no other process of the installation does. Does nothing if another one
   * runs it now.
   *
   * @throws whatever the function throws, or the driver's error
   */
  alone: (run: (store: RecoveryStore) => Promise<void>) => Promise<unknown>
  /** Called with the number of jobs that were added again. */
  onRescued: (jobs: number) => void
  log: Log
}

/** What a recovery reads and writes in PostgreSQL. */
export type RecoveryStore = Pick<
  AcceptedJobStore,
  'readUndecided' | 'readRecordedGeneration' | 'recordGeneration'
>

/** How often the generation is checked, ms. */
const CHECK_EVERY_MS = 2000
/** The same while the process is unsure, ms. */
const CHECK_AGAIN_MS = 250
/** Recorded jobs that are read at a time. */
export const JOBS_PER_PAGE = 500
/** A job that was recorded less than this ago may still be on its way to Redis, ms. */
export const ON_ITS_WAY_MS = 5000
/** Maximum number of lines whose order is changed at a time. */
const LINES_AT_ONCE = 50

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
 * If Redis loses its data during a recovery, the token of the recovery is gone, or the identity is
 * another one. The shard then gets no valid generation, and the next check starts another recovery.
 *
 * PostgreSQL has no generation during a recovery, and gets the new one last. If the address leads
 * back to a master from before a failover, the generation of its data is another one.
 */
export function watchReadiness(deps: RecoveryDeps): { stop(): void } {
  const { redis, readiness } = deps
  const isWellFormed = createRecordCheck(deps.log)
  const onError = (err: unknown): void =>
    deps.log.debug({ err }, 'could not check whether Redis has lost jobs')

  let disconnections = 0

  async function check(): Promise<void> {
    if (!redis.isConnected() || !deps.isOurs()) return
    const disconnectionsBefore = disconnections
    const { identity, generation } = await redis.readPresentGeneration()
    if (isOf(identity, generation)) {
      if (generation === readiness.generation()) return
      const isLatest = generation === (await deps.readRecordedGeneration())
      // After a disconnection, the address may lead to another server.
      if (disconnections !== disconnectionsBefore) return
      if (isLatest) return readiness.becomeReady(generation)
    }
    readiness.becomeUnsure()
    await recover(deps, isWellFormed)
  }

  const checking = every(CHECK_EVERY_MS, check, { immediately: true, onError })
  const checkingAgain = every(
    CHECK_AGAIN_MS,
    () => (readiness.isReady() ? undefined : checking.runNow()),
    { onError },
  )
  redis.onDisconnected(() => {
    disconnections += 1
    readiness.becomeUnsure()
  })
  return {
    stop() {
      void checking.stop()
      void checkingAgain.stop()
    },
  }
}

/**
 * True if a recovery has given this generation to the server with this identity. A process that may
 * not read the identity cannot tell, and takes any generation.
 */
export function isOf(
  identity: string | undefined,
  generation: string | undefined,
): generation is string {
  if (generation === undefined) return false
  return identity === undefined || generation.startsWith(`${identity}:`)
}

async function recover(
  { redis, readiness, alone, onRescued, log }: RecoveryDeps,
  isWellFormed: (job: JobToStore) => boolean,
): Promise<void> {
  await alone(async (store) => {
    // Another process may have recovered while this one waited for its connection.
    const { identity, generation: present } = await redis.readPresentGeneration()
    if (isOf(identity, present) && present === (await store.readRecordedGeneration())) return
    const token = randomUUID()
    // If this process dies, a former master must not count as complete either.
    await store.recordGeneration(undefined)
    await redis.begin(token)
    const added = await addAllLost(redis, store, isWellFormed).catch((err: unknown) => {
      log.warn({ err }, 'could not add what Redis has lost; no command is served until that works')
      throw err
    })
    onRescued(added)
    const generation = `${identity ?? HIDDEN}:${token}`
    if (!(await redis.end(token, generation))) return
    await store.recordGeneration(generation)
    const now = await redis.readPresentGeneration()
    if (now.identity !== identity || now.generation !== generation) return
    readiness.becomeReady(generation)
    log.info({ added }, 'Redis has everything that was accepted')
  })
}

/** @returns how many jobs were added */
async function addAllLost(
  redis: RecoveryRedis,
  store: RecoveryStore,
  isWellFormed: (job: JobToStore) => boolean,
): Promise<number> {
  /** The recorded jobs of each line, in order of acceptance. */
  const recorded = new Map<string, string[]>()
  let added = 0
  let after: number | undefined = 0
  while (after !== undefined) {
    const page = await store.readUndecided(after, JOBS_PER_PAGE)
    const { missing } = await redis.find(page.jobs)
    const lost = missing.filter(isWellFormed)
    await redis.add(lost)
    added += lost.length
    for (const { lineName, jobId } of page.jobs) {
      const ofLine = recorded.get(lineName)
      if (ofLine === undefined) recorded.set(lineName, [jobId])
      else ofLine.push(jobId)
    }
    after = page.next
  }
  for (const lines of chunksOf([...recorded], LINES_AT_ONCE)) {
    await redis.putFirst(new Map(lines))
    // PostgreSQL would close a connection that is silent for long (`whileAlone`).
    await store.readRecordedGeneration()
  }
  return added
}
