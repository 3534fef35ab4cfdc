import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError, type Log, readDurability } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { Availability } from './queue/line-client.js'

/** How often a Redis that is away at the start is looked for. */
const LOOK_AGAIN_MS = 100

/**
 * Waits for Redis and looks whether it keeps what it is given.
 * @throws ConfigError in production, where it may evict: an accepted command could vanish
 */
export async function checkRedis(
  { redis, availability }: { redis: Redis; availability: Pick<Availability, 'redis'> },
  { production, log }: { production: boolean; log: Log },
): Promise<void> {
  while (!availability.redis()) await sleep(LOOK_AGAIN_MS)
  const durability = await readDurability(redis)
  if (durability === undefined) {
    log.warn('Redis does not tell its settings: make sure that it never evicts')
    return
  }
  if (durability.maxmemoryPolicy !== 'noeviction') {
    const message = `Redis may evict accepted commands: set maxmemory-policy noeviction (it is ${durability.maxmemoryPolicy})`
    if (production) throw new ConfigError(message)
    log.warn(message)
  }
  if (!durability.appendOnly) log.warn('Redis is not append-only: a restart of it loses accepted commands')
}
