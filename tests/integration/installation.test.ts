import { setTimeout as sleep } from 'node:timers/promises'
import { createInstallationStore } from '@ticket-line/db'
import { createInstallationWatch, createRedisOwnership } from '@ticket-line/line'
import { createLog } from '@ticket-line/shared'
import { Redis } from 'ioredis'
import pg from 'pg'
import { expect, it, onTestFinished, vi } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { runOps } from '../ops/run-ops.ts'
import { createEmptyDatabase, queryOnce } from '../stack/databases.ts'
import type { Env, ServiceProcess } from '../stack/processes.ts'
import { fatalMessagesOf, startRefused } from '../stack/refused-start.ts'
import { startServers } from '../stack/servers.ts'
import { createBase, type System, startSystem } from '../stack/system.ts'

// Each test starts several processes, which takes long on a busy machine.
vi.setConfig({ testTimeout: 180_000 })

async function start(): Promise<System> {
  const system = await startSystem()
  onTestFinished(() => system.stop())
  return system
}

/** Another database on the same server; `template` makes it a copy. */
async function copyDatabase(system: System, template: string): Promise<string> {
  const database = await createEmptyDatabase(system.databaseUrl, template)
  onTestFinished(() => database.drop())
  return database.url
}

async function book(system: System, userId: string): Promise<string> {
  const { body } = await system.api.post(
    '/book',
    { eventId: 1 },
    { token: await system.token(userId) },
  )
  return body.message
}

async function createEvent(system: System): Promise<void> {
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 100 }, { token })
}

async function stopAll(system: System): Promise<void> {
  const running = [...system.apis.splice(0), ...system.workers.splice(0)]
  await Promise.all(running.map((process) => process.stop()))
}

const ownerKey = (system: System) => `${system.keyPrefix}{s0}:installation`

function redisOf(system: System): Redis {
  const redis = new Redis(system.redisUrl)
  onTestFinished(() => redis.disconnect())
  return redis
}

/** Deletes all keys of the installation in Redis. */
async function flush(system: System): Promise<void> {
  const redis = redisOf(system)
  const keys = await redis.keys(`${system.keyPrefix}*`)
  if (keys.length > 0) await redis.del(...keys)
}

it("writes no heartbeat to Redis's append-only file", async () => {
  // This test has its own servers, since any other write would grow the file.
  const servers = await startServers()
  onTestFinished(() => servers.stop())
  const redis = new Redis(servers.redis.url)
  onTestFinished(() => redis.disconnect())
  const aofBytes = async () =>
    Number(/aof_current_size:(\d+)/.exec(await redis.info('persistence'))?.[1])
  const ownership = createRedisOwnership(redis, { keyPrefix: 'test:' })
  const inspect = (processId: string) =>
    ownership.renew({ installationId: 'ours', processId, service: 'api', databaseId: '1' })
  const empty = await aofBytes()
  await ownership.take('ours', 'this')
  const taken = await aofBytes()
  expect(taken).toBeGreaterThan(empty)

  await inspect('first')
  expect((await inspect('second')).others).toMatchObject([{ processId: 'first', service: 'api' }])

  expect(await aofBytes()).toBe(taken)
})

it('keeps a second installation from the keys of the first until the first has stopped', async () => {
  const first = await start()
  const second = await startSystem({ apis: 0, workers: 0 })
  onTestFinished(() => second.stop())
  const env = { ...second.env, KEY_PREFIX: first.keyPrefix }

  const line = [expect.stringMatching(/belong to another installation/)]
  expect(
    await Promise.all([startRefused('api', env), startRefused('booking-worker', env)]),
  ).toEqual([line, line])
  const drained = await runOps(['drain'], env)
  expect(drained.exitCode).toBe(2)
  expect(drained.stderr).toMatch(/belong to another installation/)
  const refused = await runOps(['claim', '--discard'], env)
  expect(refused.exitCode).toBe(1)
  expect(refused.stdout).toMatch(/2 processes of it still run/)
  await createEvent(first)
  expect(await book(first, 'ada')).toBe('Ticket booked')

  await stopAll(first)
  expect((await runOps(['claim', '--discard'], env)).exitCode).toBe(0)
  await second.addWorker(env)
  expect((await runOps(['claim', '--json'], env)).data).toMatchObject({ ok: true, processes: 1 })
})

