import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import * as schema from './schema.js'
import { DEFAULT_SCHEMA, readConnection, sessionSetup } from './session.js'

/** Drizzle within a transaction. */
export type Transaction = NodePgDatabase<typeof schema>
/** Drizzle on a pool. */
export type Db = Transaction & { $client: pg.Pool }

/**
 * The connection pool of a {@link Database}. Callers that use this type need not import the driver.
 */
export type Pool = pg.Pool

/** Connections to PostgreSQL: a pool of limited size, and Drizzle on top of it. */
export interface Database {
  pool: Pool
  db: Db
  close(): Promise<void>
}

export interface DatabaseOptions {
  url: string
  /** The schema of the tables, `public` by default. */
  schema?: string
  /** Maximum number of connections of the pool. */
  poolSize: number
  /** Shown in `pg_stat_activity`. */
  applicationName: string
  /** How long a caller waits for a connection before it fails, ms. */
  connectTimeoutMs: number
  /** PostgreSQL cancels a statement after this long, ms. */
  statementTimeoutMs: number
  /**
   * PostgreSQL ends a session that idles in a transaction for this long, ms. Otherwise a frozen
   * process would keep the lock of its event.
   */
  idleInTransactionTimeoutMs: number
  /**
   * True to send the statements of a connection without waiting for the replies to earlier ones. A
   * caller must then own its connection for a transaction, and await all statements.
   */
  pipeline?: boolean
  /** Further settings of each session by name, such as planner settings. */
  sessionSettings?: Record<string, string>
  /** Called when an idle connection broke. Without a listener, that would end the process. */
  onIdleError: (error: Error) => void
}

/**
 * Planner settings for the fixed set of statements that decide batches. They all look up a few
 * known keys, so the right plan is always a nested loop over indexes, whatever the statistics of a
 * young table say. A generic plan saves the planning of each execution.
 */
export const KEYED_PLANS: Record<string, string> = {
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_bitmapscan: 'off',
}

/**
 * Creates a database client. The first query opens the first connection.
 *
 * @throws ConfigError if the URL cannot be parsed
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
    // A connection pooler accepts a client before it has a server connection for that client. The
    // connection is usable only after the reply to this query.
    query_timeout: options.connectTimeoutMs,
  }
  const pool = new pg.Pool({
    ...readConnection(options.url),
    max: options.poolSize,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs,
    // If the network is cut, no reply arrives, so the wait must also end on this side.
    query_timeout: statementTimeoutMs + 1000,
    keepAlive: true,
    pipeline: options.pipeline ?? false,
    // The pool hands out the connection after this query, and closes it if the query fails.
    onConnect: async (client: pg.ClientBase) => void (await client.query({ ...setup })),
  } as pg.PoolConfig)
  pool.on('error', options.onIdleError)
  // If a connection breaks while it is checked out, its query fails. The `error` event still needs
  // a listener, or it would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return { pool, db: drizzle(pool, { schema }), close: () => pool.end() }
}
