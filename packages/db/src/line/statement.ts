import type pg from 'pg'

/** A statement that PostgreSQL parses and plans once per connection. */
export interface Statement {
  name: string
  text: string
}

/** Runs a prepared statement and gives its rows. On a pipelined connection several may be sent without waiting. */
export async function rowsOf<Row extends pg.QueryResultRow>(
  client: pg.ClientBase,
  statement: Statement,
  values: unknown[],
): Promise<Row[]> {
  const result = await client.query<Row>({ name: statement.name, text: statement.text, values })
  return result.rows
}

/** Runs a prepared statement and gives the number of rows it touched. */
export async function countOf(
  client: pg.ClientBase,
  statement: Statement,
  values: unknown[],
): Promise<number> {
  const result = await client.query({ name: statement.name, text: statement.text, values })
  return result.rowCount ?? 0
}

/**
 * Waits for all statements of one round trip. All are awaited even when one fails, so that no rejection is left
 * unhandled; the first failure is thrown, since those behind it only say that the transaction is aborted.
 */
export async function roundTrip<const T extends readonly Promise<unknown>[]>(
  statements: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const results = await Promise.allSettled(statements)
  for (const result of results) if (result.status === 'rejected') throw result.reason
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as never
}
