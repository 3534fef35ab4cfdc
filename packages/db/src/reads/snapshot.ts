import type { Pool, PoolClient } from 'pg'

/**
 * A read-only transaction whose statements all see the same snapshot. Disposing of it without
 * `end` closes its connection, which ends the transaction.
 */
export interface Snapshot extends AsyncDisposable {
  readonly client: PoolClient
  /** Ends the transaction, so that its connection can be used again. Call it last. */
  end(): Promise<void>
}

/**
 * Begins a snapshot on a connection of the pool.
 *
 * @param prepare Called with the connection before the snapshot begins.
 */
export async function beginSnapshot(
  pool: Pool,
  prepare?: (client: PoolClient) => Promise<void>,
): Promise<Snapshot> {
  const client = await pool.connect()
  let hasEnded = false
  try {
    await prepare?.(client)
    await client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
  } catch (error) {
    client.release(true)
    throw error
  }
  return {
    client,
    async end() {
      await client.query('COMMIT')
      hasEnded = true
    },
    async [Symbol.asyncDispose]() {
      client.release(!hasEnded)
    },
  }
}
