import { withRedis } from '../../stack/redis/connection.ts'

/** A reason for which a running Redis answers writes with an error, while reads still work. */
export type RefusalKind = 'readonly' | 'noreplicas' | 'oom'

export const REFUSALS: readonly RefusalKind[] = ['readonly', 'noreplicas', 'oom']

/** Nothing listens at this address. A replica of it keeps its data and is read-only. */
const NO_MASTER: [string, number] = ['127.0.0.1', 1]

/**
 * Makes a Redis refuse writes. Connections stay open, as after a planned failover.
 *
 * @returns a function that ends the refusal; it does nothing if Redis was restarted since
 */
export async function refuseWrites(
  redisUrl: string,
  kind: RefusalKind,
): Promise<() => Promise<void>> {
  await withRedis(redisUrl, async (redis) => {
    if (kind === 'readonly') await redis.replicaof(...NO_MASTER)
    if (kind === 'noreplicas') await redis.config('SET', 'min-replicas-to-write', 1)
    // Less than an empty Redis uses. With `noeviction`, it then refuses commands that may allocate.
    if (kind === 'oom') await redis.config('SET', 'maxmemory', 1024)
  })
  return () =>
    withRedis(redisUrl, async (redis) => {
      if (kind === 'readonly') await redis.replicaof('NO', 'ONE')
      if (kind === 'noreplicas') await redis.config('SET', 'min-replicas-to-write', 0)
      if (kind === 'oom') await redis.config('SET', 'maxmemory', 0)
    })
}
