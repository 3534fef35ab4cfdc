import type pg from 'pg'
import { assertMigrated } from './migrations.js'
import { assertOwnSessions, assertUtf8 } from './server-checks.js'

/**
 * Checks once, at the start of a process, that PostgreSQL can be worked with: its encoding, a session per connection, and
 * all migrations. Takes two connections of the pool.
 *
 * @throws ConfigError with one line for the operator; the driver's error if PostgreSQL does not answer
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
