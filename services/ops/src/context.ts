import {
  createDatabase,
  createInstallationStore,
  type Database,
  type Db,
  type InstallationRecord,
  type InstallationStore,
  isConnectionFault,
  type Pool,
} from '@ticket-line/db'
import { assertSameInstallation, connectionName, createRedisOwnership } from '@ticket-line/line'
import {
  type Closers,
  createPatientRedis,
  type Env,
  errorSummary,
  type LineLayout,
  readChangesRetentionDays,
  readDatabaseSchema,
  readDatabaseUrl,
  readEnv,
  readLineLayout,
  readNodeEnv,
  readRedisUrl,
  readRetentionHours,
  withDeadline,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { Unreachable } from './failure.js'

/** What commands work with. It connects to a server when a command first needs it. */
export interface Context {
  layout: LineLayout
  retentionHours: number
  changesRetentionDays: number
  /** `DATABASE_SCHEMA`: the schema of the tables. */
  databaseSchema: string
  /** @throws ConfigError if no setting says where PostgreSQL is */
  pool(): Pool
  /** @throws ConfigError if no setting says where PostgreSQL is */
  db(): Db
  /**
   * @throws ConfigError if no setting says where Redis is, if Redis belongs to another
   * installation, or if the layout differs from that of the installation
   * @throws Unreachable if Redis cannot be reached
   */
  redis(): Promise<Redis>
  /**
   * Like `redis`, but does not check whether Redis belongs to this installation. Undefined if no
   * setting says where Redis is.
   */
  anyRedis(): Promise<Redis | undefined>
  /**
   * What PostgreSQL records about the installation; undefined if no setting says where PostgreSQL
   * is.
   */
  installation(): InstallationStore | undefined
  now(): number
  /** Shows the progress of a long command. Prints nothing if the output is not a terminal. */
  progress(line: string): void
}

/**
 * Maximum time to connect to a server, ms. It is short, because an operator waits for the answer.
 */
const CONNECT_TIMEOUT_MS = 5000

/** @throws ConfigError naming the variable that cannot be used */
export function createContext(
  environment: Env,
  closers: Closers,
  progress: Context['progress'],
): Context {
  const env = readEnv(environment)
  // Like every other process, this tool refuses an unknown NODE_ENV.
  readNodeEnv(env)
  const databaseSchema = readDatabaseSchema(env)
  const layout = readLineLayout(env)
  let database: Database | undefined
  let redis: Redis | undefined

  function openDatabase(): Database {
    const opened = createDatabase({
      url: readDatabaseUrl(env),
      schema: databaseSchema,
      poolSize: 2,
      applicationName: 'ticket-line ops',
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      // Some commands set a shorter limit for their statements.
      statementTimeoutMs: 3_600_000,
      idleInTransactionTimeoutMs: 10_000,
      onIdleError: () => undefined,
    })
    closers.push('postgres', () => opened.close())
    return opened
  }

  function installation(): InstallationStore | undefined {
    const isGiven = env.optional('DATABASE_URL') ?? env.optional('DATABASE_HOST')
    return isGiven === undefined ? undefined : createInstallationStore(openOnce().pool)
  }

  function openOnce(): Database {
    database ??= openDatabase()
    return database
  }

  /**
   * Reads the record of the installation. It also returns undefined if PostgreSQL cannot be
   * reached, so that a command can still show what is in Redis.
   */
  async function readInstallation(): Promise<InstallationRecord | undefined> {
    try {
      return await installation()?.read()
    } catch (error) {
      if (isConnectionFault(error)) return undefined
      throw error
    }
  }

  async function openRedis(): Promise<Redis> {
    const opened = createPatientRedis(readRedisUrl(env), {
      lazyConnect: true,
      commandTimeout: 60_000,
      connectionName: connectionName('ops', layout),
    })
    closers.push('redis', () => opened.disconnect())
    let lastError: unknown = 'Redis does not answer'
    opened.on('error', (error) => {
      lastError = error
    })
    await withDeadline(opened.ping(), CONNECT_TIMEOUT_MS, () => {
      throw new Unreachable(errorSummary(lastError))
    })
    return opened
  }

  let isChecked = false
  return {
    layout,
    databaseSchema,
    retentionHours: readRetentionHours(env),
    changesRetentionDays: readChangesRetentionDays(env),
    pool: () => openOnce().pool,
    db: () => openOnce().db,
    installation,
    async redis() {
      redis ??= await openRedis()
      if (!isChecked) {
        await assertSameInstallation(
          await readInstallation(),
          layout,
          createRedisOwnership(redis, layout),
        )
        isChecked = true
      }
      return redis
    },
    async anyRedis() {
      if ((env.optional('REDIS_URL') ?? env.optional('REDIS_HOST')) === undefined) return undefined
      redis ??= await openRedis()
      return redis
    },
    now: () => Date.now(),
    progress,
  }
}