it('refuses to start on a copy of the database only while the original is in use', async () => {
  const system = await startSystem({ apis: 0 })
  onTestFinished(() => system.stop())
  await stopAll(system)
  const copy = await copyDatabase(system, new URL(system.databaseUrl).pathname.slice(1))
  await system.addWorker()

  expect(await startRefused('booking-worker', { ...system.env, DATABASE_URL: copy })).toEqual([
    expect.stringMatching(/another database of the same installation/),
  ])

  // A backup that replaces the original is the same installation.
  await stopAll(system)
  await system.addWorker({ DATABASE_URL: copy })
})

it('refuses to start with another layout or Redis and names the difference', async () => {
  const system = await start()
  await createEvent(system)
  const elsewhere = new URL(system.redisUrl)
  elsewhere.pathname = '/7'
  const other = new Redis(elsewhere.toString())
  onTestFinished(() => other.disconnect())
  const wrong: [Env, RegExp][] = [
    [{ SHARED_LINES: '4' }, /SHARED_LINES is 4 here and 0 there/],
    [{ SHARDS: '2' }, /SHARDS is 2 here and 1 there/],
    [{ KEY_PREFIX: 'other' }, /KEY_PREFIX is other here and test-\w+ there/],
    [{ REDIS_URL: elsewhere.toString() }, /use another Redis/],
  ]
  await Promise.all(
    wrong.map(async ([env, line], i) => {
      const messages = await startRefused(i % 2 === 0 ? 'api' : 'booking-worker', {
        ...system.env,
        ...env,
      })
      expect(messages).toEqual([expect.stringMatching(line)])
    }),
  )
  expect(await other.exists(ownerKey(system))).toBe(0)
  const shown = await runOps(['event', '1'], { ...system.env, SHARED_LINES: '4' })
  expect(shown.exitCode).toBe(2)
  expect(shown.stderr).toMatch(/SHARED_LINES is 4 here and 0 there/)
})

it('accepts another layout after a drain without API processes', async () => {
  const system = await start()
  await createEvent(system)
  const released = async () => (await runOps(['drain', '--json'], system.env)).data.layoutReleased
  expect(await released()).toBe(false)
  // An API process that still runs takes the released layout back.
  await queryOnce(system.databaseUrl, 'UPDATE installation SET drained_at = now()')
  const isReleased = () =>
    queryOnce(system.databaseUrl, 'SELECT FROM installation WHERE drained_at IS NOT NULL')
  expect(await until(async () => (await isReleased()).length === 0, { timeoutMs: 20_000 })).toBe(
    true,
  )

  await Promise.all(system.apis.splice(0).map((api) => api.stop()))
  expect(await released()).toBe(true)
  const [worker] = system.workers.splice(0)
  const changed = { SHARED_LINES: '4', KEY_PREFIX: `${system.keyPrefix}-new` }
  await Promise.all([system.addApi(changed), system.addWorker(changed)])

  // A worker that was left running stops by itself.
  expect(await fatalMessagesOf(worker as ServiceProcess)).toEqual([
    expect.stringMatching(/SHARED_LINES is 0 here and 4 there/),
  ])
  expect(await book(system, 'ada')).toBe('Ticket booked')
  expect(await startRefused('api', system.env)).toEqual([
    expect.stringMatching(/SHARED_LINES is 0 here/),
  ])
})

it('starts on another Redis while the old processes are leaving the last one', async () => {
  const system = await startSystem({ apis: 0 })
  onTestFinished(() => system.stop())
  await stopAll(system)
  const setLastHeartbeat = (to: string) =>
    queryOnce(system.databaseUrl, `UPDATE installation SET ${to}`)
  await setLastHeartbeat('redis_id = gen_random_uuid(), redis_seen_at = clock_timestamp()')

  // Each process that leaves sets the last heartbeat back. This does not count as a heartbeat.
  let started = false
  const worker = system.addWorker().finally(() => {
    started = true
  })
  const setBackRepeatedly = async () => {
    while (!started) {
      await setLastHeartbeat("redis_seen_at = redis_seen_at - interval '100 ms'")
      await sleep(200)
    }
  }
  await Promise.all([worker, setBackRepeatedly()])
})

