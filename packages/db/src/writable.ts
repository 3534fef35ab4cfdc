import type { Pool } from './client.js'

/**
 * Checks that PostgreSQL takes writes. If the connection leads to a standby, for example since
 * before a failover, it is closed, so that the next check can reach the new primary.
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
