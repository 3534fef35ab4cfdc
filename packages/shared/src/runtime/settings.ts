import {
  CHANGES_RETENTION_DAYS,
  DEFAULT_RETENTION_HOURS,
  MAX_RETENTION_HOURS,
  MIN_RETENTION_HOURS,
} from '../contract/limits.js'
import { ConfigError, type EnvReader, readNodeEnv } from './env.js'
import { type RedisSettings, readRedisSettings } from './redis-settings.js'
import { credentials, hostAndPort, readAddress, type ServerSetting } from './server-address.js'

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** The settings that all services have. */
export interface Basics {
  /**
   * True if `NODE_ENV` is `production`. The process then refuses to start with weak secrets,
   * missing migrations, or a Redis that may evict keys.
   */
  production: boolean
  databaseUrl: string
  databaseSchema: string
  redis: RedisSettings
  logLevel: string
  /** The commit from which the image was built, for metrics; undefined if nobody has set it. */
  commit: string | undefined
}

/** @throws ConfigError naming the variable that cannot be used */
export function readBasics(env: EnvReader): Basics {
  return {
    production: readNodeEnv(env) === 'production',
    databaseUrl: readDatabaseUrl(env),
    databaseSchema: readDatabaseSchema(env),
    redis: readRedisSettings(env),
    logLevel: env.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
    commit: env.optional('BUILD_COMMIT'),
  }
}

const POSTGRES: ServerSetting = {
  variable: 'DATABASE_URL',
  schemes: ['postgres', 'postgresql'],
  parts: 'DATABASE_HOST, DATABASE_USER, DATABASE_PASSWORD and DATABASE_NAME',
}

const POSTGRES_STANDBY: ServerSetting = {
  variable: 'DATABASE_READ_URL',
  schemes: POSTGRES.schemes,
}

/**
 * Reads the address of PostgreSQL: `DATABASE_URL`, or `DATABASE_HOST`, `DATABASE_PORT`,
 * `DATABASE_USER`, `DATABASE_PASSWORD` and `DATABASE_NAME`, which need no encoding.
 *
 * @returns an address for node-postgres
 * @throws ConfigError naming the variable that is missing or cannot be used; it never contains a
 * password
 */
export function readDatabaseUrl(env: EnvReader): string {
  const url = env.optional('DATABASE_URL')
  if (url !== undefined) return readAddress(url, POSTGRES)
  const host = env.optional('DATABASE_HOST')
  if (host === undefined) throw new ConfigError('DATABASE_URL is not set')
  const name = env.text('DATABASE_NAME')
  // node-postgres does not decode these characters in a path.
  if (/[/?#]/.test(name)) throw new ConfigError('DATABASE_NAME must not contain "/", "?" or "#"')
  const user = credentials(env.text('DATABASE_USER'), env.optional('DATABASE_PASSWORD'))
  return `postgres://${user}${hostAndPort(env, 'DATABASE', host, 5432)}/${encodeURI(name)}`
}

/**
 * Reads `DATABASE_READ_URL`, the address of a standby for downloads and `ops verify`.
 *
 * @returns undefined if there is none
 * @throws ConfigError if the address cannot be used
 */
export function readDatabaseReadUrl(env: EnvReader): string | undefined {
  const url = env.optional('DATABASE_READ_URL')
  return url === undefined ? undefined : readAddress(url, POSTGRES_STANDBY)
}

/**
 * Reads `DATABASE_SCHEMA`, the PostgreSQL schema that holds the tables; `public` if it is unset.
 *
 * @throws ConfigError if PostgreSQL could not have a schema of that name
 */
export function readDatabaseSchema(env: EnvReader): string {
  const schema = env.text('DATABASE_SCHEMA', 'public')
  if (/^[A-Za-z_][\w-]{0,62}$/.test(schema) && !/^(pg_|information_schema$)/i.test(schema))
    return schema
  throw new ConfigError(
    'DATABASE_SCHEMA may have up to 63 letters, digits, dashes and underscores, and must not begin with "pg_"',
  )
}

/**
 * Reads `OUTCOME_RETENTION_HOURS`, how long outcomes are kept, in hours.
 *
 * @throws ConfigError if it is out of range
 */
export function readRetentionHours(env: EnvReader): number {
  return env.integer('OUTCOME_RETENTION_HOURS', DEFAULT_RETENTION_HOURS, {
    min: MIN_RETENTION_HOURS,
    max: MAX_RETENTION_HOURS,
  })
}

/**
 * Reads `CHANGES_RETENTION_DAYS`, how long the changes of events are kept, in days.
 *
 * @throws ConfigError if it is out of range
 */
export function readChangesRetentionDays(env: EnvReader): number {
  return env.integer(
    'CHANGES_RETENTION_DAYS',
    CHANGES_RETENTION_DAYS.default,
    CHANGES_RETENTION_DAYS,
  )
}

/**
 * Determines which lines exist. A *line* is one BullMQ queue. By default each event has its own
 * line, `event-<id>`. With `SHARED_LINES=n` the events share `line-0` to `line-<n-1>`. All
 * processes of an installation need the same layout. Otherwise commands of one event could enter
 * different lines.
 */
export interface LineLayout {
  /** Number of shared lines; 0 gives every event a line of its own. */
  sharedLines: number
  /** Number of shards (Redis hash tags) over which the keys of the lines are spread. */
  shards: number
  /** Prefix of all keys, so that installations can share a Redis. */
  keyPrefix: string
}

/** @throws ConfigError naming the variable that cannot be used */
export function readLineLayout(env: EnvReader): LineLayout {
  const keyPrefix = env.text('KEY_PREFIX', 'tickets')
  if (!/^[\w.-]{1,64}$/.test(keyPrefix)) {
    throw new ConfigError(
      'KEY_PREFIX must have 1 to 64 letters, digits, dots, dashes and underscores',
    )
  }
  return {
    sharedLines: env.integer('SHARED_LINES', 0, { min: 0, max: 1024 }),
    shards: env.integer('SHARDS', 1, { min: 1, max: 64 }),
    keyPrefix,
  }
}
