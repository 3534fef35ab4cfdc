import { mayHaveMore, type Pool, pruneStep } from '@ticket-line/db'
import type { LineRegistry, Log } from '@ticket-line/shared'

export interface PrunerDeps {
  pool: Pool
  registry: LineRegistry
  retentionHours: number
  intervalMs: number
  log: Log
  now: () => number
}

/** Pause between two full steps, so that service goes on beside them. */
const STEP_PAUSE_MS = 50

/**
 * Removes old outcomes, keys and tokens in small steps. Any number of processes may do so at once. A step under way when it
 * is stopped is the last, and not waited for: it may be cut, or still wait for Redis.
 */
export function createPruner(deps: PrunerDeps): { stop: () => void } {
  const { log } = deps
  let stopped = false
  let running = false

  async function run(): Promise<void> {
    const cutMs = deps.now() - deps.retentionHours * 3_600_000
    const keptLines = await deps.registry.linesWithJobsBefore(cutMs)
    for (let full = true; full && !stopped; ) {
      const pruned = await pruneStep(deps.pool, deps.retentionHours, keptLines)
      full = mayHaveMore(pruned)
      if (pruned.commands + pruned.idempotencyKeys + pruned.refreshTokens > 0)
        log.info(pruned, 'old rows were pruned')
      if (full) await new Promise((resolve) => setTimeout(resolve, STEP_PAUSE_MS))
    }
  }

  const timer = setInterval(() => {
    if (running) return
    running = true
    run()
      .catch((error: unknown) => {
        if (!stopped) log.warn({ err: error }, 'old rows could not be pruned')
      })
      .finally(() => {
        running = false
      })
  }, deps.intervalMs)
  return {
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}
