import type { Log } from '@ticket-line/shared'
import type { LineRegistry } from '../registry.js'
import type { Lines } from './scheduler.js'

export interface SweeperDeps {
  lines: Pick<Lines, 'wake'>
  registry: Pick<LineRegistry, 'allWithWork' | 'forgetEmpty' | 'walkKeys'>
  /** Pause between two sweeps. */
  intervalMs: number
  /** Pause between two walks through all keys, which take a while. */
  walkIntervalMs: number
  /** Lines that were empty for this long are tidied and forgotten. */
  forgetAfterMs: number
  log: Log
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
}

/**
 * Finds lines with jobs that no worker serves, because a wake-up was lost and the monitor did not
 * see them. It sweeps at once, then every `intervalMs`, and whenever asked. `stop` does not wait
 * for a sweep that is under way: that may wait for Redis, and then finds the lines closed.
 *
 * A sweep looks through the registered lines. The first sweep, and then one every `walkIntervalMs`,
 * also walks through all keys of Redis, which finds lines whose registration was lost.
 */
export function createSweeper(deps: SweeperDeps): { sweep: () => Promise<void>; stop: () => void } {
  const { lines, registry, log, monotonicMs } = deps
  let stopped = false
  let sweeping: Promise<void> | undefined
  let walking = false
  let walkedAtMs = Number.NEGATIVE_INFINITY

  async function wakeAll(): Promise<void> {
    for (const lineName of await registry.allWithWork()) lines.wake(lineName)
  }

  async function run(): Promise<void> {
    await wakeAll()
    // Sweeps go on meanwhile.
    if (!walking && monotonicMs() - walkedAtMs >= deps.walkIntervalMs) void walk()
    await registry.forgetEmpty(deps.forgetAfterMs)
  }

  async function walk(): Promise<void> {
    walking = true
    walkedAtMs = monotonicMs()
    try {
      if ((await registry.walkKeys()) > 0) await wakeAll()
    } catch (error) {
      onError(error)
    } finally {
      walking = false
    }
  }

  function sweep(): Promise<void> {
    sweeping ??= run()
      .catch(onError)
      .finally(() => {
        sweeping = undefined
      })
    return sweeping
  }

  function onError(error: unknown): void {
    if (!stopped) log.warn({ err: error }, 'the lines could not be swept')
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
