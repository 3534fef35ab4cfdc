import { drizzle } from 'drizzle-orm/node-postgres'
import type { Pool, PoolClient } from 'pg'
import type { Db, Transaction } from './client.js'
import * as schema from './schema.js'

/**
 * What a transaction and its caller share, so that the caller knows whether it may have an effect:
 * - `open`: COMMIT was not sent, and the caller waits.
 * - `given_up`: the caller no longer waits. The transaction changes nothing.
 * - `committing`: COMMIT was sent. Only its answer tells whether it had an effect.
 *
 * The caller turns `open` into `given_up`, and the transaction turns it into `committing`. Nothing
 * changes the other two.
 */
export interface CommitProgress {
  state: 'open' | 'given_up' | 'committing'
}

/** Runs a transaction. It commits only if its caller still waits. */
export async function commitUnlessLate<T>(
  pool: Pool,
  progress: CommitProgress,
  run: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let isBroken = true
  try {
    await client.query('BEGIN')
    const result = await run(client)
    if (progress.state === 'given_up') throw new Error('the caller of a transaction has given up')
    progress.state = 'committing'
    await client.query('COMMIT')
    isBroken = false
    return result
  } finally {
    // Closing the connection ends a transaction that is still open.
    client.release(isBroken)
  }
}

/**
 * Runs a transaction like {@link commitUnlessLate}, with Drizzle. Drizzle's own transactions do not
 * give the connection back to the pool if BEGIN fails.
 *
 * @param progress undefined if the caller waits however long it takes
 */
export function commitDrizzleUnlessLate<T>(
  db: Db,
  progress: CommitProgress | undefined,
  run: (tx: Transaction) => Promise<T>,
): Promise<T> {
  return commitUnlessLate(db.$client, progress ?? { state: 'open' }, (client) =>
    run(drizzle(client, { schema })),
  )
}
