import { createAcceptedJobStore, type Pool, whileAlone } from '@ticket-line/db'
import type { LineLayout, Log } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { InstallationWatch } from '../installation/watch.js'
import type { Readiness } from './readiness.js'
import { type RecoveryDeps, watchReadiness } from './recovery.js'
import { createRecoveryRedis } from './recovery-redis.js'

export interface JoinRecoveryOptions {
  /** The connection on which the process uses lines. If it breaks, the process becomes unsure. */
  redis: Redis
  pool: Pool
  layout: LineLayout
  /** What the other parts of the process learn from. */
  readiness: Readiness
  /** Whether Redis belongs to the installation. Nothing is recovered while that is uncertain. */
  installation: Pick<InstallationWatch, 'isSure' | 'checkNow'>
  /** Called with the number of jobs that were added again. */
  onRescued: RecoveryDeps['onRescued']
  log: Log
}

/**
 * Makes a process take part in recoveries: it checks whether Redis has everything that was
 * accepted, and adds what Redis has lost unless another process does.
 */
export function joinRecovery(options: JoinRecoveryOptions): { stop(): void } {
  const { redis, pool, layout, readiness, installation, onRescued, log } = options
  // A recovery begins only after Redis has its owner again.
  readiness.onChange((isReady) => {
    if (!isReady) installation.checkNow()
  })
  return watchReadiness({
    redis: createRecoveryRedis(redis, layout),
    readiness,
    isOurs: installation.isSure,
    readRecordedGeneration: createAcceptedJobStore(pool).readRecordedGeneration,
    alone: (run) => whileAlone(pool, run),
    onRescued,
    log,
  })
}
