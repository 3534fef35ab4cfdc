import { ConfigError } from '@ticket-line/shared'
import type { ClientBase, Pool } from 'pg'

type Queryable = Pick<ClientBase, 'query'>

/**
 * How many times to compare two connections. Under load, a connection pooler may happen to give
 * each of them its own session a few times in a row.
 */
const ROUNDS = 10

/**
 * Checks that the database can store all user ids and names of events.
 *
 * @throws ConfigError if its encoding is not UTF8
 */
export async function assertUtf8(db: Queryable): Promise<void> {
  const { rows } = await db.query<{ server_encoding: string }>('SHOW server_encoding')
  const encoding = rows[0]?.server_encoding
  if (encoding === 'UTF8') return
  throw new ConfigError(
    `the database has the encoding ${encoding}, which cannot store every name: create one with ENCODING 'UTF8'`,
  )
}

/**
 * Checks that each connection has a PostgreSQL session of its own. If a pooler gives each
 * transaction another session, settings and prepared statements are lost.
 *
 * @param variable the name of the setting that has the address, for the message
 * @throws ConfigError if two open connections share a session, or one of them changes its session
 */
export async function assertOwnSessions(
  one: Queryable,
  two: Queryable,
  variable = 'DATABASE_URL',
): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const first = await sessionOf(one)
    if ((await sessionOf(two)) === first) throw sharedSessions(variable)
    await two.query('BEGIN')
    const again = await sessionOf(one)
    await two.query('ROLLBACK')
    if (again !== first) throw sharedSessions(variable)
  }
}

async function sessionOf(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  return rows[0]?.pid as number
}

function sharedSessions(variable: string): ConfigError {
  return new ConfigError(
    'a connection pooler shares PostgreSQL sessions between connections: set its pool_mode to session, ' +
      `or point ${variable} at PostgreSQL itself`,
  )
}

/**
 * Checks that PostgreSQL accepts writes. A connection that leads to a standby is closed, so that
 * after a failover the next check can reach the new primary.
 *
 * @throws Error if the connection cannot write; the driver's error if PostgreSQL does not answer
 */
export async function assertWritable(pool: Pool): Promise<void> {
  const client = await pool.connect()
  let works = false
  try {
    const { rows } = await client.query<{ readOnly: string }>(
      `SELECT current_setting('transaction_read_only') AS "readOnly"`,
    )
    if (rows[0]?.readOnly === 'on') throw new Error('this connection to PostgreSQL is read-only')
    works = true
  } finally {
    client.release(!works)
  }
}
