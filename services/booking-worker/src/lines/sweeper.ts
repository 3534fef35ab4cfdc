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
 * Finds what the notes missed: lines with jobs that nobody here has open, and lines whose global concurrency is gone
 * (a Redis that was flushed or failed over). Sweeps at once, then every `intervalMs`, and whenever asked.
 */
export function createSweeper(deps: SweeperDeps): { sweep: () => Promise<void>; stop: () => Promise<void> } {
  const { lines, registry, log, now } = deps
  let sweeping: Promise<void> | undefined

  async function run(): Promise<void> {
    await Promise.all(lines.openLines().map((line) => line.assertGlobalConcurrency()))
    for (const lineName of await registry.allWithWork()) lines.want(lineName)
    await registry.forgetEmpty(now() - deps.forgetAfterMs)
  }

  function sweep(): Promise<void> {
    sweeping ??= run()
      .catch((error: unknown) => log.warn({ err: error }, 'the lines could not be swept'))
      .finally(() => {
        sweeping = undefined
      })
    return sweeping
  }

  void sweep()
  const timer = setInterval(() => void sweep(), deps.intervalMs)
  return {
    sweep,
    async stop() {
      clearInterval(timer)
      await sweeping
    },
  }
}
