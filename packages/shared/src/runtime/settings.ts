import {
  CHANGES_RETENTION_DAYS,
  DEFAULT_RETENTION_HOURS,
  MAX_RETENTION_HOURS,
  MIN_RETENTION_HOURS,
} from '../contract/limits.js'
import { ConfigError, type EnvReader, readNodeEnv } from './env.js'
import { type RedisSettings, readRedisSettings } from './redis-settings.js'

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

/** A server whose address is set as one variable, or as several parts. */
interface ServerSetting {
  /** The variable with the whole address. The names of the parts begin with the same word. */
  variable: string
  schemes: readonly string[]
  /** What to set instead of an address that cannot be parsed, if there is something. */
  parts?: string
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

const REDIS: ServerSetting = {
  variable: 'REDIS_URL',
  schemes: ['redis', 'rediss'],
  parts: 'REDIS_HOST, REDIS_USER and REDIS_PASSWORD',
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
 * Reads the address of a single Redis: `REDIS_URL`, or `REDIS_HOST`, `REDIS_PORT`, `REDIS_USER`,
 * `REDIS_PASSWORD` and `REDIS_TLS`, which need no encoding.
 *
 * @returns an address for ioredis
 * @throws ConfigError naming the variable that is missing or cannot be used; it never contains a
 * password
 */
export function readRedisUrl(env: EnvReader): string {
  const url = env.optional('REDIS_URL')
  if (url !== undefined) return readAddress(url, REDIS)
  const host = env.optional('REDIS_HOST')
  if (host === undefined) throw new ConfigError('REDIS_URL is not set')
  const user = credentials(env.optional('REDIS_USER') ?? '', env.optional('REDIS_PASSWORD'))
  const scheme = env.flag('REDIS_TLS', false) ? 'rediss' : 'redis'
  return `${scheme}://${user}${hostAndPort(env, 'REDIS', host, 6379)}`
}

function credentials(user: string, password: string | undefined): string {
  if (user === '' && password === undefined) return ''
  return `${encodeURIComponent(user)}:${encodeURIComponent(password ?? '')}@`
}

function hostAndPort(env: EnvReader, prefix: string, host: string, defaultPort: number): string {
  const port = env.integer(`${prefix}_PORT`, defaultPort, { min: 1, max: 65_535 })
  // PostgreSQL also listens on a Unix socket; the host is then the socket's folder.
  const isFolder = prefix === 'DATABASE' && host.startsWith('/')
  const text = isFolder ? encodeURIComponent(host) : host.includes(':') ? `[${host}]` : host
  if (
    (!isFolder && /[\s/?#@%]/.test(host)) ||
    !URL.canParse(`http://${isFolder ? 'folder' : text}`)
  ) {
    throw new ConfigError(`${prefix}_HOST must be a host name or an IP address, not "${host}"`)
  }
  return `${text}:${port}`
}

/**
 * Refuses an address that the driver would not parse as the operator meant it. An example is a
 * password that contains "/", "?", "#" or "%" without encoding.
 */
function readAddress(value: string, { variable, schemes, parts }: ServerSetting): string {
  const address = value.trim()
  if (!schemes.some((scheme) => address.startsWith(`${scheme}://`))) {
    // The address may contain a password, so it is not part of the message.
    throw new ConfigError(
      `${variable} must be an address that begins with ${schemes.join(':// or ')}://`,
    )
  }
  // If `?host=` names a Unix socket, libpq and node-postgres accept an empty host after the user.
  // `URL` does not.
  const url = parse(address) ?? parse(address.replace('@/', '@localhost/'))
  if (url !== undefined && isWhole(url)) return address
  const instead = parts === undefined ? '' : `, or set ${parts} instead, which need no encoding`
  throw new ConfigError(
    `${variable} cannot be read: percent-encode every "/", "?", "#", "%", "@" and ":" in its user name and password ` +
      `(a "/" is %2F)${instead}`,
  )
}

// `npm start` runs this on Node 20, which has no URL.parse.
function parse(address: string): URL | undefined {
  try {
    return new URL(address)
  } catch {
    return undefined
  }
}

/** True if no part of the credentials was parsed as path, query or fragment. */
function isWhole({ username, password, hostname, pathname, search, hash }: URL): boolean {
  if (hash !== '' || pathname.includes('@')) return false
  if (username === '' && password === '' && search.includes('@')) return false
  try {
    for (const part of [username, password, hostname, pathname]) decodeURIComponent(part)
    return true
  } catch {
    return false
  }
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
