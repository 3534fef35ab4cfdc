import type pg from 'pg'
import { assertMigrated } from './migrations.js'
import { assertOwnSessions, assertUtf8 } from './server-checks.js'

/**
 * Checks at the start of a process that PostgreSQL is usable: its encoding is UTF8, each connection
 * has a session of its own, and all migrations are applied. Takes two connections of the pool.
 *
 * @throws ConfigError with one line for the operator; the driver's error if PostgreSQL does not
 * answer
 */
export async function checkDatabase(pool: pg.Pool, schema: string): Promise<void> {
  const one = await pool.connect()
  try {
    await assertUtf8(one)
    const two = await pool.connect()
    try {
      await assertOwnSessions(one, two)
    } finally {
      two.release()
    }
  } finally {
    one.release()
  }
  await assertMigrated(pool, schema)
}
