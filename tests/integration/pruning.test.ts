import {
  createAcceptedJobStore,
  createDatabase,
  type Database,
  linesToKeep,
  type PruneDeps,
  type PrunedRows,
  pruneAll,
} from '@ticket-line/db'
import { commandIdOf, newJobId } from '@ticket-line/shared'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { metricIn, readMetrics } from '../stack/metrics.ts'
import { startSystem } from '../stack/system.ts'
import { command, createLineKit, type KitJob, kindsOf, type LineKit } from './line-kit.ts'

const RETENTION_HOURS = 48
const CHANGES_DAYS = 90
/** More rows than one step removes. */
const MORE_THAN_A_STEP = 6000

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())
beforeEach(() =>
  kit.query(
    'TRUNCATE commands, idempotency_keys, refresh_tokens, pruned_lines, forgotten_commands',
  ),
)

interface Rows {
  lineName?: string
  hoursAgo: number
  count: number
  /** Time in ms between two rows; the default is 1. */
  stepMs?: number
}

/** Inserts commands and keys in order of time, as a line leaves them. */
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
    changesRetentionDays: CHANGES_DAYS,
    keptLines: [],
    linesKeepingKeys: [],
    ...deps,
  })
}

async function linesLeft(): Promise<Record<string, number>> {
  const rows = await kit.query<{ line: string; count: number }>(
    `SELECT split_part(command_id, '.', 1) AS line, count(*)::int AS count FROM commands GROUP BY 1`,
  )
  return Object.fromEntries(rows.map(({ line, count }) => [line, count]))
}

/** A database with one connection, whose reads can be counted. */
const separateDatabase = (): Database =>
  createDatabase({
    url: kit.databaseUrl,
    poolSize: 1,
    applicationName: 'pruning test',
    connectTimeoutMs: 5000,
    statementTimeoutMs: 10_000,
    idleInTransactionTimeoutMs: 3000,
    onIdleError: () => undefined,
  })

/** How many pages of these tables and their indexes were read so far. */
async function pagesRead({ pool }: Database, tables: string[]): Promise<number> {
  await pool.query('SELECT pg_stat_force_next_flush()')
  const { rows } = await pool.query<{ pages: number }>(
    `SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::int AS pages
      FROM pg_statio_user_tables WHERE relname = ANY ($1)`,
    [tables],
  )
  return rows[0]?.pages ?? 0
}

