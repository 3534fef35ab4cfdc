import type { Pool, QueryResultRow } from 'pg'

export interface StreamOptions {
  /** Rows of a portion: what stands in memory at once. */
  portionRows: number
  /** Longest pause of the reader between two portions before PostgreSQL ends the session, ms. */
  stallTimeoutMs: number
}

/**
 * Rows of a query as of one moment, portion by portion through a cursor. Holds one connection until the last portion
 * was taken or the generator is ended with `return()`. A reader that stalls loses its session, while its place in the
 * pool comes free only when it goes on, and fails, or ends the generator.
 */
export async function* streamRows<Row extends QueryResultRow>(
  pool: Pool,
  query: { text: string; values: unknown[] },
  { portionRows, stallTimeoutMs }: StreamOptions,
): AsyncGenerator<Row[]> {
  const client = await pool.connect()
  let broken = true
  try {
    await client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
    // A slow reader is no frozen process: the short limit of all other sessions would cut every slow download.
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
    await client.query('COMMIT')
    broken = false
  } finally {
    // Ended early or failed: the connection goes with its open transaction.
    client.release(broken)
  }
}
