import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startPostgres } from '../../tools/dev-stack/postgres.mjs'
import { startRedis } from '../../tools/dev-stack/redis.mjs'
import { givenServer, type Server } from '../../tools/dev-stack/servers.mjs'
import type { Env } from './processes.ts'
import { startRedisCluster } from './redis/cluster.ts'
import {
  chosenRedis,
  isReplicated,
  type RedisKind,
  type ReplicatedRedis,
} from './redis/deployment.ts'
import { startWatchedRedis } from './redis/sentinel.ts'

export type { Server }

export interface Servers {
  postgres: Server
  /** If Redis has several servers, this is one of them. `stop` then stops all of them. */
  redis: Server
  /** The settings with which a service finds Redis. */
  redisEnv: Env
  /** The addresses of all servers of Redis that have data. */
  redisUrls: string[]
  /** Says where the two come from. */
  chosen: string
  /** Stops both and deletes their data. */
  stop(): Promise<void>
}

type Choice = 'docker' | 'local' | 'embedded'

/**
 * Starts the servers for the tests. For each of the two it uses the first that is available: the
 * one named by URL, a container (testcontainers), binaries on PATH, private binaries.
 * `TEST_SERVERS=docker|local|embedded` forces one of these ways. `TEST_REDIS` chooses a Redis
 * Cluster, Sentinels or Valkey.
 *
 * @throws if the forced way, or every way, is unavailable
 */
export async function startServers(env: NodeJS.ProcessEnv = process.env): Promise<Servers> {
  const forced = readChoice(env['TEST_SERVERS'])
  const kind = chosenRedis(env)
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-'))
  try {
    const [postgres, chosenServer] = await bothOrNone(
      choosePostgres(folder, forced, env),
      isReplicated(kind)
        ? startReplicatedRedis(kind, path.join(folder, 'redis')).then(ofReplicatedRedis)
        : chooseRedis(folder, forced, kind, env).then(ofOneRedis),
    )
    const { redis } = chosenServer
    return {
      postgres,
      ...chosenServer,
      chosen: `${postgres.source}, ${redis.source}`,
      async stop() {
        await Promise.all([postgres.stop(), redis.stop()])
        rmSync(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

function readChoice(value: string | undefined): Choice | undefined {
  if (value === undefined || value === '') return undefined
  if (value === 'docker' || value === 'local' || value === 'embedded') return value
  throw new Error(`TEST_SERVERS must be docker, local or embedded, not "${value}"`)
}

/** Waits for both servers. If one fails, the other is stopped. */
async function bothOrNone(
  postgres: Promise<Server>,
  redis: Promise<RedisServers>,
): Promise<[Server, RedisServers]> {
  const [first, second] = await Promise.allSettled([postgres, redis])
  if (first.status === 'fulfilled' && second.status === 'fulfilled')
    return [first.value, second.value]
  if (first.status === 'fulfilled') await first.value.stop()
  if (second.status === 'fulfilled') await second.value.redis.stop()
  throw first.status === 'rejected' ? first.reason : (second as PromiseRejectedResult).reason
}

async function choosePostgres(
  folder: string,
  forced: Choice | undefined,
  env: NodeJS.ProcessEnv,
): Promise<Server> {
  const variable = env['DATABASE_URL'] ? 'DATABASE_URL' : 'PG_URL'
  const url = env[variable]
  if (url && forced === undefined)
    return givenServer({ name: 'PostgreSQL', variable, url, defaultPort: 5432 })
  const own = (from: 'any' | 'path' | 'embedded') =>
    startPostgres({ folder: path.join(folder, 'postgres'), from })
  if (forced === 'local') return own('path')
  if (forced === 'embedded') return own('embedded')
  return fromDocker('postgres', forced, () => own('any'))
}

type RedisServers = Pick<Servers, 'redis' | 'redisEnv' | 'redisUrls'>

const ofOneRedis = (redis: Server): RedisServers => ({
  redis,
  redisEnv: { REDIS_URL: redis.url },
  redisUrls: [redis.url],
})

/** With 4 shards, each of the three masters of a cluster has a shard, and one of them has two. */
export function shardsFor(kind: RedisKind): Env {
  return kind === 'cluster' ? { SHARDS: '4' } : {}
}

/**
 * Starts a cluster, or a Redis that Sentinels watch.
 *
 * @param folder gets a folder for each server
 * @param settings lines of redis.conf for all servers
 */
export function startReplicatedRedis(
  kind: ReplicatedRedis['kind'],
  folder: string,
  settings: string[] = [],
): Promise<ReplicatedRedis> {
  const start = { cluster: startRedisCluster, sentinel: startWatchedRedis }[kind]
  return start({ folder, settings })
}

function ofReplicatedRedis({ kind, nodes, source, env, stop }: ReplicatedRedis): RedisServers {
  const redisUrls = nodes.map(({ url }) => url)
  const refuse = async (): Promise<void> => {
    throw new Error(`${source} cannot be killed or restarted as a whole`)
  }
  return {
    redis: {
      url: redisUrls[0] as string,
      source,
      ours: true,
      ended: () => new Promise(() => {}),
      stop,
      kill: refuse,
      restart: refuse,
      pause: refuse,
      resume: refuse,
    },
    redisEnv: { ...env, ...shardsFor(kind) },
    redisUrls,
  }
}

async function chooseRedis(
  folder: string,
  forced: Choice | undefined,
  kind: RedisKind,
  env: NodeJS.ProcessEnv,
): Promise<Server> {
  if (kind === 'valkey')
    return startRedis({ folder: path.join(folder, 'redis'), product: 'valkey' })
  const url = env['REDIS_URL']
  if (url && forced === undefined) {
    return givenServer({ name: 'Redis', variable: 'REDIS_URL', url, defaultPort: 6379 })
  }
  const own = (from: 'any' | 'path' | 'private') =>
    startRedis({ folder: path.join(folder, 'redis'), from })
  if (forced === 'local') return own('path')
  if (forced === 'embedded') return own('private')
  return fromDocker('redis', forced, () => own('any'))
}

/**
 * Starts a container. Without a Docker engine, this fails within milliseconds, and `otherwise`
 * starts the server. testcontainers is imported only here, because loading it takes most of a
 * second.
 */
async function fromDocker(
  kind: 'postgres' | 'redis',
  forced: Choice | undefined,
  otherwise: () => Promise<Server>,
): Promise<Server> {
  const containers = await import('./containers.ts')
  try {
    return await (kind === 'postgres'
      ? containers.startPostgresContainer()
      : containers.startRedisContainer())
  } catch (error) {
    if (forced === 'docker') throw error
    return otherwise()
  }
}
