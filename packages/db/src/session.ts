import { ConfigError } from '@ticket-line/shared'
import type pg from 'pg'
import { parseIntoClientConfig } from 'pg-connection-string'

/** The PostgreSQL schema that holds the tables, unless `DATABASE_SCHEMA` names another. */
export const DEFAULT_SCHEMA = 'public'

/**
 * What the code relies on in every session. A database, a role, `?options=` in the URL or
 * `PGOPTIONS` may set any of these to something else. Dates could then have a format that the
 * driver cannot read, statements could use tables of another schema, and PostgreSQL could read
 * `NULL` in an array literal as text. Settings with which operators protect a database, such as
 * `default_transaction_read_only`, are not overridden.
 */
const SESSION_SETTINGS: Record<string, string> = {
  client_encoding: 'UTF8',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  array_nulls: 'on',
  transform_null_equals: 'off',
  standard_conforming_strings: 'on',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  lock_timeout: '0',
  row_security: 'on',
  // Our statements are short: compiling one takes longer than running it.
  jit: 'off',
  plan_cache_mode: 'auto',
  enable_seqscan: 'on',
  enable_indexscan: 'on',
  enable_indexonlyscan: 'on',
  enable_bitmapscan: 'on',
  enable_tidscan: 'on',
  enable_nestloop: 'on',
  enable_hashjoin: 'on',
  enable_mergejoin: 'on',
}

/**
 * Settings that are set only if the server knows them. The comment at each names the first release
 * of PostgreSQL that does.
 */
const SETTINGS_OF_NEWER_SERVERS: Record<string, string> = {
  // PostgreSQL 14. The pool closes idle connections itself.
  idle_session_timeout: '0',
  // PostgreSQL 17. `statement_timeout` and `idle_in_transaction_session_timeout` bound our
  // transactions.
  transaction_timeout: '0',
}

export interface SessionOptions {
  /** Schema of the tables. */
  schema: string
  /** PostgreSQL ends a statement after this many milliseconds; 0 means never. */
  statementTimeoutMs: number
  /**
   * PostgreSQL ends a session that idles in a transaction for this many milliseconds; 0 means
   * never.
   */
  idleInTransactionTimeoutMs: number
  /** More settings by name, such as planner switches. */
  settings?: Record<string, string>
}

/**
 * Returns the query that applies all settings in one round trip. It runs right after connecting.
 * The settings are not sent in the startup packet: PgBouncer refuses most of them there, and
 * settings of the URL would replace ours.
 */
export function sessionSetup(options: SessionOptions): string {
  const settings = {
    ...SESSION_SETTINGS,
    // Without `pg_temp` at the end, a temporary table would hide one of ours.
    search_path: `${quoteIdentifier(options.schema)}, pg_temp`,
    idle_in_transaction_session_timeout: String(options.idleInTransactionTimeoutMs),
    ...options.settings,
  }
  const set = (name: string, value: string) =>
    `set_config(${literal(name)}, ${literal(value)}, false)`
  const calls = [
    ...Object.entries(settings).map(([name, value]) => set(name, value)),
    ...Object.entries(SETTINGS_OF_NEWER_SERVERS).map(
      ([name, value]) =>
        `CASE WHEN current_setting(${literal(name)}, true) IS NOT NULL THEN ${set(name, value)} END`,
    ),
    // With `off`, a crash would lose commits whose outcomes clients have. Stronger levels stay,
    // because an operator may have chosen them for standbys.
    `CASE WHEN current_setting('synchronous_commit') = 'off' THEN ${set('synchronous_commit', 'on')} END`,
  ]
  // `statement_timeout` comes first. Otherwise the timeout with which the session began would limit
  // the statement that sets the rest.
  return `SET statement_timeout = ${Math.trunc(options.statementTimeoutMs)}; SELECT ${calls.join(', ')}`
}

function literal(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** How to connect: options of node-postgres. */
export type Connection = Pick<
  pg.ClientConfig,
  'host' | 'port' | 'user' | 'password' | 'database' | 'ssl' | 'options' | 'client_encoding'
>

/**
 * Reads the address from a URL. It uses only the parameters that say how to reach the server. The
 * driver would let any other parameter, such as `?statement_timeout=`, replace our setting.
 *
 * @throws ConfigError if the URL cannot be read
 */
export function readConnection(url: string): Connection {
  let parsed: Record<string, unknown>
  try {
    parsed = parseIntoClientConfig(url) as unknown as Record<string, unknown>
  } catch {
    // The driver's message may repeat the password.
    throw new ConfigError(
      'DATABASE_URL cannot be read: percent-encode special characters in its parts',
    )
  }
  const used = ['host', 'port', 'user', 'password', 'database', 'ssl', 'sslnegotiation', 'options']
  return {
    ...Object.fromEntries(
      used.filter((key) => parsed[key] !== undefined).map((key) => [key, parsed[key]]),
    ),
    // Set here, so that neither `PGCLIENT_ENCODING` nor the URL sets another one.
    client_encoding: 'UTF8',
  }
}
