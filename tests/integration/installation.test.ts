import { Redis } from 'ioredis'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../scripts/lib/net.mjs'
import { runOps } from '../ops/run-ops.ts'
import { createEmptyDatabase } from '../stack/databases.ts'
import { type Env, type ServiceName, type ServiceProcess, startService } from '../stack/processes.ts'
import { type System, startSystem } from '../stack/system.ts'

async function start(): Promise<System> {
  const system = await startSystem()
  onTestFinished(() => system.stop())
  return system
}

/** Starts a process that must end by itself, and gives the lines in which it says why. */
async function refusal(service: ServiceName, env: Env): Promise<string[]> {
  const started = await startService(service, env)
  onTestFinished(() => started.kill())
  return reasonOf(started)
}

async function reasonOf(ended: ServiceProcess): Promise<string[]> {
  expect((await ended.exited).code).toBe(1)
  return ended.logs.filter(({ level }) => level === 'fatal').map(({ msg }) => msg as string)
}

/** Another database on the same server; `template` makes it a copy. */
async function otherDatabase(system: System, template: string): Promise<string> {
  const database = await createEmptyDatabase(system.databaseUrl, template)
  onTestFinished(() => database.drop())
  return database.url
}

async function query(url: string, sql: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

async function book(system: System, userId: string): Promise<string> {
  const { body } = await system.api.post('/book', { eventId: 1 }, { token: await system.token(userId) })
  return body.message
}

async function createEvent(system: System): Promise<void> {
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 100 }, { token })
}

const claimOf = (system: System) => `${system.keyPrefix}{s0}:installation`

function redisOf(system: System): Redis {
  const redis = new Redis(system.redisUrl)
  onTestFinished(() => redis.disconnect())
  return redis
}

/** Deletes everything that the installation has in Redis. */
async function flush(system: System): Promise<void> {
  const redis = redisOf(system)
  const keys = await redis.keys(`${system.keyPrefix}*`)
  if (keys.length > 0) await redis.del(...keys)
}

describe('a second installation', () => {
  it('refuses to start on the keys of another one, in one line', async () => {
    const first = await start()
    const second = await startSystem({ apis: 0, workers: 0 })
    onTestFinished(() => second.stop())
    const env = { ...second.env, KEY_PREFIX: first.keyPrefix }

    for (const service of ['api', 'booking-worker'] as const) {
      expect(await refusal(service, env)).toEqual([expect.stringMatching(/belong to another installation/)])
    }
    const drained = await runOps(['drain'], env)
    expect(drained.exitCode).toBe(2)
    expect(drained.stderr).toMatch(/belong to another installation/)
    await createEvent(first)
    expect(await book(first, 'ada')).toBe('Ticket booked')
  })

  it('refuses to start on a copy of the database while the original is in use', async () => {
    const system = await startSystem()
    onTestFinished(() => system.stop())
    await Promise.all(system.apis.splice(0).map((api) => api.stop()))
    await Promise.all(system.workers.splice(0).map((worker) => worker.stop()))
    const copy = await otherDatabase(system, new URL(system.databaseUrl).pathname.slice(1))
    await system.addWorker()

    expect(await refusal('booking-worker', { ...system.env, DATABASE_URL: copy })).toEqual([
      expect.stringMatching(/another database of the same installation/),
    ])

    // A backup that takes the place of the original is the same installation.
    await Promise.all(system.workers.splice(0).map((worker) => worker.stop()))
    await system.addWorker({ DATABASE_URL: copy })
  })
})

describe('a process with another layout', () => {
  it('refuses to start, in one line that names the setting', async () => {
    const system = await start()
    const wrong: [Env, RegExp][] = [
      [{ SHARED_LINES: '4' }, /SHARED_LINES is 4 here and 0 there/],
      [{ SHARDS: '2' }, /SHARDS is 2 here and 1 there/],
      [{ KEY_PREFIX: 'other' }, /KEY_PREFIX is other here and test-\w+ there/],
    ]
    await Promise.all(
      wrong.flatMap(([env, line]) =>
        (['api', 'booking-worker'] as const).map(async (service) =>
          expect(await refusal(service, { ...system.env, ...env })).toEqual([expect.stringMatching(line)]),
        ),
      ),
    )
    await createEvent(system)
    const shown = await runOps(['event', '1'], { ...system.env, SHARED_LINES: '4' })
    expect(shown.exitCode).toBe(2)
    expect(shown.stderr).toMatch(/SHARED_LINES is 4 here and 0 there/)
  })

  it('refuses to start on another Redis than the others use', async () => {
    const system = await start()
    const elsewhere = new URL(system.redisUrl)
    elsewhere.pathname = '/7'
    const redis = new Redis(elsewhere.toString())
    onTestFinished(async () => {
      await redis.del(claimOf(system), `${system.keyPrefix}{s0}:processes`)
      redis.disconnect()
    })

    expect(await refusal('booking-worker', { ...system.env, REDIS_URL: elsewhere.toString() })).toEqual([
      expect.stringMatching(/use another Redis/),
    ])
    expect(await redis.exists(claimOf(system))).toBe(0)
  })

  it('may start after a drain without API processes, and records its layout', async () => {
    const system = await start()
    await createEvent(system)
    const released = async () => (await runOps(['drain', '--json'], system.env)).data.layoutReleased
    expect(await released()).toBe(false)
    await Promise.all(system.apis.splice(0).map((api) => api.stop()))
    expect(await released()).toBe(true)
    const [worker] = system.workers.splice(0)

    const changed = { SHARED_LINES: '4', KEY_PREFIX: `${system.keyPrefix}-new` }
    await Promise.all([system.addApi(changed), system.addWorker(changed)])

    // One that was forgotten stops by itself.
    expect(await reasonOf(worker as ServiceProcess)).toEqual([
      expect.stringMatching(/SHARED_LINES is 0 here and 4 there/),
    ])
    expect(await book(system, 'ada')).toBe('Ticket booked')
    expect(await refusal('api', system.env)).toEqual([expect.stringMatching(/SHARED_LINES is 0 here/)])
  })

  it('cannot change the layout of a drained installation while an API process goes on', async () => {
    const system = await start()
    await query(system.databaseUrl, 'UPDATE installation SET drained_at = now()')
    const stillDrained = () =>
      query(system.databaseUrl, 'SELECT FROM installation WHERE drained_at IS NOT NULL')
    expect(await until(async () => (await stillDrained()).length === 0, { timeoutMs: 20_000 })).toBe(true)
  })
})

