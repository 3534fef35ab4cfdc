import { type EveryOptions, every, type Log } from '@ticket-line/shared'
import type { LineRegistry } from '../registry.js'
import type { Scheduler } from './scheduler.js'

export interface SweeperDeps {
  scheduler: Pick<Scheduler, 'wake'>
  registry: Pick<LineRegistry, 'allWithWork' | 'forgetEmpty' | 'registerByKeys'>
  /** Time between two sweeps, ms. */
  sweepEveryMs: number
  /** Time between two scans of all keys, which take a while, ms. */
  scanEveryMs: number
  /** A line that has been empty for this long is forgotten, ms. */
  forgetAfterMs: number
  log: Log
}

export interface Sweeper {
  /** Sweeps as soon as possible, without waiting for the interval. */
  sweepNow(): void
  /**
   * Starts no further sweep. It does not wait for a sweep that is under way, because that may be
   * waiting for Redis. Such a sweep then finds the scheduler closed.
   */
  stop(): void
}

/**
 * Finds lines that have jobs and that no worker serves, because a wake-up was lost and no monitor
 * checks the line. A sweep checks the registered lines. A second loop scans all keys of Redis,
 * which takes longer. It finds lines whose registration was lost. Both loops begin at once.
 */
export function createSweeper(deps: SweeperDeps): Sweeper {
  const { scheduler, registry, log } = deps

  async function wakeAll(): Promise<void> {
    for (const lineName of await registry.allWithWork()) scheduler.wake(lineName)
  }

  async function sweep(): Promise<void> {
    await wakeAll()
    await registry.forgetEmpty(deps.forgetAfterMs)
  }

  async function scan(): Promise<void> {
    if ((await registry.registerByKeys()) > 0) await wakeAll()
  }

  const options: EveryOptions = {
    immediately: true,
    onError: (err) => log.warn({ err }, 'could not sweep the lines'),
  }
  const sweeping = every(deps.sweepEveryMs, sweep, options)
  const scanning = every(deps.scanEveryMs, scan, options)
  return {
    sweepNow: () => void sweeping.runNow(),
    stop() {
      void sweeping.stop()
      void scanning.stop()
    },
  }
}
