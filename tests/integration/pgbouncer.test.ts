import pg from 'pg'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { run } from '../../tools/dev-stack/commands.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { runOps } from '../ops/run-ops.ts'
import { type PgBouncerOptions, pgbouncerProgram, startPgBouncer } from '../stack/pgbouncer.ts'
import { type Env, ownBuild, type ServiceName, startService } from '../stack/processes.ts'
import { fatalMessagesOf, startRefused } from '../stack/refused-start.ts'
import { createBase, type System, startSystem } from '../stack/system.ts'

// Each test starts several processes, which takes long on a busy machine.
vi.setConfig({ testTimeout: 180_000 })

const JWT_SECRET = 'k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO'

if (pgbouncerProgram === undefined)
  console.log('The PgBouncer tests are skipped, because pgbouncer is not on PATH.')

/** @returns the address of the database through a PgBouncer, which is stopped after the test */
async function throughPooler(databaseUrl: string, options: PgBouncerOptions): Promise<string> {
  const pgbouncer = await startPgBouncer(databaseUrl, options)
  onTestFinished(pgbouncer.stop)
  return pgbouncer.urlOf(databaseUrl)
}

/** The environment of processes that reach a new database through a PgBouncer. */
async function envThroughPooler(options: PgBouncerOptions): Promise<Env> {
  const base = await createBase()
  onTestFinished(() => base.remove())
  return {
    DATABASE_URL: await throughPooler(base.databaseUrl, options),
    ...base.redisEnv,
    KEY_PREFIX: base.keyPrefix,
    JWT_SECRET,
    WEBHOOK_SECRET_KEY: 'ab'.repeat(32),
  }
}

/** Sells the 20 tickets of event 1 to 20 users at once. @returns the messages of the answers */
async function bookAll(system: System): Promise<Set<string>> {
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 20 }, { token })
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, i) =>
      system.api.post('/book', { eventId: 1 }, { token: await system.token(`user-${i}`) }),
    ),
  )
  return new Set(answers.map(({ body }) => body.message))
}

describe.skipIf(pgbouncerProgram === undefined)('PgBouncer in session mode', () => {
  it('works with its default settings', async () => {
    const system = await startSystem({ apis: 0, workers: 0 })
    onTestFinished(() => system.stop())
    const env = { DATABASE_URL: await throughPooler(system.databaseUrl, { settings: {} }) }
    await Promise.all([system.addApi(env), system.addWorker(env)])
    expect(await bookAll(system)).toEqual(new Set(['Ticket booked']))
  })

  it('lets the migration, all services and ops work with the recommended settings', async () => {
    const system = await startSystem({ apis: 0, workers: 0 })
    onTestFinished(() => system.stop())
    const env = { DATABASE_URL: await throughPooler(system.databaseUrl, {}) }
    await run(process.execPath, [ownBuild.migrateScript], { env })
    await Promise.all([system.addApi(env), system.addWorker(env), system.addNotifier(env)])
    expect(await bookAll(system)).toEqual(new Set(['Ticket booked']))
    const token = await system.token('olga', 'organizer')
    const { body } = await system.api.get('/events/1/bookings', { token })
    expect(body.bookings).toHaveLength(20)
    expect((await runOps(['verify', '--json'], { ...system.env, ...env })).data.ok).toBe(true)
    expect((await runOps(['status', '--json'], { ...system.env, ...env })).exitCode).toBe(0)
  })

  it('works again within 5 s after PostgreSQL has ended all its connections', async () => {
    const system = await startSystem({ apis: 0, workers: 0 })
    onTestFinished(() => system.stop())
    const env = { DATABASE_URL: await throughPooler(system.databaseUrl, {}) }
    await Promise.all([system.addApi(env), system.addWorker(env)])
    const token = await system.token('olga', 'organizer')
    await system.api.post('/initialize', { eventId: 1, totalTickets: 5 }, { token })
    const admin = new pg.Client({ connectionString: system.databaseUrl })
    await admin.connect()
    await admin.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    )
    await admin.end()

    const book = () => system.api.post('/book', { eventId: 1 }, { token })
    expect(await until(async () => (await book()).status === 200, { timeoutMs: 5000 })).toBe(true)
  })

  it('works if it ignores the options of the URL, because sessions set what they need', async () => {
    const env = await envThroughPooler({ settings: { ignore_startup_parameters: 'options' } })
    const url = new URL(env['DATABASE_URL'] as string)
    url.searchParams.set('options', '-c TimeZone=Asia/Tokyo')
    const worker = await startService('booking-worker', { ...env, DATABASE_URL: url.toString() })
    onTestFinished(() => worker.stop())
    await worker.waitForLog(({ msg }) => msg === 'ready', 30_000)
  })

  it('may refuse the options of the URL, and the worker then says so and stops', async () => {
    const env = await envThroughPooler({ settings: {} })
    const url = new URL(env['DATABASE_URL'] as string)
    url.searchParams.set('options', '-c work_mem=8MB')
    const fatal = await startRefused('booking-worker', { ...env, DATABASE_URL: url.toString() })

    expect(fatal).toEqual([
      expect.stringMatching(/pooler refuses an option of DATABASE_URL or PGOPTIONS/),
    ])
  })
})