describe('a Redis that was flushed', () => {
  it('is claimed again by the processes that run', async () => {
    const system = await start()
    await createEvent(system)
    const redis = redisOf(system)
    const before = await redis.hgetall(claimOf(system))

    await flush(system)

    expect(await until(async () => (await redis.exists(claimOf(system))) === 1, { timeoutMs: 20_000 })).toBe(
      true,
    )
    const after = await redis.hgetall(claimOf(system))
    expect(after['installation']).toBe(before['installation'])
    expect(after['redis']).not.toBe(before['redis'])
    await system.addWorker()
    expect(await book(system, 'ada')).toBe('Ticket booked')
    expect([...system.apis, ...system.workers].every((process) => process.running())).toBe(true)
  })

  it('is claimed again by processes that start', async () => {
    const system = await start()
    await createEvent(system)
    await Promise.all(
      [...system.apis.splice(0), ...system.workers.splice(0)].map((process) => process.stop()),
    )
    await flush(system)
    await Promise.all([system.addApi(), system.addWorker()])
    expect(await book(system, 'ada')).toBe('Ticket booked')
  })
})

describe('a Redis that another installation has claimed meanwhile', () => {
  it('ends the processes that run, in one line', async () => {
    const system = await start()
    await redisOf(system).hset(claimOf(system), 'installation', 'another')
    const ended = [...system.apis.splice(0), ...system.workers.splice(0)]
    for (const process of ended) {
      expect(await reasonOf(process)).toEqual([
        expect.stringMatching(/belong to another installation \(another;/),
      ])
    }
  })
})

describe('ops verify', () => {
  const brokenOf = async (env: Env): Promise<string[]> => {
    const { data } = await runOps(['verify', '--json'], env)
    return data.checks
      .filter(({ broken }: { broken: number }) => broken > 0)
      .map(({ name }: { name: string }) => name)
  }

  it('finds a Redis of another installation, another layout, and lines that nobody serves', async () => {
    const system = await start()
    await createEvent(system)
    expect(await book(system, 'ada')).toBe('Ticket booked')
    expect(await brokenOf(system.env)).toEqual([])
    expect(await brokenOf({ ...system.env, SHARED_LINES: '4' })).toEqual(['same_layout'])

    const redis = redisOf(system)
    await redis.lpush(`${system.keyPrefix}{s3}:event-1:wait`, 'job')
    expect(await brokenOf(system.env)).toEqual(['lines_known'])
    await redis.del(`${system.keyPrefix}{s3}:event-1:wait`)
    await redis.lpush(`${system.keyPrefix}{s0}:line-2:wait`, 'job')
    expect(await brokenOf(system.env)).toEqual(['lines_known'])
    await redis.del(`${system.keyPrefix}{s0}:line-2:wait`)

    await Promise.all([...system.apis, ...system.workers].map((process) => process.stop()))
    await redis.hset(claimOf(system), 'installation', 'another')
    expect(await brokenOf(system.env)).toEqual(['same_installation'])
  })
})

describe('ops claim', () => {
  it('takes over the keys of an installation that is gone', async () => {
    const gone = await startSystem()
    onTestFinished(() => gone.stop())
    await Promise.all([...gone.apis, ...gone.workers].map((process) => process.stop()))
    const system = await startSystem({ apis: 0, workers: 0 })
    onTestFinished(() => system.stop())
    const env = { ...system.env, KEY_PREFIX: gone.keyPrefix }

    const shown = await runOps(['claim', '--json'], env)
    expect(shown).toMatchObject({ exitCode: 1, data: { ok: false, processes: 0 } })
    expect((await runOps(['claim', '--discard'], env)).exitCode).toBe(0)
    await Promise.all([system.addApi(env), system.addWorker(env)])
    expect((await runOps(['claim', '--json'], env)).data).toMatchObject({ ok: true, processes: 2 })
  })

  it('gives the id of the keys to a database that was restored from before it had one', async () => {
    const system = await start()
    await createEvent(system)
    await Promise.all(
      [...system.apis.splice(0), ...system.workers.splice(0)].map((process) => process.stop()),
    )
    await query(system.databaseUrl, 'DELETE FROM installation')
    expect(await refusal('booking-worker', system.env)).toEqual([expect.stringMatching(/see "ops claim"/)])

    expect((await runOps(['claim', '--adopt'], system.env)).exitCode).toBe(0)

    await Promise.all([system.addApi(), system.addWorker()])
    expect(await book(system, 'ada')).toBe('Ticket booked')
  })

  it('does not touch the keys of an installation that runs', async () => {
    const other = await start()
    const system = await startSystem({ apis: 0, workers: 0 })
    onTestFinished(() => system.stop())
    const env = { ...system.env, KEY_PREFIX: other.keyPrefix }
    const refused = await runOps(['claim', '--discard'], env)
    expect(refused.exitCode).toBe(1)
    expect(refused.stdout).toMatch(/2 processes of it still run/)
    await createEvent(other)
    expect(await book(other, 'ada')).toBe('Ticket booked')
  })
})
