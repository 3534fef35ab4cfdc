import {
  checkSessions,
  createDatabase,
  createInstallationStore,
  type Database,
  type Db,
  type InstallationRecord,
  type InstallationStore,
  isConnectionFault,
  type Pool,
} from '@ticket-line/db'
import {
  assertSameInstallation,
  createRedisOwnership,
  firstTarget,
  type LineRedis,
  nameOfConnection,
  openLineRedis,
} from '@ticket-line/line'
import {
  type Closers,
  ConfigError,
  createPatientRedis,
  type Env,
  errorSummary,
  type LineLayout,
  masterTargets,
  namesRedis,
  type RedisTarget,
  readChangesRetentionDays,
  readDatabaseReadUrl,
  readDatabaseSchema,
  readDatabaseUrl,
  readEnv,
  readLineLayout,
  readNodeEnv,
  readRedisSettings,
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
  /** Connections to the standby of `DATABASE_READ_URL`; undefined if that is not set. */
  standbyPool(): Pool | undefined
  /**
   * Checks the encoding of PostgreSQL, and that no connection pooler shares its sessions. Does
   * nothing if no setting says where PostgreSQL is, or if it cannot be reached.
   *
   * @throws ConfigError if PostgreSQL does not pass
   */
  checkSessions(): Promise<void>
  /**
   * @throws ConfigError if no setting says where Redis is, if Redis belongs to another
   * installation, or if the layout differs from that of the installation
   * @throws Unreachable if Redis cannot be reached
   */
  redis(): Promise<LineRedis>
  /**
   * Like `redis`, but does not check whether Redis belongs to this installation. Undefined if no
   * setting says where Redis is.
   */
  anyRedis(): Promise<LineRedis | undefined>
  /**
   * A connection to each server that may have keys of any layout: the only one, or each master of a
   * cluster.
   *
   * @throws ConfigError if no setting says where Redis is
   * @throws Unreachable if no node of a cluster answers
   */
  masters(): Promise<Redis[]>
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
  const readUrl = readDatabaseReadUrl(env)
  let database: Database | undefined
  let standby: Database | undefined
  let redis: LineRedis | undefined
  let masters: Promise<Redis[]> | undefined

  function openDatabase(name: string, url: string): Database {
    const opened = createDatabase({
      url,
      schema: databaseSchema,
      poolSize: 2,
      applicationName: 'ticket-line ops',
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      // Some commands set a shorter limit for their statements.
      statementTimeoutMs: 3_600_000,
      idleInTransactionTimeoutMs: 10_000,
      onIdleError: () => undefined,
    })
    closers.push(name, () => opened.close())
    return opened
  }

  const isDatabaseGiven = (): boolean =>
    (env.optional('DATABASE_URL') ?? env.optional('DATABASE_HOST')) !== undefined

  function installation(): InstallationStore | undefined {
    return isDatabaseGiven() ? createInstallationStore(openOnce().pool) : undefined
  }

  function openOnce(): Database {
    database ??= openDatabase('postgres', readDatabaseUrl(env))
    return database
  }

  function standbyPool(): Pool | undefined {
    if (readUrl === undefined) return undefined
    standby ??= openDatabase('standby', readUrl)
    return standby.pool
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

  let lastError: unknown = 'Redis does not answer'

  function connect(target: RedisTarget): Redis {
    const opened = createPatientRedis(target, {
      lazyConnect: true,
      commandTimeout: 60_000,
      connectionName: nameOfConnection('ops', layout, target),
    })
    return opened.on('error', (error) => {
      lastError = error
    })
  }

  /** @throws Unreachable if the reply does not come within `CONNECT_TIMEOUT_MS` */
  function inTime<T>(reply: Promise<T>): Promise<T> {
    return withDeadline(reply, CONNECT_TIMEOUT_MS, () => {
      throw new Unreachable(errorSummary(lastError))
    })
  }

  async function openRedis(): Promise<LineRedis> {
    const opened = openLineRedis(readRedisSettings(env), layout, connect)
    closers.push('redis', () => opened.disconnect())
    await inTime(Promise.all(opened.connections.map((connection) => connection.redis.ping())))
    return opened
  }

  async function openMasters(): Promise<Redis[]> {
    const asked = masterTargets(firstTarget(readRedisSettings(env), layout))
    const targets = await inTime(asked).catch((error: unknown) => {
      throw error instanceof Unreachable ? error : new Unreachable(errorSummary(error))
    })
    const opened = targets.map(connect)
    closers.push('redis masters', () => {
      for (const master of opened) master.disconnect()
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
    standbyPool,
    async checkSessions() {
      if (!isDatabaseGiven()) return
      try {
        await checkSessions(openOnce().pool)
      } catch (error) {
        if (error instanceof ConfigError) throw error
      }
    },
    installation,
    async redis() {
      redis ??= await openRedis()
      if (!isChecked) {
        await assertSameInstallation(
          await readInstallation(),
          layout,
          createRedisOwnership(redis.first, layout),
        )
        isChecked = true
      }
      return redis
    },
    async anyRedis() {
      if (!namesRedis(env)) return undefined
      redis ??= await openRedis()
      return redis
    },
    masters() {
      masters ??= openMasters()
      return masters
    },
    now: () => Date.now(),
    progress,
  }
}
