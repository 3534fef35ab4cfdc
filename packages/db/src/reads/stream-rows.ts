import type { Pool, PoolClient, QueryResultRow } from 'pg'
import { beginSnapshot } from './snapshot.js'

export interface StreamOptions {
  /** How many rows a portion has. They are in memory at the same time. */
  portionRows: number
  /** PostgreSQL ends the session if the reader pauses for this long between two portions, ms. */
  stallTimeoutMs: number
  /** Called with the connection before its snapshot begins. If it fails, no row is read. */
  prepare?: (client: PoolClient) => Promise<void>
}

/**
 * Reads the rows of a query in one snapshot, in portions through a cursor. It occupies a connection
 * until the last portion was read, or the generator is ended with `return()`. PostgreSQL ends the
 * session of a reader that stalls. The connection returns to the pool only when that reader either
 * continues, which fails, or ends the generator.
 */
export async function* streamRows<Row extends QueryResultRow>(
  pool: Pool,
  query: { text: string; values: unknown[] },
  { portionRows, stallTimeoutMs, prepare }: StreamOptions,
): AsyncGenerator<Row[]> {
  await using snapshot = await beginSnapshot(pool, prepare)
  const { client } = snapshot
  // The short timeout of other sessions is for frozen processes. It would end all slow downloads.
  await client.query(
    `SET LOCAL idle_in_transaction_session_timeout = ${Math.trunc(stallTimeoutMs)}`,
  )
  await client.query({ ...query, text: `DECLARE portions NO SCROLL CURSOR FOR ${query.text}` })
  for (;;) {
    const { rows } = await client.query<Row>(
      `FETCH FORWARD ${Math.trunc(portionRows)} FROM portions`,
    )
    if (rows.length > 0) yield rows
    if (rows.length < portionRows) break
  }
  await snapshot.end()
}