it('takes a flushed Redis again, and ends if another installation owns it', async () => {
  const system = await start()
  await createEvent(system)
  const redis = redisOf(system)
  const before = await redis.hgetall(ownerKey(system))

  await flush(system)
  const isTaken = async () => (await redis.exists(ownerKey(system))) === 1
  expect(await until(isTaken, { timeoutMs: 20_000 })).toBe(true)
  const after = await redis.hgetall(ownerKey(system))
  expect(after['installation']).toBe(before['installation'])
  expect(after['redis']).not.toBe(before['redis'])
  await system.addWorker()
  expect(await book(system, 'ada')).toBe('Ticket booked')
  expect([...system.apis, ...system.workers].every((process) => process.running())).toBe(true)

  await stopAll(system)
  await flush(system)
  await Promise.all([system.addApi(), system.addWorker()])
  expect(await book(system, 'bob')).toBe('Ticket booked')

  await redis.hset(ownerKey(system), 'installation', 'another')
  for (const ended of [...system.apis.splice(0), ...system.workers.splice(0)]) {
    expect(await fatalMessagesOf(ended)).toEqual([
      expect.stringMatching(/belong to another installation \(another;/),
    ])
  }
})

it('owns a flushed Redis again as soon as a process notices the loss', async () => {
  const base = await createBase()
  onTestFinished(() => base.remove())
  const layout = { sharedLines: 0, shards: 1, keyPrefix: base.keyPrefix }
  const pool = new pg.Pool({ connectionString: base.databaseUrl, max: 2 })
  onTestFinished(() => pool.end())
  const redis = new Redis(base.redisUrl)
  onTestFinished(() => redis.disconnect())
  const watch = createInstallationWatch({
    redis,
    store: createInstallationStore(pool),
    layout,
    service: 'api',
    log: createLog('test', 'silent'),
    onRefused: (message) => expect.unreachable(message),
  })
  await watch.join()
  onTestFinished(() => watch.leave())
  const key = `${base.keyPrefix}{s0}:installation`

  // Without a call of `checkNow`, each of these takes up to two seconds.
  for (let i = 0; i < 6; i++) {
    await redis.del(key)
    watch.checkNow()
    const isTaken = async () => (await redis.exists(key)) === 1
    expect(await until(isTaken, { timeoutMs: 1000 })).toBe(true)
  }
})

it('verifies Redis, layout and lines, and adopts its own keys after a restore', async () => {
  const system = await start()
  await createEvent(system)
  expect(await book(system, 'ada')).toBe('Ticket booked')
  const brokenOf = async (env: Env): Promise<string[]> => {
    const { data } = await runOps(['verify', '--json'], env)
    return data.checks
      .filter(({ broken }: { broken: number }) => broken > 0)
      .map(({ name }: { name: string }) => name)
  }
  expect(await brokenOf(system.env)).toEqual([])
  const redis = redisOf(system)
  const unknown = [`${system.keyPrefix}{s3}:event-1:wait`, `${system.keyPrefix}{s0}:line-2:wait`]
  for (const key of unknown) await redis.lpush(key, 'job')
  expect(await brokenOf({ ...system.env, SHARED_LINES: '4' })).toEqual([
    'same_layout',
    'lines_known',
  ])
  await redis.del(...unknown)
  await stopAll(system)

  // As after a restore of PostgreSQL to a time before it had an installation id.
  await queryOnce(system.databaseUrl, 'DELETE FROM installation')
  expect(await startRefused('booking-worker', system.env)).toEqual([
    expect.stringMatching(/see "ops claim"/),
  ])
  expect(await brokenOf(system.env)).toEqual(['same_installation'])
  expect((await runOps(['claim', '--adopt'], system.env)).exitCode).toBe(0)
  await Promise.all([system.addApi(), system.addWorker()])
  expect(await book(system, 'bob')).toBe('Ticket booked')
})

it('refuses to start a worker before the migration, in one line', async () => {
  const system = await startSystem({ apis: 0, workers: 0 })
  onTestFinished(() => system.stop())
  const empty = await createEmptyDatabase(system.databaseUrl)
  onTestFinished(() => empty.drop())
  expect(await startRefused('booking-worker', { ...system.env, DATABASE_URL: empty.url })).toEqual([
    expect.stringMatching(/^the database lacks \d+ migration\(s\): run /),
  ])
})
