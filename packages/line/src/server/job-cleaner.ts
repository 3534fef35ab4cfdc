import { type Clock, every, type Log, type Loop, readFullness } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { LineRegistry } from '../registry.js'

/**
 * Workers remove finished jobs if Redis is at least this full (1 is its `maxmemory`). APIs refuse
 * commands from 0.9 on.
 */
const CLEAN_AT = 0.7
const CHECK_EVERY_MS = 1000
/**
 * Minimum time between two removals, ms. If a removal does not help, Redis is full of undecided
 * commands, which workers must decide first.
 */
const CLEAN_EVERY_MS = 5000

export interface JobCleanerDeps {
  /** The connections to all shards. Several may lead to one server. */
  servers: readonly Pick<Redis, 'info'>[]
  registry: Pick<LineRegistry, 'removeFinished'>
  log: Pick<Log, 'info' | 'warn'>
  clock: Clock
}

/**
 * Removes the finished jobs of all lines while Redis fills up. Only the dashboard shows them. While
 * Redis has enough memory, the finished jobs of a line stay until the line is forgotten.
 */
export function createJobCleaner({ servers, registry, log, clock }: JobCleanerDeps): Loop {
  let cleanedAtMs = Number.NEGATIVE_INFINITY

  async function clean(): Promise<void> {
    if (clock.steadyMs() - cleanedAtMs < CLEAN_EVERY_MS) return
    const fullness = await readFullness(servers)
    if (fullness < CLEAN_AT) return
    cleanedAtMs = clock.steadyMs()
    const jobs = await registry.removeFinished()
    if (jobs > 0) log.info({ jobs, fullness }, 'removed finished jobs because Redis fills up')
  }

  return every(CHECK_EVERY_MS, clean, {
    onError: (err) => log.warn({ err }, 'could not remove finished jobs'),
  })
}
