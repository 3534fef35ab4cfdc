import { createDatabase, KEYED_PLANS } from '@ticket-line/db'
import pg from 'pg'
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest'
import { runOps } from '../ops/run-ops.ts'
import { migrate } from '../stack/databases.ts'
import { createBase, type System, startSystem } from '../stack/system.ts'

// Each test starts several processes, which takes long on a busy machine.
vi.setConfig({ testTimeout: 180_000 })

/** Settings that make statements fail, find other tables, or return unreadable values. */
const HOSTILE: Record<string, string> = {
  datestyle: 'German, DMY',
  intervalstyle: 'sql_standard',
  timezone: 'Asia/Kolkata',
  search_path: 'elsewhere',
  client_encoding: 'LATIN1',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  array_nulls: 'off',
  transform_null_equals: 'on',
  standard_conforming_strings: 'off',
  default_transaction_isolation: 'serializable',
  default_transaction_deferrable: 'on',
  synchronous_commit: 'off',
  statement_timeout: '5',
  lock_timeout: '1',
  idle_in_transaction_session_timeout: '1',
  row_security: 'off',
  jit: 'on',
  jit_above_cost: '0',
  plan_cache_mode: 'force_custom_plan',
  enable_indexscan: 'off',
  enable_indexonlyscan: 'off',
  enable_nestloop: 'off',
  enable_tidscan: 'off',
}

const asOptions = Object.entries(HOSTILE)
  .map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
  .join(' ')

type Base = Awaited<ReturnType<typeof createBase>>

async function alterDatabase(url: string): Promise<void> {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  for (const [name, value] of Object.entries(HOSTILE)) {
    await admin.query(
      `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET ${name} = ${pg.escapeLiteral(value)}`,
    )
  }
  await admin.end()
}

function withOptions(url: string): string {
  const changed = new URL(url)
  changed.searchParams.set('options', asOptions)
  changed.searchParams.set('statement_timeout', '5')
  changed.searchParams.set('client_encoding', 'LATIN1')
  return changed.toString()
}

/** The settings of a session that the product opens. */
async function settingsOf(url: string, sessionSettings?: Record<string, string>) {
  const database = createDatabase({
    url,
    poolSize: 1,
    applicationName: 'session test',
    connectTimeoutMs: 5000,
    statementTimeoutMs: 5000,
    idleInTransactionTimeoutMs: 6000,
    ...(sessionSettings && { sessionSettings }),
    onIdleError: () => undefined,
  })
  const names = [...Object.keys(HOSTILE), 'enable_seqscan', 'server_version_num']
  const { rows } = await database.pool.query(
    `SELECT ${names.map((name) => `current_setting('${name}') AS "${name}"`).join(', ')}`,
  )
  await database.close()
  return rows[0]
}

const EXPECTED = {
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  search_path: '"public", pg_temp',
  client_encoding: 'UTF8',
  bytea_output: 'hex',
  extra_float_digits: '1',
  array_nulls: 'on',
  transform_null_equals: 'off',
  standard_conforming_strings: 'on',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  synchronous_commit: 'on',
  statement_timeout: '5s',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '6s',
  row_security: 'on',
  jit: 'off',
  plan_cache_mode: 'auto',
  enable_indexscan: 'on',
  enable_indexonlyscan: 'on',
  enable_nestloop: 'on',
  enable_tidscan: 'on',
}

let base: Base
beforeAll(async () => {
  base = await createBase()
  await alterDatabase(base.databaseUrl)
})
afterAll(() => base?.remove())

it('keeps its session settings on a database with other defaults', async () => {
  expect(await settingsOf(base.databaseUrl)).toMatchObject(EXPECTED)
})

it('keeps its session settings against options in the URL', async () => {
  expect(await settingsOf(withOptions(base.databaseUrl))).toMatchObject(EXPECTED)
})

it('keeps its session settings against PGOPTIONS and PGCLIENTENCODING', async () => {
  const before = { ...process.env }
  onTestFinished(() => {
    process.env = before
  })
  process.env['PGOPTIONS'] = asOptions
  process.env['PGCLIENT_ENCODING'] = 'LATIN1'
  expect(await settingsOf(base.databaseUrl)).toMatchObject(EXPECTED)
})

it('keeps the planner settings of batches against options in the URL', async () => {
  expect(await settingsOf(withOptions(base.databaseUrl), KEYED_PLANS)).toMatchObject({
    ...EXPECTED,
    plan_cache_mode: 'force_generic_plan',
    enable_seqscan: 'off',
  })
})

it('accepts a stronger synchronous_commit from the URL', async () => {
  const url = new URL(base.databaseUrl)
  url.searchParams.set('options', '-c synchronous_commit=remote_apply')
  expect(await settingsOf(url.toString())).toMatchObject({ synchronous_commit: 'remote_apply' })
})

it('books, lists and verifies with hostile settings in database, URL and PGOPTIONS', async () => {
  const system: System = await startSystem({ apis: 0, workers: 0 })
  onTestFinished(() => system.stop())
  await alterDatabase(system.databaseUrl)
  const env = { DATABASE_URL: withOptions(system.databaseUrl), PGOPTIONS: asOptions }
  await Promise.all([system.addApi(env), system.addWorker(env)])
  const organizer = await system.token('olga', 'organizer')
  const send = async (call: '/book' | '/cancel', userId: string) =>
    (await system.api.post(call, { eventId: 1 }, { token: await system.token(userId) })).body
      .message

  await system.api.post('/initialize', { eventId: 1, totalTickets: 1 }, { token: organizer })
  expect(await send('/book', 'Łukasz')).toBe('Ticket booked')
  expect(await send('/book', 'ada')).toBe('Added to waiting list')
  expect(await send('/cancel', 'Łukasz')).toBe('Booking canceled')

  const { body } = await system.api.get('/events/1/bookings', { token: organizer })
  expect(body.bookings).toMatchObject([{ userId: 'ada', promoted: true }])
  expect(Math.abs(Date.parse(body.bookings[0].bookedAt) - Date.now())).toBeLessThan(60_000)
  expect((await runOps(['verify', '--json'], { ...system.env, ...env })).data.ok).toBe(true)
})

it('serves an installation in its own schema against a search_path in the URL', async () => {
  const system: System = await startSystem({ apis: 0, workers: 0 })
  onTestFinished(() => system.stop())
  const plain = new pg.Client({ connectionString: system.databaseUrl })
  await plain.connect()
  onTestFinished(() => plain.end())
  const env = { DATABASE_URL: withOptions(system.databaseUrl), DATABASE_SCHEMA: 'tickets' }
  await migrate(env.DATABASE_URL, undefined, env)
  await Promise.all([system.addApi(env), system.addWorker(env)])

  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 1 }, { token })
  const { body } = await system.api.post('/book', { eventId: 1 }, { token })

  expect(body).toEqual({ message: 'Ticket booked' })
  expect((await plain.query('SELECT event_id FROM public.events')).rows).toEqual([])
  expect((await plain.query('SELECT user_id FROM tickets.bookings')).rows).toEqual([
    { user_id: 'olga' },
  ])
  const shown = await runOps(['event', '1', '--json'], { ...system.env, ...env })
  expect(shown.data.event).toMatchObject({ eventId: 1, availableTickets: 0 })
})
