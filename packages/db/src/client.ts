import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import * as schema from './schema.js'
import { DEFAULT_SCHEMA, readConnection, sessionSetup } from './session.js'

export type Db = NodePgDatabase<typeof schema>

/** The connection pool behind {@link Database}; callers hand it on without knowing the driver. */
export type Pool = pg.Pool

/** One process's way to PostgreSQL: a bounded pool, and Drizzle over it. */
export interface Database {
  pool: pg.Pool
  db: Db
  close(): Promise<void>
}

export interface DatabaseOptions {
  url: string
  /** Schema of the tables, `public` by default. */
  schema?: string
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
  /**
   * Sends the statements of a connection without waiting for each other's replies. For callers that own their
   * connection for a transaction and await what they sent.
   */
  pipeline?: boolean
  /** Settings of every session, by name, such as planner switches. */
  sessionSettings?: Record<string, string>
  /** Told of connections that broke while idle; without a listener such a break would end the process. */
  onIdleError: (error: Error) => void
}

/**
 * Planner settings for the fixed set of statements that decide batches. They all look up a few
 * known keys, so the right plan is always a nested loop over indexes, whatever the statistics of a
 * young table say. The generic plan saves planning each time.
 */
export const KEYED_PLANS: Record<string, string> = {
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_bitmapscan: 'off',
}

/**
 * Opens no connection yet: the first query does.
 *
 * @throws ConfigError if the URL cannot be read
 */
export function createDatabase(options: DatabaseOptions): Database {
  const {
    schema: schemaName = DEFAULT_SCHEMA,
    statementTimeoutMs,
    idleInTransactionTimeoutMs,
  } = options
  const setup = {
    text: sessionSetup({
      schema: schemaName,
      statementTimeoutMs,
      idleInTransactionTimeoutMs,
      ...(options.sessionSettings && { settings: options.sessionSettings }),
    }),
    // A pooler accepts a client before it has a server for it. Only this reply ends the connecting.
    query_timeout: options.connectTimeoutMs,
  }
  const pool = new pg.Pool({
    ...readConnection(options.url),
    max: options.poolSize,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs,
    // A reply that never comes (a cut network) must end the wait on this side as well.
    query_timeout: statementTimeoutMs + 1000,
    keepAlive: true,
    pipeline: options.pipeline ?? false,
    // The pool hands out the connection when this query is done, and closes it if the query fails.
    onConnect: async (client: pg.ClientBase) => void (await client.query({ ...setup })),
  } as pg.PoolConfig)
  pool.on('error', options.onIdleError)
  // A connection that breaks while it is checked out tells its query; the event itself would be unhandled.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return { pool, db: drizzle(pool, { schema }), close: () => pool.end() }
}
