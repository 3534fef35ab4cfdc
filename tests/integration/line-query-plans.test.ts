import { applyJob } from '@ticket-line/booking-worker/booking'
import {
  createDatabase,
  createEvent,
  createLineStore,
  type Database,
  KEYED_PLANS,
} from '@ticket-line/db'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { command, createLineKit, jobToApply, type LineKit } from './line-kit.ts'

/** The columns that must find the rows of each table. Fewer columns would read other rows too. */
const KEYS: Record<string, string[]> = {
  events: ['event_id'],
  claims: ['event_id', 'user_id'],
  bookings: ['event_id', 'sequence'],
  waitlist_entries: ['event_id', 'sequence'],
  waitlist_blocks: ['event_id', 'block'],
  commands: ['command_id'],
  forgotten_commands: ['command_id'],
  idempotency_keys: ['caller', 'key_hash'],
}

/** The columns that must find the rows in an index that has only holds, in the order they end. */
const KEYS_OF_INDEX: Record<string, string[]> = {
  bookings_held: ['event_id'],
  bookings_expiring: ['event_id'],
}

/** The names of all prepared statements that a batch can send. */
const STATEMENTS = [
  ...[
    'lock_events',
    'read_stored',
    'read_claims',
    'read_heads',
    'read_keys',
    'update_events',
    'insert_claims',
  ],
  ...[
    'move_claims',
    'delete_claims',
    'insert_bookings',
    'change_bookings',
    'insert_entries',
    'leave_entries',
  ],
  ...[
    'read_lapsed',
    'read_due',
    'read_expiring',
    'read_details',
    'insert_holds',
    'update_settings',
    'book_free',
    'grow_blocks',
    'shrink_blocks',
    'insert_commands',
    'insert_changes',
    'delete_expired_keys',
    'insert_keys',
  ],
].map((name) => `line_${name}`)

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows': number
  'Shared Hit Blocks': number
  'Index Cond'?: string
  'TID Cond'?: string
  Plans?: PlanNode[]
}

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())

/** Opens one connection and records the last values of each prepared statement on it. */
function recordedConnection(sessionSettings: Record<string, string>): {
  database: Database
  sent: Map<string, unknown[]>
} {
  const sent = new Map<string, unknown[]>()
  const database = createDatabase({
    url: kit.databaseUrl,
    poolSize: 1,
    applicationName: 'plans',
    connectTimeoutMs: 5000,
    statementTimeoutMs: 10_000,
    idleInTransactionTimeoutMs: 10_000,
    pipeline: true,
    sessionSettings,
    onIdleError: () => undefined,
  })
  database.pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown
    Object.assign(client, {
      query(...args: unknown[]) {
        const [config] = args as [{ name?: string; values?: unknown[] }]
        if (config?.name !== undefined) sent.set(config.name, config.values ?? [])
        return query(...args)
      },
    })
  })
  return { database, sent }
}

/** Sends every statement of a batch at least once. */
async function runEverything({ database }: { database: Database }, eventId: number): Promise<void> {
  await createEvent(database.pool, eventId, 2)
  const apply = (...commands: Parameters<LineKit['job']>) =>
    applyJob(
      { ...kit.applyDeps, store: createLineStore(database.pool, database.pool) },
      jobToApply(kit.job(...commands)),
    )
  const alone = {
    commandId: `event-${eventId}.alone.1.0`,
    type: 'book' as const,
    eventId,
    userId: 'h',
    caller: 'h',
    acceptedAtMs: 0,
  }
  await createLineStore(database.pool, database.pool).bookFree([alone])
  await apply(command('cancel', eventId, 'h'))
  // Two bookings and five waiting-list entries, and then every kind of cancellation.
  await apply(
    ...['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((userId) =>
      command('book', eventId, userId, { keyHash: `k${eventId}` }),
    ),
  )
  await apply(
    command('book', eventId, 'e'),
    command('cancel', eventId, 'a'),
    command('cancel', eventId, 'd'),
  )
  // Holds and offers: b holds nothing yet, c is promoted to an offer, and h's hold lapses.
  await apply(
    command('configure', eventId, 'staff', { patch: { offerSeconds: 60, name: 'a "name"' } }),
    command('cancel', eventId, 'b'),
  )
  await apply(
    command('extend', eventId, 'e', { seconds: 90 }),
    command('confirm', eventId, 'e', { bookingId: `${eventId}-1` }),
    command('grant', eventId, 'z', { raiseCapacity: true }),
  )
  await apply(command('settle', eventId, ''))
}

