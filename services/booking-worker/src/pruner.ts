import { linesToKeep, type Pool, pruneAll } from '@ticket-line/db'
import type { LineRegistry } from '@ticket-line/line'
import { every, type Log, type Loop } from '@ticket-line/shared'

export interface PrunerDeps {
  pool: Pool
  registry: LineRegistry
  retentionHours: number
  intervalMs: number
  /** Called after each run that has removed everything that it may remove. */
  onPruned: () => void
  log: Log
  /** Milliseconds since 1970. */
  now: () => number
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
      ...(await linesToKeep(deps.registry, deps.retentionHours, deps.now())),
      signal,
    })
    if (!signal.aborted) deps.onPruned()
    if (Object.values(removed).some((count) => count > 0)) log.info(removed, 'pruned old rows')
  }

  return every(deps.intervalMs, prune, {
    onError: (err) => log.warn({ err }, 'could not prune old rows'),
  })
}
