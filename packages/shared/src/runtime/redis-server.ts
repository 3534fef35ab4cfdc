import type { Redis } from 'ioredis'
import { sleep } from './deadline.js'
import { ConfigError } from './env.js'
import type { Log } from './log.js'
import { createPatientRedis, type RedisTarget } from './redis.js'
import { topologyOf } from './redis-cluster.js'
import type { ClusterSettings, RedisSettings } from './redis-settings.js'
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
  /** True if the server refuses writes while it lacks replicas (`min-replicas-to-write`). */
  needsReplicas: boolean
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
    // INFO has this field only if `min-replicas-to-write` is set.
    needsReplicas: info.has('min_slaves_good_slaves'),
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

export interface RedisChecks {
  production: boolean
  log: Pick<Log, 'warn'>
  /** The kind of Redis that the settings name; `single` by default. */
  kind?: RedisSettings['kind']
}

/**
 * Checks that a Redis supports the lines. It need not keep its data over a restart: PostgreSQL has
 * what was accepted.
 *
 * @throws ConfigError if Redis is of another kind, or too old; in production also if it may evict
 * keys
 */
export async function checkRedisServer(
  redis: Asked,
  { production, log, kind = 'single' }: RedisChecks,
): Promise<void> {
  const { version, mode, runId, maxmemoryPolicy, needsReplicas } = await readRedisServer(redis)
  if (mode === 'cluster' && kind !== 'cluster') {
    throw new ConfigError(
      'Redis is a node of a Redis Cluster: set REDIS_CLUSTER to some of its nodes instead',
    )
  }
  if (mode === 'sentinel') {
    throw new ConfigError(
      'REDIS_URL leads to a Redis Sentinel: set REDIS_SENTINELS to the Sentinels instead',
    )
  }
  if (version !== undefined && isOlder(version, OLDEST)) {
    throw new ConfigError(
      `Redis ${version} is too old: ${OLDEST.join('.')} or newer is needed, or Valkey`,
    )
  }
  if (runId === undefined)
    log.warn('Redis hides its run id: give its user +info, or some of its losses are noticed late')
  if (kind === 'sentinel' && runId !== undefined && !needsReplicas) {
    log.warn(
      'a master that Sentinels replace continues to accept writes: with two replicas or more, set min-replicas-to-write 1',
    )
  }
  if (maxmemoryPolicy === undefined) {
    log.warn('Redis hides its settings: make sure that it never evicts keys')
  } else if (maxmemoryPolicy !== 'noeviction') {
    const message = `Redis may evict parts of lines: set maxmemory-policy noeviction (it is ${maxmemoryPolicy})`
    if (production) throw new ConfigError(message)
    log.warn(message)
  }
}

/**
 * Waits for the servers at some targets and checks each with `checkRedisServer`. It opens its own
 * connections, which only read: connections that write are dropped while a server refuses their
 * writes, and the check must end even then.
 *
 * @throws ConfigError as `checkRedisServer`, and if Redis is not the cluster that the settings name
 */
export async function checkRedisAt(
  targets: readonly RedisTarget[],
  { production, log }: { production: boolean; log: Pick<Log, 'warn'> },
): Promise<void> {
  // The targets of an installation all have the same settings.
  const settings = targets[0]?.settings
  if (settings?.kind === 'cluster') await untilClusterAnswers(settings)
  // Several servers of a cluster may give the same warning, which is logged once.
  const warnings = new Set<string>()
  const gather = { warn: (message: string) => void warnings.add(message) } as Pick<Log, 'warn'>
  const connections = targets.map((target) => ({ target, redis: createPatientRedis(target) }))
  // Other connections log the same errors.
  for (const { redis } of connections) redis.on('error', () => undefined)
  try {
    await Promise.all(
      connections.map(({ target, redis }) =>
        checkRedisServer(redis, { production, log: gather, kind: target.settings.kind }),
      ),
    )
  } finally {
    for (const { redis } of connections) redis.disconnect()
  }
  for (const warning of warnings) log.warn(warning)
}

/**
 * Waits until a node says which nodes have which slots.
 *
 * @throws ConfigError if Redis is no cluster, or its user may not run `CLUSTER SLOTS`
 */
async function untilClusterAnswers(settings: ClusterSettings): Promise<void> {
  for (;;) {
    try {
      await topologyOf(settings).masters()
      return
    } catch (error) {
      const { message } = error as Error
      if (/cluster support disabled/.test(message))
        throw new ConfigError('REDIS_CLUSTER leads to a Redis that is not part of a cluster')
      if (/NOPERM /.test(message))
        throw new ConfigError(`Redis refuses what this service needs: ${message}`)
      await sleep(ASK_AGAIN_MS)
    }
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
 * How full a server is, by its reply to `INFO`: its used memory as a share of its `maxmemory`. A
 * server that has no `maxmemory`, or hides it, counts as 0.
 */
export function fullnessOf(info: ReadonlyMap<string, string>): number {
  const max = Number(info.get('maxmemory') ?? 0)
  return max === 0 ? 0 : Number(info.get('used_memory') ?? 0) / max
}

/** Reads how full the fullest of some servers is (`fullnessOf`). */
export async function readFullness(servers: readonly Pick<Redis, 'info'>[]): Promise<number> {
  const infos = await Promise.all(servers.map((redis) => redis.info('memory')))
  return Math.max(0, ...infos.map((info) => fullnessOf(parseRedisInfo(info))))
}
