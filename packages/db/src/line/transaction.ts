import { TransactionRollbackError } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Pool, PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg'
import { retryRuleOf } from '../faults.js'

/** A statement that PostgreSQL parses and plans once per connection. */
export interface Statement {
  name: string
  text: string
}

/** Sends a statement without waiting for the replies to earlier ones. */
export type Send = <Row extends QueryResultRow>(
  statement: Statement,
  values: unknown[],
) => Promise<QueryResult<Row>>

type Sent = Promise<Pick<QueryResult, 'rows' | 'rowCount'>>

/** The result of a statement that is not sent because it has nothing to do. */
export const NO_ROWS: Promise<{ rows: never[]; rowCount: 0 }> = Promise.resolve({
  rows: [],
  rowCount: 0,
})

/**
 * A connection of the pool, with a Drizzle instance of its own.
 *
 * Drizzle frames the transaction: it sends BEGIN, COMMIT and, after an error, ROLLBACK. Between
 * them, the statements bypass Drizzle and go to the driver, because Drizzle awaits each statement
 * and cannot name a raw one. Several statements then share a round trip, which needs a pool with
 * `pipeline: true`. PostgreSQL plans each of them once per connection.
 *
 * Drizzle uses this object as its driver. `query` sends Drizzle's BEGIN but does not wait for the
 * reply, so that BEGIN shares a round trip with the statements that follow. That round trip fails
 * if BEGIN failed.
 */
export class LineConnection {
  readonly client: PoolClient
  readonly drizzle: NodePgDatabase
  /** Resolves when PostgreSQL has begun the transaction. */
  begun: Promise<unknown> = Promise.resolve()
  readonly #stream: Corkable

  constructor(client: PoolClient) {
    this.client = client
    this.#stream = (client as unknown as { connection: { stream: Corkable } }).connection.stream
    this.drizzle = drizzle(this as unknown as PoolClient)
  }

  /** Called by Drizzle with BEGIN, COMMIT and ROLLBACK. */
  async query({ text }: QueryConfig): Promise<unknown> {
    if (text === 'begin') {
      // The first round trip is sent before the next tick, and leaves in the same packet as BEGIN.
      this.#stream.cork()
      process.nextTick(() => this.#stream.uncork())
      this.begun = this.client.query(text)
      this.begun.catch(() => undefined)
      return NO_ROWS
    }
    const result = await this.client.query(text)
    // PostgreSQL answers COMMIT with ROLLBACK, and no error, if a statement had failed before.
    if (text === 'commit' && result.command !== 'COMMIT')
      throw new Error(`the transaction ended with ${result.command}`)
    return result
  }

  /**
   * Sends statements together, in one write to the socket, and awaits all their replies.
   *
   * @returns the results, in the order of the statements
   * @throws the driver's error for the first statement that failed; those after it failed only
   * because the transaction was aborted
   */
  async roundTrip<const T extends readonly Sent[]>(
    send: (send: Send) => T,
  ): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
    this.#stream.cork()
    let sent: T
    try {
      sent = send(this.#send)
    } finally {
      this.#stream.uncork()
    }
    const [begun, ...results] = await Promise.allSettled([this.begun, ...sent])
    for (const result of [begun, ...results]) if (result.status === 'rejected') throw result.reason
    return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as never
  }

  readonly #send: Send = ({ name, text }, values) => this.client.query({ name, text, values })
}

interface Corkable {
  cork(): void
  uncork(): void
}

const connections = new WeakMap<PoolClient, LineConnection>()

function connectionOf(client: PoolClient): LineConnection {
  let connection = connections.get(client)
  if (connection === undefined) {
    connection = new LineConnection(client)
    connections.set(client, connection)
  }
  return connection
}

/**
 * Runs a Drizzle transaction on a connection of the pool, and closes the connection afterwards if
 * it may be broken. If `run` throws, the transaction is rolled back. `run` throws
 * `TransactionRollbackError` to roll back a transaction in which nothing failed.
 *
 * @throws what `run` throws, or the driver's error. If COMMIT fails because the connection is lost,
 * PostgreSQL may have committed
 */
export async function inTransaction<T>(
  pool: Pool,
  run: (connection: LineConnection) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let failed: { error: unknown } | undefined
  let closes = false
  try {
    const connection = connectionOf(client)
    return await connection.drizzle.transaction(async () => {
      try {
        return await run(connection)
      } catch (error) {
        failed = { error }
        throw error
      }
    })
  } catch (error) {
    // If ROLLBACK fails as well, Drizzle throws only the error of the ROLLBACK.
    const first = failed === undefined ? error : failed.error
    closes =
      error !== first ||
      (!(error instanceof TransactionRollbackError) && retryRuleOf(error).closesConnection)
    throw first
  } finally {
    client.release(closes)
  }
}
