import type { Pool } from './client.js'

/**
 * Asks whether PostgreSQL takes writes. A connection to a standby, as a pooler may have left over from before a
 * failover, is closed, so that the next question can reach the new primary.
 *
 * @throws Error if this connection cannot write, or the driver's error
 */
export async function assertWritable(pool: Pool): Promise<void> {
  const client = await pool.connect()
  let works = false
  try {
    const { rows } = await client.query<{ readOnly: string }>(
      `SELECT current_setting('transaction_read_only') AS "readOnly"`,
    )
    if (rows[0]?.readOnly === 'on') throw new Error('PostgreSQL is read-only here')
    works = true
  } finally {
    client.release(!works)
  }
}