describe('pruning', () => {
  it('removes API keys that were deleted 90 days ago, and no other keys', async () => {
    await kit.query(`INSERT INTO api_keys (key_id, user_id, external, role, name, scopes, key_hash, deleted_at)
      SELECT 'key-' || coalesce(days, 0), 'kim', false, 'organizer', 'Shop', '{events:read}', '',
        now() - days * interval '1 day'
      FROM unnest('{91, 89, NULL}'::int[]) AS days`)
    expect((await prune()).apiKeys).toBe(1)
    expect(await kit.query('SELECT key_id FROM api_keys ORDER BY 1')).toEqual([
      { key_id: 'key-0' },
      { key_id: 'key-89' },
    ])
    await kit.query('TRUNCATE api_keys')
  })

  it('removes claims of holds that lapsed 24 hours ago, and no other claims', async () => {
    await kit.createEvent(90, 5)
    await kit.createEvent(91, 5)
    await kit.query(`INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at, canceled_at)
      SELECT event_id, n, 'user-' || n, CASE WHEN n = 1 THEN 'confirmed' ELSE 'expired' END, false, now(),
        now() - interval '24 hours' + CASE WHEN n = 2 THEN interval '1 minute' ELSE interval '-1 second' END
      FROM generate_series(1, 1500) AS n, unnest('{90, 91}'::int[]) AS event_id`)
    await kit.query(`INSERT INTO claims SELECT event_id, user_id,
        CASE status WHEN 'confirmed' THEN 'booking' ELSE 'lapsed' END, sequence FROM bookings WHERE event_id >= 90`)
    const left = () =>
      kit.query('SELECT event_id, user_id FROM claims WHERE event_id >= 90 ORDER BY 1, 2')
    const locker = new pg.Client({ connectionString: kit.databaseUrl })
    await locker.connect()
    onTestFinished(() => locker.end())
    await locker.query('BEGIN; SELECT FROM events WHERE event_id = 91 FOR UPDATE')
    const steps: number[] = []

    // The claims of an event that is locked wait for the next run.
    const removed = await prune({ onProgress: ({ lapsedClaims }) => steps.push(lapsedClaims) })
    expect(removed.lapsedClaims).toBe(1498)
    expect(steps.length).toBeGreaterThan(2)
    await locker.query('ROLLBACK')
    expect((await prune()).lapsedClaims).toBe(1498)

    expect(await left()).toEqual(
      ['90', '91'].flatMap((event_id) =>
        ['user-1', 'user-2'].map((user_id) => ({ event_id, user_id })),
      ),
    )
    expect((await prune()).lapsedClaims).toBe(0)
    await kit.query('DELETE FROM claims; DELETE FROM bookings')
  })

  it('reads no other claims in order to find those of lapsed holds', async () => {
    const separate = separateDatabase()
    onTestFinished(() => separate.close())
    // The planner looks for the lowest and the highest key, and passes over the dead rows of
    // earlier tests.
    await kit.query('VACUUM claims')
    // The same connection inserts the rows, so that the pages are counted before the first reading.
    await separate.pool.query(`INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at, canceled_at)
      SELECT 92, n, 'user-' || n, 'expired', false, now(), now() FROM generate_series(1, 100) AS n`)
    await separate.pool.query(`INSERT INTO claims SELECT 92, 'user-' || n, CASE WHEN n <= 100 THEN 'lapsed' ELSE 'booking' END, n
      FROM generate_series(1, 50000) AS n`)

    const before = await pagesRead(separate, ['claims'])
    expect((await prune({ pool: separate.pool })).lapsedClaims).toBe(0)
    const read = (await pagesRead(separate, ['claims'])) - before

    expect(read).toBeGreaterThan(0)
    expect(read).toBeLessThan(150)
    await kit.query('DELETE FROM claims; DELETE FROM bookings')
  })

  it('reads almost no pages if nothing is old enough to prune', async () => {
    const separate = separateDatabase()
    const tables = ['commands', 'idempotency_keys']
    await insert({ lineName: 'event-1', hoursAgo: 60, count: 20_000 })
    await insert({ lineName: 'event-2', hoursAgo: 1, count: 20_000 })
    expect(await prune()).toEqual({
      commands: 20_000,
      idempotencyKeys: 20_000,
      refreshTokens: 0,
      apiKeys: 0,
      lapsedClaims: 0,
      changes: 0,
    })
    await kit.query('VACUUM commands, idempotency_keys')
    await insert({ lineName: 'event-3', hoursAgo: 0.5, count: 20_000 })

    const before = await pagesRead(separate, tables)
    const pruned = await prune({ pool: separate.pool })
    const read = (await pagesRead(separate, tables)) - before

    expect(pruned).toEqual({
      commands: 0,
      idempotencyKeys: 0,
      refreshTokens: 0,
      apiKeys: 0,
      lapsedClaims: 0,
      changes: 0,
    })
    expect(read).toBeLessThan(50)
    await separate.close()
  })

  it('removes the oldest rows first and continues after a stop', async () => {
    await insert({ lineName: 'event-2', hoursAgo: 50, count: MORE_THAN_A_STEP })
    await insert({ lineName: 'event-1', hoursAgo: 60, count: 1000 })
    await insert({ lineName: 'event-3', hoursAgo: 47, count: 10 })
    await kit.query('TRUNCATE idempotency_keys')

    await prune({ signal: AbortSignal.abort() })
    const afterOneStep = await linesLeft()
    await prune()

    expect(Object.keys(afterOneStep).toSorted()).toEqual(['event-2', 'event-3'])
    expect(await linesLeft()).toEqual({ 'event-3': 10 })
  })

  it('keeps the outcomes of given lines and removes newer ones of other lines', async () => {
    await insert({ lineName: 'event-1', hoursAgo: 60, count: 2 * MORE_THAN_A_STEP })
    await insert({ lineName: 'event-11', hoursAgo: 59, count: 10 })
    // All rows have the same time. No line writes such rows, but pruning must still end.
    await insert({ lineName: 'event-2', hoursAgo: 55, count: 2 * MORE_THAN_A_STEP, stepMs: 0 })
    await insert({ lineName: 'event-3', hoursAgo: 50, count: 10 })

    const pruned = await prune({ keptLines: ['event-1', 'event-2'] })

    expect(pruned.commands).toBe(20)
    expect(await linesLeft()).toEqual({
      'event-1': 2 * MORE_THAN_A_STEP,
      'event-2': 2 * MORE_THAN_A_STEP,
    })
  })

  it('removes every row once when two processes prune at once', async () => {
    await insert({ hoursAgo: 60, count: 4 * MORE_THAN_A_STEP })

    const pruned = await Promise.all([prune(), prune()])

    expect(pruned[0].commands + pruned[1].commands).toBe(4 * MORE_THAN_A_STEP)
    expect(pruned[0].idempotencyKeys + pruned[1].idempotencyKeys).toBe(4 * MORE_THAN_A_STEP)
    expect(await linesLeft()).toEqual({})
  })

  it('removes expired tokens, and idempotency keys after 24 hours', async () => {
    await insert({ lineName: 'event-1', hoursAgo: 25, count: 10 })
    await insert({ lineName: 'event-2', hoursAgo: 23, count: 10 })
    await kit.query(`INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at)
      SELECT 'token-' || n, gen_random_uuid(), 'kim', now() + n * interval '1 hour' FROM generate_series(-3, 3) AS n WHERE n <> 0`)

    expect(await prune()).toEqual({
      commands: 0,
      idempotencyKeys: 10,
      refreshTokens: 3,
      apiKeys: 0,
      lapsedClaims: 0,
      changes: 0,
    })
    expect(
      await kit.query(`SELECT FROM idempotency_keys WHERE key_hash LIKE 'event-2-%'`),
    ).toHaveLength(10)
  })
})