describe.skipIf(pgbouncerProgram === undefined)(
  'PgBouncer in transaction or statement mode',
  () => {
    it.each(['transaction', 'statement'] as const)(
      'is refused in one line by every service, in %s mode',
      async (mode) => {
        const env = await envThroughPooler({ mode })
        const services: ServiceName[] = ['api', 'booking-worker', 'notifier']
        for (const service of services) {
          expect(await startRefused(service, env), service).toEqual([
            expect.stringMatching(/set its pool_mode to session/),
          ])
        }
      },
    )

    it('is refused by a worker while other clients use its connections', async () => {
      const env = await envThroughPooler({ mode: 'transaction' })
      const clients = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const client = new pg.Client({ connectionString: env['DATABASE_URL'] })
          client.on('error', () => undefined)
          await client.connect()
          return client
        }),
      )
      let isBusy = true
      const load = clients.map(async (client) => {
        while (isBusy) await client.query('SELECT pg_sleep(random() * 0.002)')
        await client.end()
      })
      onTestFinished(async () => {
        isBusy = false
        await Promise.allSettled(load)
      })

      for (let i = 0; i < 5; i++) {
        expect(await startRefused('booking-worker', env)).toEqual([
          expect.stringMatching(/set its pool_mode to session/),
        ])
      }
    })

    it('is refused by the migration and by every command of ops', async () => {
      const env = await envThroughPooler({ mode: 'transaction' })
      const migration = run(process.execPath, [ownBuild.migrateScript], { env })
      await expect(migration).rejects.toThrow(/set its pool_mode to session/)
      for (const command of ['verify', 'status', 'prune']) {
        const { exitCode, stderr } = await runOps([command], env)
        expect({ exitCode, stderr }).toEqual({
          exitCode: 2,
          stderr: expect.stringMatching(/^ops: a connection pooler .*set its pool_mode to session/),
        })
      }
    })

    it('is refused in front of the standby of DATABASE_READ_URL', async () => {
      const base = await createBase()
      onTestFinished(() => base.remove())
      const standby = await throughPooler(base.databaseUrl, { mode: 'transaction' })
      const env = {
        DATABASE_URL: base.databaseUrl,
        DATABASE_READ_URL: standby,
        ...base.redisEnv,
        KEY_PREFIX: base.keyPrefix,
        JWT_SECRET,
      }
      const api = await startService('api', env)
      onTestFinished(() => api.kill())
      expect(await fatalMessagesOf(api)).toEqual([
        expect.stringMatching(/point DATABASE_READ_URL at PostgreSQL itself/),
      ])
      expect(await runOps(['verify'], env)).toMatchObject({
        exitCode: 2,
        stderr: expect.stringMatching(/point DATABASE_READ_URL at PostgreSQL itself/),
      })
    })
  },
)
