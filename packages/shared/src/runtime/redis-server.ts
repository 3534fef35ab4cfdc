import type { Redis } from 'ioredis'
import { sleep } from './deadline.js'
import { ConfigError } from './env.js'
import type { Log } from './log.js'
import { createPatientRedis } from './redis.js'
import { isOlder } from './version.js'

/**
 * What a Redis reports about itself. A member is undefined if the user may not read it, or a
 * managed service hides it.
 */
export interface RedisServer {
  version: string | undefined
  /** `standalone`, `cluster` or `sentinel`. */
  mode: string | undefined
  /** The id that it got when it started. */
  runId: string | undefined
  /** With anything but `noeviction`, Redis may drop part of a line. */
  maxmemoryPolicy: string | undefined
}

type Asked = Pick<Redis, 'info' | 'config' | 'call'>

/** Pause before a Redis that did not reply is asked again, ms. */
const ASK_AGAIN_MS = 100

/** The oldest version that has all commands that BullMQ and the scripts of this product use. */
const OLDEST = [6, 2] as const

/**
 * Reads what matters for the lines. `INFO` comes first, because it contains most of it in all
 * versions. `CONFIG` is often forbidden, and before Redis 7 it reads only one setting at a time.
 */
export async function readRedisServer(redis: Asked): Promise<RedisServer> {
  const info = parseRedisInfo((await answerOf(() => redis.info())) ?? '')
  const setting = async (name: string): Promise<string | undefined> =>
    ((await answerOf(() => redis.config('GET', name))) as string[] | undefined)?.[1]
  // A user who may not run INFO may still run HELLO, which all clients need.
  const hello = info.size > 0 ? new Map<string, string>() : await readHello(redis)
  const isCluster = info.get('cluster_enabled') === '1'
  return {
    version: info.get('redis_version') ?? hello.get('version'),
    mode: isCluster ? 'cluster' : (info.get('redis_mode') ?? hello.get('mode')),
    runId: info.get('run_id'),
    maxmemoryPolicy: info.get('maxmemory_policy') ?? (await setting('maxmemory-policy')),
  }
}

async function readHello(redis: Asked): Promise<Map<string, string>> {
  const reply = ((await answerOf(() => redis.call('HELLO'))) ?? []) as unknown[]
  const fields = new Map<string, string>()
  for (let i = 0; i + 1 < reply.length; i += 2) fields.set(String(reply[i]), String(reply[i + 1]))
  return fields
}

/** @returns the reply, or undefined if Redis refuses the command; retries until Redis replies */
async function answerOf<T>(ask: () => Promise<T>): Promise<T | undefined> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if ((error as Error).name === 'ReplyError') return undefined
      await sleep(ASK_AGAIN_MS)
    }
  }
}

/**
 * Checks that a Redis supports the lines. It need not keep its data over a restart: PostgreSQL has
 * what was accepted.
 *
 * @throws ConfigError if the kind or version of Redis is not supported; in production also if Redis
 * may evict keys
 */
export async function checkRedisServer(
  redis: Asked,
  { production, log }: { production: boolean; log: Pick<Log, 'warn'> },
): Promise<void> {
  const { version, mode, runId, maxmemoryPolicy } = await readRedisServer(redis)
  if (mode === 'cluster') {
    throw new ConfigError(
      'REDIS_URL leads to a node of a Redis Cluster, which is not supported: use a Redis that is not part of one',
    )
  }
  if (mode === 'sentinel') {
    throw new ConfigError(
      'REDIS_URL leads to a Redis Sentinel: it must lead to the master that it watches',
    )
  }
  if (version !== undefined && isOlder(version, OLDEST)) {
    throw new ConfigError(
      `Redis ${version} is too old: ${OLDEST.join('.')} or newer is needed, or Valkey`,
    )
  }
  if (runId === undefined)
    log.warn('Redis hides its run id: give its user +info, or some of its losses are noticed late')
  if (maxmemoryPolicy === undefined) {
    log.warn('Redis hides its settings: make sure that it never evicts keys')
  } else if (maxmemoryPolicy !== 'noeviction') {
    const message = `Redis may evict parts of lines: set maxmemory-policy noeviction (it is ${maxmemoryPolicy})`
    if (production) throw new ConfigError(message)
    log.warn(message)
  }
}

/**
 * Waits for a Redis and checks it with `checkRedisServer`. It opens a connection of its own, which
 * only reads. Other connections are dropped while a server refuses their writes, and the check must
 * end even then.
 *
 * @throws ConfigError as `checkRedisServer`
 */
export async function checkRedisAt(
  url: string,
  settings: { production: boolean; log: Pick<Log, 'warn'> },
): Promise<void> {
  const redis = createPatientRedis(url)
  // Other connections log the same errors.
  redis.on('error', () => undefined)
  try {
    await checkRedisServer(redis, settings)
  } finally {
    redis.disconnect()
  }
}

/** Parses the reply of `INFO` into values by field. */
export function parseRedisInfo(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => /^\w+:/.test(line))
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  )
}

/**
 * Reads how full Redis is, as a share of its `maxmemory`. The share is 0 if Redis has no
 * `maxmemory`, or hides it.
 */
export async function readFullness(redis: Pick<Redis, 'info'>): Promise<number> {
  const info = parseRedisInfo(await redis.info('memory'))
  const max = Number(info.get('maxmemory') ?? 0)
  return max === 0 ? 0 : Number(info.get('used_memory') ?? 0) / max
}
