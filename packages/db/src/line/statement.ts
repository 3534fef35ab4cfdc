import type pg from 'pg'

/** A statement that PostgreSQL parses and plans once per connection. */
export interface Statement {
  name: string
  text: string
}

/**
 * Statements that travel together: sent without waiting for each other's replies, in one write to the socket, and
 * answered in order. On the pipelined connections that batches use, this is one round trip.
 */
export interface RoundTrip {
  /** Adds a prepared statement; the promise gives its rows. */
  rows<Row extends pg.QueryResultRow>(statement: Statement, values: unknown[]): Promise<Row[]>
  /** Adds `BEGIN`, `COMMIT` or `ROLLBACK`; the promise gives what PostgreSQL did. */
  control(text: 'BEGIN' | 'COMMIT' | 'ROLLBACK'): Promise<string>
}

/**
 * Runs one round trip. Everything sent is awaited even when something fails, so that no rejection is left unhandled;
 * the first failure is thrown, since those behind it only say that the transaction is aborted.
 */
export async function roundTrip<const T extends readonly Promise<unknown>[]>(
  client: pg.ClientBase,
  send: (trip: RoundTrip) => T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const { stream } = (
    client as unknown as { connection: { stream: NodeJS.WritableStream & Corkable } }
  ).connection
  stream.cork()
  let sent: T
  try {
    sent = send({
      rows: async (statement, values) =>
        (await client.query({ name: statement.name, text: statement.text, values })).rows as never,
      control: async (text) => (await client.query(text)).command,
    })
  } finally {
    stream.uncork()
  }
  const results = await Promise.allSettled(sent)
  for (const result of results) if (result.status === 'rejected') throw result.reason
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as never
}

interface Corkable {
  cork(): void
  uncork(): void
}

/**
 * A PostgreSQL array literal of numbers, booleans, nulls and strings. JSON differs from it in the brackets alone as long
 * as no string holds a control character, which ids never do; the driver's own escaping took a tenth of the worker's
 * time.
 */
export function arrayOf(values: readonly (string | number | boolean | null)[]): string {
  return `{${JSON.stringify(values).slice(1, -1)}}`
}
