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
import { assertSameInstallation, connectionName, createRedisClaims } from '@ticket-line/line'
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
  readRetentionHours,
  sleep,
  withDeadline,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { Unreachable } from './failure.js'

/** What commands work with. Each server is connected to when it is first asked for. */
export interface Context {
  layout: LineLayout
  retentionHours: number
  /** `DATABASE_SCHEMA`: the schema of the tables. */
  databaseSchema: string
  /** @throws ConfigError if no setting says where PostgreSQL is */
  pool(): Pool
  /** @throws as `pool` */
  db(): Db
  /**
   * @throws ConfigError if no setting says where Redis is, or if Redis or the layout is not that of
   * the installation; rejects if Redis cannot be reached
   */
  redis(): Promise<Redis>
  /**
   * The same without checking whether Redis belongs to this installation; undefined if no setting
   * says where Redis is.
   */
  anyRedis(): Promise<Redis | undefined>
  /**
   * What PostgreSQL records about the installation; undefined if no setting says where PostgreSQL
   * is.
   */
  installation(): InstallationStore | undefined
  now(): number
  sleep(ms: number): Promise<void>
  /** Shows how far a long command is, to a person alone. */
  progress(line: string): void
}

/** How long a server may take to be reached: an operator waits for the answer. */
const CONNECT_TIMEOUT_MS = 5000

/** @throws ConfigError naming the variable that cannot be used */
export function createContext(
  environment: Env,
  closers: Closers,
  progress: Context['progress'],
): Context {
  const env = readEnv(environment)
  // An unknown NODE_ENV stops this tool like every other process.
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
      // Each command that takes longer says so itself; this is the bound for those that do not.
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
   * Undefined also if PostgreSQL is away, so that commands can still show what they know from
   * Redis.
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
    pool: () => openOnce().pool,
    db: () => openOnce().db,
    installation,
    async redis() {
      redis ??= await openRedis()
      if (!isChecked) {
        await assertSameInstallation(
          await readInstallation(),
          layout,
          createRedisClaims(redis, layout),
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
    sleep,
    progress,
  }
}
