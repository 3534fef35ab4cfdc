import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import pg from 'pg'
import { createEmptyDatabase } from '../../stack/databases.ts'
import { type ServiceProcess, startScript } from '../../stack/processes.ts'
import type { BenchSystem, Deployment, SystemName, Tables } from './system.ts'

export interface PeerOptions {
  name: SystemName
  title: string
  /** Folder under peers/ that contains main.ts and schema.sql. */
  folder: string
  tables: Tables
  /** Defaults. No other values that were tried are clearly faster (docs/benchmarks/results.md). */
  processes: number
  poolSize: number
}

/** A peer. Like the product's services it runs in production mode without request logs. */
export function createPeer(options: PeerOptions): BenchSystem {
  const { name, title, folder, tables } = options
  const file = (path: string) =>
    fileURLToPath(new URL(`../peers/${folder}/${path}`, import.meta.url))
  return {
    name,
    title,
    async deploy({
      servers,
      processes = options.processes,
      poolSize = options.poolSize,
    }): Promise<Deployment> {
      const database = await createEmptyDatabase(servers.postgres.url)
      const keyPrefix = `bench-${randomBytes(6).toString('hex')}`
      const jwtSecret = randomBytes(32).toString('hex')
      const started: ServiceProcess[] = []
      async function stop(): Promise<void> {
        await Promise.all(started.map((process) => process.stop()))
        await Promise.all([database.drop(), deleteKeys(servers.redis.url, keyPrefix)])
      }
      try {
        await runSql(database.url, readFileSync(file('schema.sql'), 'utf8'))
        for (let i = 0; i < processes; i++) {
          const process = await startScript(name, file('main.ts'), {
            NODE_ENV: 'production',
            DATABASE_URL: database.url,
            REDIS_URL: servers.redis.url,
            KEY_PREFIX: keyPrefix,
            JWT_SECRET: jwtSecret,
            RATE_LIMIT: '1000000',
            RATE_WINDOW_MS: '900000',
            POOL_SIZE: String(poolSize),
          })
          started.push(process)
          await process.waitForLog(({ msg }) => msg === 'ready')
        }
      } catch (error) {
        await stop()
        throw error
      }
      return {
        targets: started.map(({ url }) => ({ host: '127.0.0.1', port: Number(new URL(url).port) })),
        processes: started.map(({ pid }) => ({ role: 'api', pid })),
        databaseUrl: database.url,
        jwtSecret,
        tables,
        stop,
      }
    },
  }
}

async function runSql(databaseUrl: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/** Deletes all keys of a run. */
async function deleteKeys(redisUrl: string, keyPrefix: string): Promise<void> {
  const redis = new Redis(redisUrl)
  try {
    for await (const keys of redis.scanStream({ match: `${keyPrefix}*`, count: 5000 })) {
      if ((keys as string[]).length > 0) await redis.unlink(...(keys as string[]))
    }
  } finally {
    redis.disconnect()
  }
}
