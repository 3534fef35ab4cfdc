import { createAcceptedJobStore, type Pool, whileAlone } from '@ticket-line/db'
import { every, type LineLayout, type Log } from '@ticket-line/shared'
import type { InstallationWatch } from '../installation/watch.js'
import type { LineRedis } from '../line-redis.js'
import type { Readiness } from './readiness.js'
import { type RecoveryDeps, watchReadiness } from './recovery.js'
import { createRecoveryRedis } from './recovery-redis.js'

export interface JoinRecoveryOptions {
  /** The connections on which the process uses lines. If one breaks, the process becomes unsure. */
  redis: LineRedis
  pool: Pool
  layout: LineLayout
  /** Shows the other parts of the process whether Redis has everything. */
  readiness: Readiness
  /** Whether Redis belongs to the installation. Nothing is recovered while that is uncertain. */
  installation: Pick<InstallationWatch, 'isSure' | 'checkNow'>
  /** Called with the number of jobs that were added again. */
  onRescued: RecoveryDeps['onRescued']
  log: Log
}

/** How often a process compares the generation that it knows with that of PostgreSQL, ms. */
const COMPARE_EVERY_MS = 250

/**
 * Makes a process take part in recoveries. It checks whether Redis has all jobs that were accepted,
 * and adds what Redis has lost unless another process does. It reconnects if the other processes
 * use another Redis.
 */
export function joinRecovery(options: JoinRecoveryOptions): { stop(): void } {
  const { redis, pool, layout, readiness, installation, onRescued, log } = options
  // A recovery waits until the installation owns Redis again, so that is checked at once.
  readiness.onChange((isReady) => {
    if (!isReady) installation.checkNow()
  })
  const { readRecordedGeneration } = createAcceptedJobStore(pool)
  const watch = watchReadiness({
    redis: createRecoveryRedis(redis, layout),
    readiness,
    isOurs: installation.isSure,
    readRecordedGeneration,
    alone: (run) => whileAlone(pool, run),
    onRescued,
    log,
  })

  /**
   * Reconnects if PostgreSQL has another generation than the one that this process knows: other
   * processes have recovered another Redis. This process may still be connected to a master that
   * was replaced while it was cut off from its replicas and Sentinels.
   */
  async function compareGenerations(): Promise<void> {
    const known = readiness.generation()
    if (known === undefined) return
    const recorded = await readRecordedGeneration()
    if (recorded === undefined || recorded === known || readiness.generation() !== known) return
    log.warn('other processes use another Redis: reconnecting')
    for (const connection of redis.connections) connection.redis.disconnect(true)
  }
  const comparing = every(COMPARE_EVERY_MS, compareGenerations, {
    onError: (err) => log.debug({ err }, 'could not read the generation of the last recovery'),
  })
  return {
    stop() {
      watch.stop()
      void comparing.stop()
    },
  }
}
