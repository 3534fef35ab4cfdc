import { assertWritable, createInstallationStore, type Pool, whenReachable } from '@ticket-line/db'
import {
  type Basics,
  type Closers,
  checkRedisAt,
  createPatientRedis,
  every,
  type LineLayout,
  type Log,
  probe,
} from '@ticket-line/shared'
import {
  createShardProbe,
  type LineRedis,
  nameOfConnection,
  openLineRedis,
  redisTargets,
} from '../line-redis.js'
import { createInstallationWatch } from './watch.js'

/**
 * How often the process checks that Redis accepts writes, ms. Otherwise a process that has nothing
 * to do would not notice a failover.
 */
const PROBE_INTERVAL_MS = 1000
/** How long `/readyz` waits for the reply of a server, ms. */
const PROBE_TIMEOUT_MS = 1000

export interface MemberDeps {
  service: 'worker' | 'notifier'
  config: Pick<Basics, 'redis' | 'production'> & { layout: LineLayout }
  /** Connections that do not wait for the work of the process. */
  pool: Pool
  log: Log
  /** Gets what is opened here. */
  closers: Closers
  /** Called with the reason when the process must not continue. */
  onRefused: (message: string) => void
}

/** A process without an API that belongs to an installation. */
export interface Member {
  /** Connections that wait for replies, however long that takes. */
  redis: LineRedis
  /** True if this installation owns the keys in Redis. */
  isSure(): boolean
  /** Called when Redis may have lost its data. Checks at once whether it still has its owner. */
  checkNow(): void
  /** Returns the names of the servers that the process cannot use now. */
  findUnreachable(): Promise<string[]>
}

/**
 * Connects a process to Redis, and waits until checks have shown that Redis can be used, and that
 * Redis and PostgreSQL belong together. PostgreSQL must have been reached before.
 *
 * @throws ConfigError with a message for the operator
 */
export async function joinInstallation(deps: MemberDeps): Promise<Member> {
  const { service, config, pool, log, closers, onRefused } = deps
  const { production, layout } = config
  const redis = openLineRedis(config.redis, layout, (target) =>
    createPatientRedis(target, {
      connectionName: nameOfConnection(service, layout, target),
    }).on('error', (error) => log.warn({ err: error }, 'Redis connection error')),
  )
  closers.push('redis', () => redis.disconnect())
  const askShards = createShardProbe(redis)
  // If Redis refuses the write, the connection reconnects (`reconnection` in `packages/shared`).
  const probing = every(PROBE_INTERVAL_MS, askShards, { onError: () => undefined })
  closers.push('redis probe', () => void probing.stop())
  await checkRedisAt(redisTargets(config.redis, layout), { production, log })

  const store = createInstallationStore(pool)
  const installation = createInstallationWatch({
    ...{ store, layout, service, log, onRefused },
    redis: redis.first,
  })
  closers.push('installation', () => installation.leave())
  await whenReachable(
    () => installation.join(),
    (error) => log.warn({ err: error }, 'waiting for PostgreSQL'),
  )
  return {
    redis,
    isSure: installation.isSure,
    checkNow: installation.checkNow,
    async findUnreachable() {
      const [redis, postgres] = await Promise.all([
        probe(askShards, PROBE_TIMEOUT_MS),
        probe(() => assertWritable(pool), PROBE_TIMEOUT_MS),
      ])
      return [
        ...(redis.kind === 'works' && installation.isSure() ? [] : ['redis']),
        ...(postgres.kind === 'works' ? [] : ['postgres']),
      ]
    },
  }
}
