import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import * as schema from './schema.js'

export type Db = NodePgDatabase<typeof schema>

/** One process's way to PostgreSQL: a bounded pool, and Drizzle over it. */
export interface Database {
  pool: pg.Pool
  db: Db
  close(): Promise<void>
}

export interface DatabaseOptions {
  url: string
  /** Most connections this process opens. */
  poolSize: number
  /** Shown in `pg_stat_activity`. */
  applicationName: string
  /** How long a caller waits for a connection before it fails. */
  connectTimeoutMs: number
  /** PostgreSQL ends a statement after this long. */
  statementTimeoutMs: number
  /**
   * PostgreSQL ends a session that sits in a transaction for this long: a frozen process would otherwise hold the
   * lock of its event for as long as it is frozen.
   */
  idleInTransactionTimeoutMs: number
  /** Told of connections that broke while idle; without a listener such a break would end the process. */
  onIdleError: (error: Error) => void
}

/** Opens nothing yet: connections come with the first query. */
export function createDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs,
    statement_timeout: options.statementTimeoutMs,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs,
    // A reply that never comes (a cut network) must end the wait on this side as well.
    query_timeout: options.statementTimeoutMs + 1000,
    keepAlive: true,
  })
  pool.on('error', options.onIdleError)
  // A connection that breaks while it is checked out tells its query; the event itself would be unhandled.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return { pool, db: drizzle(pool, { schema }), close: () => pool.end() }
}