/** Describes the scans in this connection's plans that do not find rows by their key. */
async function badScans({
  database,
  sent,
}: ReturnType<typeof recordedConnection>): Promise<string[]> {
  const bad: string[] = []
  for (const [name, values] of sent) {
    if (!name.startsWith('line_')) continue
    const literals = values.map((value) =>
      value === null ? 'NULL' : pg.escapeLiteral(String(value)),
    )
    const { rows } = await database.pool.query(
      `EXPLAIN (FORMAT JSON) EXECUTE ${name}(${literals.join(', ')})`,
    )
    for (const node of nodesOf(
      (rows[0] as { 'QUERY PLAN': [{ Plan: PlanNode }] })['QUERY PLAN'][0].Plan,
    )) {
      const { 'Relation Name': table, 'Node Type': type, 'Index Cond': condition = '' } = node
      const index = node['Index Name'] ?? ''
      // A TID scan fetches a row that was found by its key before.
      if (table === undefined || type === 'ModifyTable' || node['TID Cond'] !== undefined) continue
      const columns = KEYS_OF_INDEX[index] ?? KEYS[table]
      const found =
        columns?.every((column) => new RegExp(`\\b${column}\\b`).test(condition)) ?? false
      const isInOrder =
        name !== 'line_read_expiring' || table !== 'bookings' || index === 'bookings_expiring'
      if (!type.startsWith('Index') || !found || !isInOrder)
        bad.push(`${name}: ${type} on ${table} by ${condition || 'nothing'}`)
    }
  }
  return bad
}

function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]
}

