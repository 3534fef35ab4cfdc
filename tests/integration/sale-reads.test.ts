import {
  createDatabase,
  type Pool,
  readPlainEvents,
  readSales,
  type SaleQuestion,
} from '@ticket-line/db'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createLineKit, type LineKit } from './line-kit.ts'

const ROWS = 50_000

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())

/** A connection like those of the API, which have no planner settings. */
function apiPool(): Pool {
  const { pool, close } = createDatabase({
    url: kit.databaseUrl,
    poolSize: 1,
    applicationName: 'sale reads',
    connectTimeoutMs: 5000,
    statementTimeoutMs: 10_000,
    idleInTransactionTimeoutMs: 10_000,
    onIdleError: () => undefined,
  })
  onTestFinished(close)
  return pool
}

async function readOne(question: SaleQuestion) {
  return (await readSales(apiPool(), [question])).get(question)
}

describe('the read of a sale', () => {
  it('finds each event, claim and key by its index', async () => {
    await kit.query(
      `INSERT INTO events (event_id, total_tickets, available_tickets)
        SELECT n, 5, 5 FROM generate_series(100001, 100000 + $1::int) AS n`,
      [ROWS],
    )
    await kit.query(
      `INSERT INTO claims SELECT 100001, 'user-' || n, 'waiting', n FROM generate_series(1, $1::int) AS n`,
      [ROWS],
    )
    await kit.query(
      `INSERT INTO idempotency_keys (caller, key_hash, command_id, created_at)
        SELECT 'ada', 'key-' || n, 'c-' || n, now() FROM generate_series(1, $1::int) AS n`,
      [ROWS],
    )
    await kit.query('ANALYZE events, claims, idempotency_keys')
    const pool = apiPool()
    const questions = Array.from({ length: 300 }, (_, n) => ({
      eventId: 100_001 + (n % 3),
      userId: `user-${n}`,
      key: { caller: 'ada', keyHash: `key-${n}` },
    }))
    const plans: string[] = []
    const explaining = {
      async query(statement: { text: string; values: unknown[] }) {
        const { rows } = await pool.query<{ 'QUERY PLAN': string }>(
          `EXPLAIN (ANALYZE, BUFFERS) ${statement.text}`,
          statement.values,
        )
        plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'))
        return { rows: [] }
      },
    } as unknown as Pool
    await readSales(
      explaining,
      questions.map(({ eventId }) => ({ eventId })),
    )
    const [ofEvents] = plans.splice(0)
    expect(ofEvents).toMatch(/Index Scan using events_pkey on events/)
    expect(ofEvents).toMatch(/Index Cond: \(event_id = ANY/)
    await readPlainEvents(explaining, 100_001, 1000)
    const [ahead] = plans.splice(0)
    expect(ahead).toMatch(/Index Scan using events_pkey on events .*actual .*rows=1000 /)
    await readSales(explaining, questions.slice(0, 1))
    await readSales(explaining, questions)
    expect(plans).toHaveLength(2)
    for (const plan of plans) {
      expect(plan).not.toMatch(/(Seq|Bitmap \w+) Scan on (events|claims|idempotency_keys)/)
      for (const condition of [
        /Index Cond: \(event_id = q\.event_id\)/,
        /Index Cond: \(\(user_id = .*q\.user_id.*\) AND \(event_id = q\.event_id\)/,
        /Index Cond: \(\(caller = \(?q\.caller.*AND \(key_hash = \(?q\.key_hash/,
      ])
        expect(plan).toMatch(condition)
    }
    expect((await readSales(pool, questions)).size).toBe(300)
  })

  it('tells each question about its own event, claim and key', async () => {
    for (const eventId of [1, 2]) await kit.createEvent(eventId, 5)
    await kit.query(
      `INSERT INTO claims VALUES (1, 'ada', 'booking', 1), (1, 'bob', 'waiting', 2), (1, 'cleo', 'held', 3), (1, 'dora', 'lapsed', 4)`,
    )
    await kit.query(
      `INSERT INTO idempotency_keys (caller, key_hash, command_id, created_at) VALUES ('ada', 'k', 'c', now())`,
    )
    const questions: SaleQuestion[] = [
      { eventId: 1 },
      { eventId: 3 },
      ...['ada', 'bob', 'cleo', 'dora', 'eve'].map((userId) => ({ eventId: 1, userId })),
      { eventId: 2, userId: 'ada', key: { caller: 'ada', keyHash: 'k' } },
      { eventId: 2, userId: 'ada', key: { caller: 'bob', keyHash: 'k' } },
    ]
    const found = await readSales(apiPool(), questions)
    const seen = questions.map((question) => {
      const sale = found.get(question)
      return sale && [sale.hasClaim, sale.hasKey]
    })
    expect(seen).toEqual([
      [false, false],
      undefined,
      [true, false],
      [true, false],
      [true, false],
      [false, false],
      [false, false],
      [false, true],
      [false, false],
    ])
    expect(new Set([...found.values()].map(({ nowMs }) => nowMs)).size).toBe(1)
  })

  it('reads each event once if no question is about a user or a key', async () => {
    await kit.createEvent(4, 5)
    await kit.query(
      `UPDATE events SET opens_at = to_timestamp(1.5), confirmation = 'staff' WHERE event_id = 4`,
    )
    const questions: SaleQuestion[] = [{ eventId: 4 }, { eventId: 4 }, { eventId: 5 }]
    const found = await readSales(apiPool(), questions)
    const [first, second, unknown] = questions.map((question) => found.get(question))
    expect(first).toEqual({
      nowMs: expect.any(Number),
      isPlain: false,
      confirmation: 'staff',
      canceledAtMs: null,
      opensAtMs: 1500,
      closesAtMs: null,
      paused: false,
      hasClaim: false,
      hasKey: false,
    })
    expect(second).toBe(first)
    expect(unknown).toBeUndefined()
    const asked = { eventId: 4, userId: 'nobody' }
    const alone = (await readSales(apiPool(), [asked])).get(asked)
    expect(alone).toEqual({ ...first, nowMs: expect.any(Number) })
    expect(Math.abs((alone?.nowMs ?? 0) - Date.now())).toBeLessThan(60_000)
  })

  it.each([
    ['opens_at', 'now()'],
    ['closes_at', 'now()'],
    ['canceled_at', 'now()'],
    ['paused', 'true'],
    ['promoting', 'false'],
    ['hold_seconds', '5'],
    ['offer_seconds', '5'],
    ['max_waiting', '0'],
    ['capacity', '9'],
    ['version', '2'],
  ])('does not take an event with another %s for a plain one', async (column, value) => {
    await kit.query('DELETE FROM events WHERE event_id = 7')
    await kit.createEvent(7, 5)
    expect(await readOne({ eventId: 7 })).toMatchObject({ isPlain: true, paused: false })
    expect(await readPlainEvents(apiPool(), 7, 1)).toEqual([7])
    const free = column === 'canceled_at' ? ', available_tickets = 0' : ''
    await kit.query(`UPDATE events SET ${column} = ${value}${free} WHERE event_id = 7`)
    expect(await readOne({ eventId: 7 })).toMatchObject({ isPlain: false })
    expect(await readPlainEvents(apiPool(), 7, 1)).toEqual([])
  })

  it('finds the plain ones among the next events', async () => {
    for (const eventId of [20, 22, 24, 26]) await kit.createEvent(eventId, 5)
    await kit.query('UPDATE events SET paused = true WHERE event_id = 22')
    const pool = apiPool()
    expect(await readPlainEvents(pool, 20, 3)).toEqual([20, 24])
    expect(await readPlainEvents(pool, 21, 3)).toEqual([24, 26])
    expect(await readPlainEvents(pool, 9_000_000, 3)).toEqual([])
  })
})
