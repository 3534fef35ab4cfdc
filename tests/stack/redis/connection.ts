import { Redis } from 'ioredis'

/**
 * Runs a function with a connection to one server. Its commands fail at once if the server is away.
 *
 * @param commandTimeoutMs after this time without a reply, a command fails; default: never
 */
export async function withRedis<T>(
  url: string,
  work: (redis: Redis) => Promise<T>,
  commandTimeoutMs?: number,
): Promise<T> {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    ...(commandTimeoutMs !== undefined && { commandTimeout: commandTimeoutMs }),
  })
  redis.on('error', () => undefined)
  try {
    return await work(redis)
  } finally {
    redis.disconnect()
  }
}
