import { createDatabase, type PruneDeps, type PrunedRows, pruneAll } from '@ticket-line/db'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createLineKit, type LineKit } from './line-kit.ts'

const RETENTION_HOURS = 48
/** More than a step removes at once. */
const MORE_THAN_A_STEP = 6000

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())
beforeEach(() => kit.query('TRUNCATE commands, idempotency_keys, refresh_tokens'))

interface Rows {
  lineName?: string
  hoursAgo: number
  count: number
  /** Time from one row to the next, default 1. */
  stepMs?: number
}

/** Outcomes and keys as lines leave them behind: in order of time. */
async function insert({ lineName = 'event-1', hoursAgo, count, stepMs = 1 }: Rows): Promise<void> {
  await kit.query(
    `WITH n AS (
      SELECT $1 || '.' || lpad(n::text, 21, '0') || '.1.0' AS command_id, $1 || '-key-' || n AS key_hash,
        now() - $2 * interval '1 hour' + n * make_interval(secs => $4::float8 / 1000) AS at
      FROM generate_series(1, $3::int) AS n
    ), keys AS (
      INSERT INTO idempotency_keys SELECT 'kim', key_hash, command_id, at FROM n ORDER BY at
    )
    INSERT INTO commands (command_id, type, event_id, user_id, caller, outcome, accepted_at, decided_at)
      SELECT command_id, 'book', 1, 'kim', 'kim', 'booked', at, at FROM n ORDER BY at`,
    [lineName, hoursAgo, count, stepMs],
  )
}

function prune(deps: Partial<PruneDeps> = {}): Promise<PrunedRows> {
  return pruneAll({
    pool: kit.database.pool,
    retentionHours: RETENTION_HOURS,
    keptLines: [],
    sleep: async () => undefined,
    ...deps,
  })
}

async function linesLeft(): Promise<Record<string, number>> {
  const rows = await kit.query<{ line: string; count: number }>(
    `SELECT split_part(command_id, '.', 1) AS line, count(*)::int AS count FROM commands GROUP BY 1`,
  )
  return Object.fromEntries(rows.map(({ line, count }) => [line, count]))
}

describe('pruning', () => {
  it('reads next to nothing where nothing is due, however often the space was used before', async () => {
    const watched = createDatabase({
      url: kit.databaseUrl,
      poolSize: 1,
      applicationName: 'pruning test',
      connectTimeoutMs: 5000,
      statementTimeoutMs: 10_000,
      idleInTransactionTimeoutMs: 3000,
      onIdleError: () => undefined,
    })
    const pagesRead = async (): Promise<number> => {
      await watched.pool.query('SELECT pg_stat_force_next_flush()')
      const { rows } = await watched.pool.query<{ pages: number }>(
        `SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::int AS pages
         FROM pg_statio_user_tables WHERE relname IN ('commands', 'idempotency_keys')`,
      )
      return rows[0]?.pages ?? 0
    }
    await insert({ lineName: 'event-1', hoursAgo: 60, count: 20_000 })
    await insert({ lineName: 'event-2', hoursAgo: 1, count: 20_000 })
    expect(await prune()).toEqual({ commands: 20_000, idempotencyKeys: 20_000, refreshTokens: 0 })
    await kit.query('VACUUM commands, idempotency_keys')
    await insert({ lineName: 'event-3', hoursAgo: 0.5, count: 20_000 })

    const before = await pagesRead()
    const pruned = await prune({ pool: watched.pool })
    const read = (await pagesRead()) - before

    expect(pruned).toEqual({ commands: 0, idempotencyKeys: 0, refreshTokens: 0 })
    expect(read).toBeLessThan(50)
    await watched.close()
  })

  it('takes the oldest first, and what is left when it is stopped is taken the next time', async () => {
    await insert({ lineName: 'event-2', hoursAgo: 50, count: MORE_THAN_A_STEP })
    await insert({ lineName: 'event-1', hoursAgo: 60, count: 1000 })
    await insert({ lineName: 'event-3', hoursAgo: 47, count: 10 })
    await kit.query('TRUNCATE idempotency_keys')

    await prune({ stopped: () => true })
    const afterOneStep = await linesLeft()
    await prune()

    expect(Object.keys(afterOneStep).toSorted()).toEqual(['event-2', 'event-3'])
    expect(await linesLeft()).toEqual({ 'event-3': 10 })
  })

  it('leaves the outcomes of a kept line, and finds those behind them', async () => {
    await insert({ lineName: 'event-1', hoursAgo: 60, count: 2 * MORE_THAN_A_STEP })
    await insert({ lineName: 'event-11', hoursAgo: 59, count: 10 })
    // All of one time, as no line would write them: this too must come to an end.
    await insert({ lineName: 'event-2', hoursAgo: 55, count: 2 * MORE_THAN_A_STEP, stepMs: 0 })
    await insert({ lineName: 'event-3', hoursAgo: 50, count: 10 })

    const pruned = await prune({ keptLines: ['event-1', 'event-2'] })

    expect(pruned.commands).toBe(20)
    expect(await linesLeft()).toEqual({ 'event-1': 2 * MORE_THAN_A_STEP, 'event-2': 2 * MORE_THAN_A_STEP })
  })

  it('by two processes at once removes every row once', async () => {
    await insert({ hoursAgo: 60, count: 4 * MORE_THAN_A_STEP })

    const pruned = await Promise.all([prune(), prune()])

    expect(pruned[0].commands + pruned[1].commands).toBe(4 * MORE_THAN_A_STEP)
    expect(pruned[0].idempotencyKeys + pruned[1].idempotencyKeys).toBe(4 * MORE_THAN_A_STEP)
    expect(await linesLeft()).toEqual({})
  })

  it('takes keys of a day ago and tokens that ended, and none that is good', async () => {
    await insert({ lineName: 'event-1', hoursAgo: 25, count: 10 })
    await insert({ lineName: 'event-2', hoursAgo: 23, count: 10 })
    await kit.query(`INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at)
      SELECT 'token-' || n, gen_random_uuid(), 'kim', now() + n * interval '1 hour' FROM generate_series(-3, 3) AS n WHERE n <> 0`)

    expect(await prune()).toEqual({ commands: 0, idempotencyKeys: 10, refreshTokens: 3 })
    expect(await kit.query(`SELECT FROM idempotency_keys WHERE key_hash LIKE 'event-2-%'`)).toHaveLength(10)
  })
})
