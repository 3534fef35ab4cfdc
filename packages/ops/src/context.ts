import { createDatabase, type Database, type Db, type Pool } from '@ticket-line/db'
import {
  type Closers,
  createPatientRedis,
  type Env,
  errorSummary,
  type LineLayout,
  readDatabaseSchema,
  readDatabaseUrl,
  readEnv,
  readLineLayout,
  readNodeEnv,
  readRedisUrl,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { Unreachable } from './failure.js'

/** What commands work with. Each server is connected to when it is first asked for. */
export interface Context {
  layout: LineLayout
  retentionHours: number
  /** `DATABASE_SCHEMA`, which holds the tables. */
  databaseSchema: string
  /** @throws ConfigError if it is not said where PostgreSQL is */
  pool(): Pool
  /** @throws as `pool` */
  db(): Db
  /** @throws ConfigError if it is not said where Redis is; rejects if it is out of reach */
  redis(): Promise<Redis>
  now(): number
  sleep(ms: number): Promise<void>
  /** Shows how far a long command is, to a person alone. */
  progress(line: string): void
}

/** How long a server may take to be reached: an operator waits for the answer. */
const CONNECT_TIMEOUT_MS = 5000

/** @throws ConfigError naming the variable that cannot be used */
export function createContext(environment: Env, closers: Closers, progress: Context['progress']): Context {
  const env = readEnv(environment)
  // A word that no process knows stops this one too.
  readNodeEnv(env)
  const databaseSchema = readDatabaseSchema(env)
  let database: Database | undefined
  let redis: Redis | undefined

  function openDatabase(): Database {
    const opened = createDatabase({
      url: readDatabaseUrl(env),
      schema: databaseSchema,
      poolSize: 2,
      applicationName: 'ticket-line ops',
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      // Each command that takes longer says so itself; this is the bound for those that do not.
      statementTimeoutMs: 3_600_000,
      idleInTransactionTimeoutMs: 10_000,
      onIdleError: () => undefined,
    })
    closers.push('postgres', () => opened.close())
    return opened
  }

  async function openRedis(): Promise<Redis> {
    const opened = createPatientRedis(readRedisUrl(env), { lazyConnect: true, commandTimeout: 60_000 })
    closers.push('redis', () => opened.disconnect())
    let lastError: unknown = 'Redis does not answer'
    opened.on('error', (error) => {
      lastError = error
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Unreachable(errorSummary(lastError))), CONNECT_TIMEOUT_MS)
    })
    await Promise.race([opened.ping(), late]).finally(() => clearTimeout(timer))
    return opened
  }

  return {
    layout: readLineLayout(env),
    databaseSchema,
    retentionHours: env.integer('OUTCOME_RETENTION_HOURS', 48, { min: 24, max: 87_600 }),
    pool() {
      database ??= openDatabase()
      return database.pool
    },
    db() {
      database ??= openDatabase()
      return database.db
    },
    async redis() {
      redis ??= await openRedis()
      return redis
    },
    now: () => Date.now(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    progress,
  }
}
