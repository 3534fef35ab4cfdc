import { every, readFullness } from '@ticket-line/shared'
import type { Redis } from 'ioredis'

/**
 * The API refuses commands if Redis is at least this full (1 is its `maxmemory`). The rest is for
 * the workers, which must write in order to empty the lines.
 */
const FULL_AT = 0.9
/** Time between two checks, ms: too short for an API process to fill the last tenth of Redis. */
const CHECK_EVERY_MS = 1000

export interface CapacityDeps {
  /** The connections to all shards. Several may lead to one server. */
  servers: readonly Pick<Redis, 'info' | 'status'>[]
  /** Called when Redis becomes full, and when it has capacity again. */
  onChange: (hasCapacity: boolean) => void
}

export interface Capacity {
  /**
   * False if commands should be refused. True if Redis is unlimited, or does not say how much
   * memory it uses.
   */
  hasCapacity(): boolean
  stop(): void
}

/**
 * Checks how full Redis is. A Redis that has reached its `maxmemory` refuses what workers write to
 * fetch and to complete a job, just as it refuses an add. It would stay full until an operator
 * gives it more memory.
 */
export function watchCapacity({ servers, onChange }: CapacityDeps): Capacity {
  let hasCapacity = true
  const loop = every(
    CHECK_EVERY_MS,
    async () => {
      if (servers.some(({ status }) => status !== 'ready')) return
      const isBelowLimit = (await readFullness(servers)) < FULL_AT
      if (isBelowLimit !== hasCapacity) onChange(isBelowLimit)
      hasCapacity = isBelowLimit
    },
    // If a check fails, the last known state stays. `availability.ts` detects whether Redis answers
    // at all.
    { onError: () => undefined },
  )
  return { hasCapacity: () => hasCapacity, stop: () => void loop.stop() }
}
