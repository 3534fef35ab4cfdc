import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startPostgres } from '../../tools/dev-stack/postgres.mjs'
import { startRedis } from '../../tools/dev-stack/redis.mjs'
import { givenServer, type Server } from '../../tools/dev-stack/servers.mjs'

export type { Server }

export interface Servers {
  postgres: Server
  redis: Server
  /** Says where the two come from. */
  chosen: string
  /** Stops both and deletes their data. */
  stop(): Promise<void>
}

type Choice = 'docker' | 'local' | 'embedded'

/**
 * Starts the servers for the tests. For each of the two it uses the first that is available: the
 * one named by URL, a container (testcontainers), binaries on PATH, private binaries.
 * `TEST_SERVERS=docker|local|embedded` forces one kind.
 *
 * @throws if the forced kind, or every kind, is unavailable
 */
export async function startServers(env: NodeJS.ProcessEnv = process.env): Promise<Servers> {
  const forced = readChoice(env['TEST_SERVERS'])
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-'))
  try {
    const [postgres, redis] = await bothOrNone(
      choosePostgres(folder, forced, env),
      chooseRedis(folder, forced, env),
    )
    return {
      postgres,
      redis,
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
  redis: Promise<Server>,
): Promise<[Server, Server]> {
  const [first, second] = await Promise.allSettled([postgres, redis])
  if (first.status === 'fulfilled' && second.status === 'fulfilled')
    return [first.value, second.value]
  for (const result of [first, second]) if (result.status === 'fulfilled') await result.value.stop()
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

async function chooseRedis(
  folder: string,
  forced: Choice | undefined,
  env: NodeJS.ProcessEnv,
): Promise<Server> {
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
