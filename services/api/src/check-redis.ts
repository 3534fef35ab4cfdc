import { setTimeout as sleep } from 'node:timers/promises'
import { checkRedisServer, type Log } from '@ticket-line/shared'
import type { Redis } from 'ioredis'

/** How often a Redis that is away at the start is looked for. */
const LOOK_AGAIN_MS = 100

/**
 * Waits for Redis and checks that it can carry the line and keeps what it is given.
 *
 * @throws ConfigError if it cannot, in one line for the operator
 */
export async function checkRedis(
  { redis }: { redis: Redis },
  settings: { production: boolean; log: Log },
): Promise<void> {
  // Not for writing to work: what is wrong with this Redis may be what is found here.
  while (redis.status !== 'ready') await sleep(LOOK_AGAIN_MS)
  await checkRedisServer(redis, settings)
}
