import { setTimeout as sleep } from 'node:timers/promises'
import { checkDurability, type Log } from '@ticket-line/shared'
import type { Redis } from 'ioredis'

/** How often a Redis that is away at the start is looked for. */
const LOOK_AGAIN_MS = 100

/**
 * Waits for Redis and looks whether it keeps what it is given.
 * @throws ConfigError in production, where it may evict: an accepted command could vanish
 */
export async function checkRedis(
  { redis }: { redis: Redis },
  settings: { production: boolean; log: Log },
): Promise<void> {
  // Not for writing to work: what is wrong with this Redis may be what is found here.
  while (redis.status !== 'ready') await sleep(LOOK_AGAIN_MS)
  await checkDurability(redis, settings)
}
