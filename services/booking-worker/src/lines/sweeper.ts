import type { LineRegistry, Log } from '@ticket-line/shared'
import type { Lines } from './lines.js'

export interface SweeperDeps {
  lines: Lines
  registry: LineRegistry
  /** Pause between two sweeps. */
  intervalMs: number
  /** Lines that were empty for this long are forgotten. */
  forgetAfterMs: number
  log: Log
  now: () => number
}

/**
 * Finds what notes and watch missed: lines with jobs that nobody serves. Sweeps at once, then every `intervalMs`, and
 * whenever asked. A sweep under way when it is stopped is not waited for: it may wait for Redis, and finds lines closed.
 */
export function createSweeper(deps: SweeperDeps): { sweep: () => Promise<void>; stop: () => void } {
  const { lines, registry, log, now } = deps
  let stopped = false
  let sweeping: Promise<void> | undefined

  async function run(): Promise<void> {
    for (const lineName of await registry.allWithWork()) lines.wake(lineName)
    await registry.forgetEmpty(now() - deps.forgetAfterMs)
  }

  function sweep(): Promise<void> {
    sweeping ??= run()
      .catch((error: unknown) => {
        if (!stopped) log.warn({ err: error }, 'the lines could not be swept')
      })
      .finally(() => {
        sweeping = undefined
      })
    return sweeping
  }

  void sweep()
  const timer = setInterval(() => void sweep(), deps.intervalMs)
  return {
    sweep,
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}
