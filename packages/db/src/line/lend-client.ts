import type pg from 'pg'
import { retryRuleOf } from '../faults.js'

/**
 * Lends a connection of the pool for one transaction, which `run` begins and ends. If `run` throws,
 * the transaction is rolled back, and the connection is closed if it may be broken.
 *
 * @throws what `run` throws, or the driver's error if there is no connection
 */
export async function lendClient<T>(
  pool: pg.Pool,
  run: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let broken = false
  try {
    return await run(client)
  } catch (error) {
    // Rolled back before the connection is closed: its locks are then free at once.
    broken = !(await rolledBack(client)) || retryRuleOf(error).closesConnection
    throw error
  } finally {
    client.release(broken)
  }
}

async function rolledBack(client: pg.ClientBase): Promise<boolean> {
  try {
    await client.query('ROLLBACK')
    return true
  } catch {
    return false
  }
}
