import { type EveryOptions, every, type Log } from '@ticket-line/shared'
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
}

/** The loops of the sweeper. */
export interface Sweeper {
  /** Sweeps as soon as possible instead of at the next interval. */
  sweepNow(): void
  /**
   * Starts no further sweeps. It does not wait for one that is under way: that may wait for Redis,
   * and finds the lines closed.
   */
  stop(): void
}

/**
 * Finds lines with jobs that no worker serves, because a wake-up was lost and the monitor did not
 * see them. A sweep checks the registered lines. In a loop of its own, which takes longer, the
 * sweeper also walks through all keys of Redis and finds lines whose registration was lost. Both
 * loops begin at once.
 */
export function createSweeper(deps: SweeperDeps): Sweeper {
  const { lines, registry, log } = deps

  async function wakeAll(): Promise<void> {
    for (const lineName of await registry.allWithWork()) lines.wake(lineName)
  }

  async function sweep(): Promise<void> {
    await wakeAll()
    await registry.forgetEmpty(deps.forgetAfterMs)
  }

  async function walk(): Promise<void> {
    if ((await registry.walkKeys()) > 0) await wakeAll()
  }

  const options: EveryOptions = {
    immediately: true,
    onError: (err) => log.warn({ err }, 'the lines could not be swept'),
  }
  const sweeping = every(deps.intervalMs, sweep, options)
  const walking = every(deps.walkIntervalMs, walk, options)
  return {
    sweepNow: () => void sweeping.runNow(),
    stop() {
      void sweeping.stop()
      void walking.stop()
    },
  }
}
