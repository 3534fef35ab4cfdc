import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { createTally } from '../driver/tally.ts'

const COMMITS = 60

/**
 * Delays every flush of PostgreSQL's WAL until a commit takes about `targetMs`, as on a slower
 * disk.
 *
 * With `commit_delay` the flushing process waits while it holds the WAL write lock. Commits that
 * arrive in that time join its flush. On a slow disk they would have to wait for the next one, so
 * this favors systems with many small transactions.
 *
 * @returns a function that restores the settings
 */
export async function slowCommits(url: string, targetMs: number): Promise<() => Promise<void>> {
  const delayUs = Math.max(0, Math.round((targetMs - (await measureCommitMs(url))) * 1000))
  await alterSystem(url, [
    `ALTER SYSTEM SET commit_delay = ${delayUs}`,
    'ALTER SYSTEM SET commit_siblings = 0',
  ])
  return () =>
    alterSystem(url, ['ALTER SYSTEM RESET commit_delay', 'ALTER SYSTEM RESET commit_siblings'])
}

/** @returns the median time of a commit of a single client, ms */
export async function measureCommitMs(url: string): Promise<number> {
  return withClient(url, async (client) => {
    const tally = createTally()
    await client.query('CREATE TABLE IF NOT EXISTS bench_commit (at timestamptz)')
    for (let i = 0; i < COMMITS; i++) {
      await client.query('BEGIN')
      await client.query('INSERT INTO bench_commit VALUES (now())')
      const startedAt = performance.now()
      await client.query('COMMIT')
      tally.add(performance.now() - startedAt)
    }
    await client.query('DROP TABLE bench_commit')
    return tally.percentile(0.5)
  })
}

async function alterSystem(url: string, statements: string[]): Promise<void> {
  await withClient(url, async (client) => {
    for (const statement of statements) await client.query(statement)
    await client.query('SELECT pg_reload_conf()')
  })
  // Running sessions reload their settings a moment later.
  await sleep(200)
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
