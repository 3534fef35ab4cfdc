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
 * reply, so that BEGIN shares a round trip with the statements that follow. In the same way,
 * `sendLast` lets the last statements share a round trip with Drizzle's COMMIT. If a statement
 * fails whose reply nobody has awaited, the next round trip or COMMIT fails with its error.
 */
export class LineConnection {
  readonly client: PoolClient
  readonly drizzle: NodePgDatabase
  /** Statements whose replies nobody has awaited yet. */
  #unawaited: Promise<unknown>[] = []
  /**
   * The error of the first of these statements that failed; undefined if none has failed in the
   * present transaction. `inTransaction` throws it, because Drizzle wraps the error of COMMIT.
   */
  failure: { error: unknown } | undefined
  readonly #stream: Corkable

  constructor(client: PoolClient) {
    this.client = client
    this.#stream = (client as unknown as { connection: { stream: Corkable } }).connection.stream
    this.drizzle = drizzle(this as unknown as PoolClient)
  }

  /** Called by Drizzle with BEGIN, COMMIT and ROLLBACK. */
  async query({ text }: QueryConfig): Promise<unknown> {
    if (text === 'begin') {
      this.failure = undefined
      this.#unawaited = []
      this.#sendLater(() => [this.client.query(text)])
      return NO_ROWS
    }
    const ending = this.client.query(text)
    ending.catch(() => undefined)
    if (text === 'commit') await this.#awaitSent()
    const result = await ending
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
    const results = Promise.allSettled(sent)
    await this.#awaitSent()
    return (await results).map((result) => {
      if (result.status === 'rejected') throw result.reason
      return result.value
    }) as never
  }

  /**
   * Sends statements without waiting for their replies. COMMIT leaves in the same packet if nothing
   * else is awaited before it.
   */
  sendLast(send: (send: Send) => readonly Sent[]): void {
    this.#sendLater(() => send(this.#send))
  }

  /**
   * Sends statements without waiting for their replies. They leave in the same packet as everything
   * that is sent before the next tick.
   */
  #sendLater(send: () => readonly Promise<unknown>[]): void {
    this.#stream.cork()
    process.nextTick(() => this.#stream.uncork())
    for (const sent of send()) {
      sent.catch(() => undefined)
      this.#unawaited.push(sent)
    }
  }

  /**
   * Awaits the replies that nobody has awaited yet.
   *
   * @throws the driver's error for the first of these statements that failed
   */
  async #awaitSent(): Promise<void> {
    const sent = this.#unawaited
    this.#unawaited = []
    for (const result of await Promise.allSettled(sent)) {
      if (result.status === 'fulfilled') continue
      this.failure = { error: result.reason }
      throw result.reason
    }
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
  const connection = connectionOf(client)
  let failed: { error: unknown } | undefined
  let closes = false
  try {
    return await connection.drizzle.transaction(async () => {
      try {
        return await run(connection)
      } catch (error) {
        failed = { error }
        throw error
      }
    })
  } catch (error) {
    const first = (failed ?? connection.failure ?? { error }).error
    // Drizzle may wrap this error. If ROLLBACK fails as well, it throws only the error of ROLLBACK.
    const isSame = error === first || (error as Error).cause === first
    closes =
      !isSame ||
      (!(error instanceof TransactionRollbackError) && retryRuleOf(error).closesConnection)
    throw first
  } finally {
    client.release(closes)
  }
}