describe('a job that is older than pruned outcomes of its line', () => {
  const HOUR_MS = 3_600_000
  const oldJob = (eventId: number, hoursAgo: number): KitJob => {
    const acceptedAtMs = Date.now() - hoursAgo * HOUR_MS
    const jobId = newJobId(`event-${eventId}`, 1, acceptedAtMs)
    const commands = [command('book', eventId, `user-${hoursAgo}`)]
    return { jobId, acceptedAtMs, commands, id: (index) => commandIdOf(jobId, index) }
  }
  const age = (hours: number) =>
    kit.query('UPDATE commands SET decided_at = decided_at - make_interval(hours => $1)', [hours])

  it('sets a job aside that is older than pruned outcomes of its line', async () => {
    await kit.createEvent(7, 10)
    const jobs = [60, 59, 30, 0].map((hoursAgo) => oldJob(7, hoursAgo)) as [
      KitJob,
      KitJob,
      KitJob,
      KitJob,
    ]
    const [first, second, kept, recent] = jobs
    await kit.apply(first)
    await kit.apply(second)
    await age(59)
    const [keptOutcome] = (await kit.apply(kept)).outcomes
    expect(await prune()).toMatchObject({ commands: 2 })

    for (const again of [first, second])
      await expect(kit.apply(again)).rejects.toMatchObject({ name: 'SetAsideError' })
    await expect(kit.apply(oldJob(7, 61))).rejects.toMatchObject({ name: 'SetAsideError' })
    expect((await kit.apply(kept)).outcomes).toEqual([keptOutcome])
    expect(kindsOf(await kit.apply(recent))).toEqual(['booked'])
    expect(await kit.query('SELECT FROM bookings WHERE event_id = 7')).toHaveLength(4)
  })

  it('sets a job aside that is older than pruned outcomes even if its API’s clock was ahead', async () => {
    await kit.createEvent(8, 10)
    const job = oldJob(8, 0)
    await kit.apply(job)
    await age(60)
    expect(await prune()).toMatchObject({ commands: 1 })

    await expect(kit.apply(job)).rejects.toMatchObject({ name: 'SetAsideError' })
    await expect(kit.apply(job, true)).rejects.toMatchObject({ name: 'SetAsideError' })
    // That clock does not affect jobs of other APIs.
    expect(kindsOf(await kit.apply(oldJob(8, 1)))).toEqual(['booked'])
  })

  it('runs a job normally if only outcomes of earlier jobs were pruned', async () => {
    await kit.createEvent(9, 10)
    expect(kindsOf(await kit.apply(oldJob(9, 100)))).toEqual(['booked'])
    await kit.createEvent(10, 10)
    await kit.apply(oldJob(10, 200))
    await age(200)
    expect(await prune()).toMatchObject({ commands: 2 })

    expect(kindsOf(await kit.apply(oldJob(10, 100)))).toEqual(['booked'])
  })
})

