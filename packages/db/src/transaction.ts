import { drizzle } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import { isConnectionFault } from './faults.js'

/**
 * Runs `work` in a Drizzle transaction on a connection of its own: commits when it returns, rolls back when it throws.
 * The prepared statements of a batch run on `client` inside it.
 *
 * @throws what `work` throws, or the driver's error. After a lost connection nobody knows whether the commit was
 * kept: run the whole again and look what is stored.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let broken = true
  try {
    const result = await drizzle(client).transaction(() => work(client))
    broken = false
    return result
  } catch (error) {
    broken = isConnectionFault(error)
    throw error
  } finally {
    client.release(broken)
  }
}
