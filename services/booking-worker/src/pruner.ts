import { linesToKeep, type Pool, pruneAll } from '@ticket-line/db'
import type { LineRegistry } from '@ticket-line/line'
import type { Log } from '@ticket-line/shared'

export interface PrunerDeps {
  pool: Pool
  registry: LineRegistry
  retentionHours: number
  intervalMs: number
  /** Told each time that nothing old was left. */
  onPruned: () => void
  log: Log
  now: () => number
}

/**
 * Removes old outcomes, keys and tokens time and again. Any number of processes may do so at once. A step under way when it is
 * stopped is the last, and not waited for: it may be cut, or still wait for Redis.
 */
export function createPruner(deps: PrunerDeps): { stop: () => void } {
  const { log } = deps
  let stopped = false
  let running = false

  async function run(): Promise<void> {
    const pruned = await pruneAll({
      pool: deps.pool,
      retentionHours: deps.retentionHours,
      ...(await linesToKeep(deps.registry, deps.retentionHours, deps.now())),
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      stopped: () => stopped,
    })
    if (!stopped) deps.onPruned()
    if (Object.values(pruned).some((count) => count > 0)) log.info(pruned, 'old rows were pruned')
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
