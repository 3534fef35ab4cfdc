import { createAcceptedJobStore, linesToKeep, type Pool, pruneAll } from '@ticket-line/db'
import type { LineRegistry } from '@ticket-line/line'
import { type Clock, every, type Log, type Loop } from '@ticket-line/shared'

export interface PrunerDeps {
  pool: Pool
  registry: LineRegistry
  retentionHours: number
  changesRetentionDays: number
  intervalMs: number
  /**
   * Called with the time, ms since 1970, after each run that has removed everything that it may
   * remove.
   */
  onPruned: (atMs: number) => void
  log: Log
  clock: Clock
}

/** Changes are pruned this rarely, because that reads one row of each event, ms. */
const CHANGES_INTERVAL_MS = 3_600_000

/**
 * Removes outcomes, idempotency keys, refresh tokens and changes that are no longer needed, at
 * intervals. Any number of processes may do so at the same time. When stopped, a pruner finishes
 * its current step.
 */
export function createPruner(deps: PrunerDeps): Loop {
  const { log, clock } = deps
  const acceptedJobs = createAcceptedJobStore(deps.pool)
  let changesAtMs = clock.steadyMs()

  async function prune(signal: AbortSignal): Promise<void> {
    const withChanges = clock.steadyMs() >= changesAtMs
    const removed = await pruneAll({
      pool: deps.pool,
      retentionHours: deps.retentionHours,
      changesRetentionDays: withChanges ? deps.changesRetentionDays : undefined,
      ...(await linesToKeep([deps.registry, acceptedJobs], deps.retentionHours, clock.wallMs())),
      signal,
    })
    if (withChanges) changesAtMs = clock.steadyMs() + CHANGES_INTERVAL_MS
    if (!signal.aborted) deps.onPruned(clock.wallMs())
    if (Object.values(removed).some((count) => count > 0)) log.info(removed, 'pruned old rows')
  }

  return every(deps.intervalMs, prune, {
    onError: (err) => log.warn({ err }, 'could not prune old rows'),
  })
}