describe('pruning of changes', () => {
  beforeEach(() =>
    kit.query(`BEGIN; SET LOCAL ticket_line.pruning = 'on'; TRUNCATE changes; COMMIT`),
  )

  /** Logs `count` changes of an event, an hour apart, the last one `daysAgo`. */
  async function log(eventId: number, daysAgo: number, count = 1, from = 1): Promise<void> {
    await kit.query(
      `INSERT INTO changes (event_id, no, at, type) SELECT $1::bigint, $4::bigint + n,
         now() - $2::float8 * interval '1 day' - ($3::bigint - n - 1) * interval '1 hour', 'event.updated'
       FROM generate_series(0, $3::bigint - 1) AS n`,
      [eventId, daysAgo, count, from],
    )
  }

  async function left(): Promise<Record<string, string>> {
    const rows = await kit.query<{ event_id: string; numbers: string }>(
      `SELECT event_id, min(no) || '-' || max(no) AS numbers FROM changes GROUP BY 1
       HAVING count(*) = max(no) - min(no) + 1`,
    )
    return Object.fromEntries(rows.map(({ event_id, numbers }) => [event_id, numbers]))
  }

  it('removes changes that are older than the retention, and keeps the last one of each event', async () => {
    await log(1, 91, 10)
    await log(1, 1, 3, 11)
    await log(2, 200, 10)
    await log(3, 89, 10)
    await log(4, 89, 48)
    const { changes } = await prune()

    // Changes 1 to 24 of event 4 are 90 days old.
    expect(changes).toBe(10 + 9 + 24)
    expect(await left()).toEqual({ 1: '11-13', 2: '10-10', 3: '1-10', 4: '25-48' })
    expect((await prune()).changes).toBe(0)
  })

  it('keeps the changes of an event until the retention after its end', async () => {
    for (const eventId of [50, 51, 52]) {
      await kit.createEvent(eventId, 5)
      await log(eventId, 200, 5, 2)
    }
    // The creation is as old as the changes after it.
    await kit.query(`BEGIN; SET LOCAL ticket_line.pruning = 'on';
      UPDATE changes SET at = now() - interval '300 days' WHERE no = 1; COMMIT`)
    await kit.query(`UPDATE events SET ends_at = now() - CASE event_id WHEN 50 THEN interval '89 days'
      ELSE interval '91 days' END WHERE event_id IN (50, 51)`)
    await prune()

    expect(await left()).toEqual({ 50: '1-6', 51: '6-6', 52: '6-6' })
  })

  it('leaves no gap although the clock of PostgreSQL was set back', async () => {
    await log(1, 100, 3)
    await log(1, 10, 2, 4)
    await log(1, 100, 3, 6)
    await prune()

    expect(await left()).toEqual({ 1: '4-8' })
  })

  it('removes the changes of a long log and of many short ones in portions', async () => {
    await log(1, 100, 3 * MORE_THAN_A_STEP)
    await kit.query(`INSERT INTO changes (event_id, no, at, type)
      SELECT 1000 + event, no, now() - interval '100 days', 'event.updated'
      FROM generate_series(1, 1500) AS event, generate_series(1, 1 + event % 20) AS no`)
    const steps: number[] = []
    const { changes } = await prune({ onProgress: (removed) => steps.push(removed.changes) })

    const kept = Object.values(await left())
    expect(kept).toHaveLength(1501)
    expect(kept.every((numbers) => new Set(numbers.split('-')).size === 1)).toBe(true)
    expect(changes).toBe(3 * MORE_THAN_A_STEP - 1 + 75 * 190)
    expect(Math.max(...steps.slice(1).map((removed, i) => removed - (steps[i] ?? 0)))).toBeLessThan(
      MORE_THAN_A_STEP,
    )
  })

  it('reads one change of each event if none is old', async () => {
    const separate = separateDatabase()
    onTestFinished(() => separate.close())
    await separate.pool.query(`INSERT INTO changes (event_id, no, at, type)
      SELECT 1 + n % 2, n, now(), 'event.updated' FROM generate_series(1, 50000) AS n`)

    const before = await pagesRead(separate, ['changes'])
    expect((await prune({ pool: separate.pool })).changes).toBe(0)
    const read = (await pagesRead(separate, ['changes'])) - before

    expect(read).toBeGreaterThan(0)
    expect(read).toBeLessThan(30)
  })

  it('prunes no changes in a run without them', async () => {
    await log(1, 100, 2)
    expect((await prune({ changesRetentionDays: undefined })).changes).toBe(0)
    expect(await left()).toEqual({ 1: '1-2' })
  })
})

