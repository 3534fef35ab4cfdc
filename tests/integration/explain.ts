import { createDatabase, type Database, type Pool } from '@ticket-line/db'
import { expect } from 'vitest'

/** Opens one connection for reads, like those of the API but without parallel plans. */
export function openReads(databaseUrl: string): Database {
  return createDatabase({
    url: databaseUrl,
    poolSize: 1,
    applicationName: 'reads',
    connectTimeoutMs: 5000,
    statementTimeoutMs: 30_000,
    idleInTransactionTimeoutMs: 10_000,
    sessionSettings: { max_parallel_workers_per_gather: '0' },
    onIdleError: () => undefined,
  })
}

type Statement = string | { text: string; values: unknown[] }

/** Explains the statement that a read sends. @returns its plan, and how many pages it used */
export async function explainOn(
  pool: Pool,
  read: (explaining: Pool) => Promise<unknown>,
): Promise<{ plan: string; pages: number }> {
  let plan = ''
  const explaining = {
    async query(statement: Statement, given?: unknown[]) {
      const { text, values } =
        typeof statement === 'string' ? { text: statement, values: given } : statement
      const { rows } = await pool.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN (ANALYZE, BUFFERS) ${text}`,
        values,
      )
      const lines = rows.map((row) => row['QUERY PLAN'])
      // The pages of planning are listed apart.
      plan = lines.slice(0, lines.indexOf('Planning:')).join('\n')
      return { rows: [] }
    },
  } as unknown as Pool
  // A read may fail because it gets no row, but only after its statement was explained.
  await read(explaining).catch((error: unknown) => {
    if (plan === '') throw error
  })
  expect(plan).not.toBe('')
  const [, hit = 0, fetched = 0] = /Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?/.exec(plan) ?? []
  return { plan, pages: Number(hit) + Number(fetched) }
}
