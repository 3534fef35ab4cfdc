import { linesToKeep, type Pool, pruneAll } from '@ticket-line/db'
import type { LineRegistry } from '@ticket-line/line'
import { type Clock, every, type Log, type Loop } from '@ticket-line/shared'

export interface PrunerDeps {
  pool: Pool
  registry: LineRegistry
  retentionHours: number
  intervalMs: number
  /**
   * Called with the time, ms since 1970, after each run that has removed everything that it may
   * remove.
   */
  onPruned: (atMs: number) => void
  log: Log
  clock: Clock
}

/**
 * Removes outcomes, idempotency keys and refresh tokens that are no longer needed, at intervals.
 * Any number of processes may do so at the same time. When stopped, a pruner finishes its current
 * step.
 */
export function createPruner(deps: PrunerDeps): Loop {
  const { log } = deps

  async function prune(signal: AbortSignal): Promise<void> {
    const removed = await pruneAll({
      pool: deps.pool,
      retentionHours: deps.retentionHours,
      ...(await linesToKeep(deps.registry, deps.retentionHours, deps.clock.wallMs())),
      signal,
    })
    if (!signal.aborted) deps.onPruned(deps.clock.wallMs())
    if (Object.values(removed).some((count) => count > 0)) log.info(removed, 'pruned old rows')
  }

  return every(deps.intervalMs, prune, {
    onError: (err) => log.warn({ err }, 'could not prune old rows'),
  })
}