describe('the idempotency keys of a line', () => {
  it('keeps keys while a queued job of their line may repeat them', async () => {
    await insert({ lineName: 'event-1', hoursAgo: 40, count: 10 })
    await insert({ lineName: 'event-2', hoursAgo: 40, count: 10 })

    const removed = await prune({ linesKeepingKeys: ['event-1'] })

    expect(removed.idempotencyKeys).toBe(10)
    expect(
      await kit.query(`SELECT FROM idempotency_keys WHERE key_hash LIKE 'event-1-%'`),
    ).toHaveLength(10)
  })

  it('chooses the lines whose keys and outcomes are kept by the age of their queued jobs', async () => {
    const nowMs = 1e12
    const asked: number[] = []
    const registry = {
      linesWithJobsBefore: async (beforeMs: number) => {
        asked.push((nowMs - beforeMs) / 60_000)
        return [`line-${asked.length}`]
      },
    }

    expect(await linesToKeep([registry], 48, nowMs)).toEqual({
      keptLines: ['line-1'],
      linesKeepingKeys: ['line-2'],
    })
    expect(asked).toEqual([47 * 60, 10])
  })

  it('keeps the outcomes and keys of lines whose accepted jobs Redis may have lost', async () => {
    const old = kit.job(command('book', 7, 'ann'))
    const young = kit.job(command('book', 8, 'ann'))
    const store = createAcceptedJobStore(kit.database.pool)
    onTestFinished(() => void kit.query('TRUNCATE accepted_jobs'))
    for (const [{ jobId, acceptedAtMs, commands }, hoursAgo] of [
      [old, 50],
      [young, 1],
    ] as const) {
      const payload = { v: 3, acceptedAtMs, commands }
      await store.record([{ jobId, lineName: `event-${commands[0]?.eventId}`, payload }])
      await kit.query(
        `UPDATE accepted_jobs SET accepted_at = now() - $2 * interval '1 hour' WHERE job_id = $1`,
        [jobId, hoursAgo],
      )
    }
    const registry = { linesWithJobsBefore: async () => ['event-7', 'event-9'] }

    const { keptLines, linesKeepingKeys } = await linesToKeep([registry, store], 48, Date.now())

    expect(keptLines.sort()).toEqual(['event-7', 'event-9'])
    expect(linesKeepingKeys.sort()).toEqual(['event-7', 'event-8', 'event-9'])
  })
})

describe('a pruning step that is blocked', { timeout: 60_000 }, () => {
  /** Inserts an expired token and locks its row. */
  async function lockExpiredToken(databaseUrl: string): Promise<{ release: () => Promise<void> }> {
    const holder = new pg.Client({ connectionString: databaseUrl })
    await holder.connect()
    onTestFinished(() => holder.end())
    await holder.query(`INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at)
      VALUES ('old', gen_random_uuid(), 'kim', now() - interval '1 hour')`)
    await holder.query(`BEGIN; SELECT FROM refresh_tokens WHERE token_hash = 'old' FOR UPDATE`)
    return { release: async () => void (await holder.query('COMMIT')) }
  }

  it('ends a blocked pruning step after five seconds and removes its rows in the next', async () => {
    const { release } = await lockExpiredToken(kit.databaseUrl)
    const startedAt = performance.now()

    await expect(prune()).rejects.toMatchObject({ code: '57014' })

    expect(performance.now() - startedAt).toBeLessThan(8000)
    await release()
    expect(await prune()).toEqual({
      commands: 0,
      idempotencyKeys: 0,
      refreshTokens: 1,
      apiKeys: 0,
      lapsedClaims: 0,
      changes: 0,
    })
  })

  it('keeps a worker ready during a blocked pruning step and shows it in a metric', async () => {
    const system = await startSystem({ apis: 0, workers: 0, env: { PRUNE_INTERVAL_MS: '100' } })
    onTestFinished(() => system.stop())
    const { release } = await lockExpiredToken(system.databaseUrl)
    const { url } = await system.addWorker()
    const stuck = new pg.Client({ connectionString: system.databaseUrl })
    await stuck.connect()
    onTestFinished(() => stuck.end())
    const isStuck = async (): Promise<boolean> => {
      const { rows } = await stuck.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'booking-worker maintenance' AND wait_event_type = 'Lock'
           AND datname = current_database()`,
      )
      return rows.length > 0
    }
    const prunedAtS = async () =>
      metricIn(await readMetrics(url), 'ticket_line_last_prune_timestamp_seconds')
    expect(await until(isStuck, { timeoutMs: 10_000 })).toBe(true)

    const ready = await fetch(`${url}/readyz`)

    expect([ready.status, await isStuck()]).toEqual([200, true])
    expect(await prunedAtS()).toBe(0)
    const releasedAtS = Date.now() / 1000
    await release()
    expect(await until(async () => (await prunedAtS()) >= releasedAtS, { timeoutMs: 15_000 })).toBe(
      true,
    )
  })
})