describe('the query plans of a batch', () => {
  it('finds every row by its key while the tables have no statistics', async () => {
    const connection = recordedConnection(KEYED_PLANS)
    await runEverything(connection, 1)

    expect([...connection.sent.keys()]).toEqual(expect.arrayContaining(STATEMENTS))
    expect(await badScans(connection)).toEqual([])
    await connection.database.close()
  })

  it('finds every row by its key when ANALYZE ran on tiny tables', async () => {
    await kit.query('ANALYZE')
    const connection = recordedConnection(KEYED_PLANS)
    await runEverything(connection, 5)

    expect(await badScans(connection)).toEqual([])
    await connection.database.close()
  })

  it('finds every row by its key when ANALYZE ran on large tables', async () => {
    await kit.createEvent(2, 0)
    await kit.query(
      `INSERT INTO waitlist_entries SELECT 2, n, 'user-' || n, 'waiting', now() FROM generate_series(1, 50000) n`,
    )
    await kit.query(
      `INSERT INTO claims SELECT 2, user_id, 'waiting', sequence FROM waitlist_entries WHERE event_id = 2`,
    )
    await kit.query(`INSERT INTO waitlist_blocks SELECT 2, sequence >> 10, count(*) FROM waitlist_entries
      WHERE event_id = 2 GROUP BY 2`)
    await kit.query(
      'UPDATE events SET last_sequence = 50000, waiting_count = 50000 WHERE event_id = 2',
    )
    await kit.query('ANALYZE')

    const connection = recordedConnection(KEYED_PLANS)
    await runEverything(connection, 3)

    expect(await badScans(connection)).toEqual([])
    await connection.database.close()
  })

  it('finds the head of the waiting list without reading ended entries', async () => {
    const [head, second, last] = [1, 300_002, 300_003]
    await kit.createEvent(6, 0)
    await kit.query('UPDATE events SET last_sequence = $1, waiting_count = 3 WHERE event_id = 6', [
      last,
    ])
    const insert = `INSERT INTO waitlist_entries SELECT 6, n, 'user-' || n, $1, now() FROM generate_series($2::int, $3) n`
    for (const place of [head, second, last]) await kit.query(insert, ['waiting', place, place])
    const read: unknown[] = []
    for (const prepare of [
      // First statistics of a table in which every entry waits, then current ones, then none.
      ['ANALYZE waitlist_entries', insert],
      ['ANALYZE waitlist_entries'],
      [`DELETE FROM pg_statistic WHERE starelid = 'waitlist_entries'::regclass`],
    ]) {
      for (const sql of prepare)
        await kit.query(sql, sql === insert ? ['withdrawn', head + 1, second - 1] : [])
      const connection = recordedConnection(KEYED_PLANS)
      const tx = await createLineStore(connection.database.pool, connection.database.pool).begin({
        eventIds: [],
        whenLocked: 'wait',
        jobIds: [],
        users: [],
        heads: [{ eventId: 6, count: 3 }],
        keys: [],
        named: [],
        due: [],
        details: [],
      })
      expect(tx.loaded.heads).toHaveLength(3)
      await tx[Symbol.asyncDispose]()
      const { rows } = await connection.database.pool.query(
        `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE line_read_heads('{6}', '{3}')`,
      )
      const plan = (rows[0] as { 'QUERY PLAN': [{ Plan: PlanNode }] })['QUERY PLAN'][0].Plan
      const scan = nodesOf(plan).find((node) => node['Relation Name'] === 'waitlist_entries')
      read.push([scan?.['Index Name'], plan['Actual Rows'], plan['Shared Hit Blocks'] < 50])
      await connection.database.close()
    }

    expect(read).toEqual(Array.from({ length: 3 }, () => ['waitlist_entries_waiting', 3, true]))
  })

  it('finds the next holds of a settle without reading those that have lapsed', async () => {
    const lapsed = 20_000
    await kit.createEvent(7, 0)
    await kit.query(
      `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at, held_at, hold_seconds, expires_at)
      SELECT 7, n, 'user-' || n, 'held', false, now() - interval '1 hour', now() - interval '1 hour', 60,
        now() - interval '1 minute' + n / $1::int * interval '1 hour'
      FROM generate_series(1, $1::int + 2) n`,
      [lapsed],
    )
    // Their entries stay in the indexes of holds until the next VACUUM.
    await kit.query(
      `UPDATE bookings SET status = 'expired', canceled_at = now() WHERE event_id = 7 AND sequence < $1`,
      [lapsed],
    )
    await kit.query(
      `UPDATE events SET due_at = (SELECT min(expires_at - (expires_at - held_at) / 5) FROM bookings
        WHERE event_id = 7 AND status = 'held') WHERE event_id = 7`,
    )
    const connection = recordedConnection(KEYED_PLANS)
    await runEverything(connection, 8)

    const read: unknown[] = []
    for (const name of ['line_read_due', 'line_read_expiring']) {
      const { rows } = await connection.database.pool.query(
        `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE ${name}('{7}', '{257}')`,
      )
      const plan = (rows[0] as { 'QUERY PLAN': [{ Plan: PlanNode }] })['QUERY PLAN'][0].Plan
      read.push([plan['Actual Rows'], plan['Shared Hit Blocks'] < 50])
    }

    expect(read).toEqual([
      [3, true],
      [3, true],
    ])
    await connection.database.close()
  })

  it('reads whole tables without the planner settings of the line', async () => {
    const connection = recordedConnection({ plan_cache_mode: 'force_generic_plan' })
    await runEverything(connection, 4)

    expect(await badScans(connection)).not.toEqual([])
    await connection.database.close()
  })
})
