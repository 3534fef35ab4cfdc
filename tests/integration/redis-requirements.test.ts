import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { expect, it, onTestFinished, vi } from 'vitest'
import { startRedis } from '../../tools/dev-stack/redis.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { runOps } from '../ops/run-ops.ts'
import { startRefused } from '../stack/refused-start.ts'
import { createBase, startSystem } from '../stack/system.ts'

// Each test starts several processes, which takes long on a busy machine.
vi.setConfig({ testTimeout: 180_000 })

const secret = 'k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO'

async function ownRedis(settings: string[]): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-redis-'))
  const redis = await startRedis({ folder, settings })
  onTestFinished(async () => {
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return redis.url
}

/** Creates a Redis user that may run every command but the forbidden ones. */
async function restrictedUser(redisUrl: string, ...forbidden: string[]): Promise<string> {
  const redis = new Redis(redisUrl)
  const name = `restricted-${Date.now()}`
  await redis.call('ACL', 'SETUSER', name, 'on', '>secret', '~*', '&*', '+@all', ...forbidden)
  onTestFinished(async () => {
    await redis.call('ACL', 'DELUSER', name)
    redis.disconnect()
  })
  const url = new URL(redisUrl)
  url.username = name
  url.password = 'secret'
  return url.toString()
}

it('refuses in one line to start on a node of a Redis Cluster', async () => {
  const base = await createBase()
  onTestFinished(() => base.remove())
  const REDIS_URL = await ownRedis(['cluster-enabled yes'])
  const env = {
    DATABASE_URL: base.databaseUrl,
    REDIS_URL,
    KEY_PREFIX: base.keyPrefix,
    JWT_SECRET: secret,
  }
  const line = [expect.stringMatching(/^Redis is a node of a Redis Cluster: set REDIS_CLUSTER/)]
  expect(
    await Promise.all([startRefused('api', env), startRefused('booking-worker', env)]),
  ).toEqual([line, line])
})

it('refuses in one line to start if REDIS_CLUSTER leads to a Redis that is not part of one', async () => {
  const base = await createBase()
  onTestFinished(() => base.remove())
  const { host, password } = new URL(await ownRedis([]))
  const env = {
    DATABASE_URL: base.databaseUrl,
    REDIS_CLUSTER: host,
    REDIS_PASSWORD: password,
    KEY_PREFIX: base.keyPrefix,
    JWT_SECRET: secret,
  }
  const line = ['REDIS_CLUSTER leads to a Redis that is not part of a cluster']
  expect(
    await Promise.all([startRefused('api', env), startRefused('booking-worker', env)]),
  ).toEqual([line, line])
})

it('exports no Redis metrics if INFO and CLIENT LIST are forbidden', async () => {
  const system = await startSystem({ apis: 0, workers: 0 })
  onTestFinished(() => system.stop())
  const env = {
    REDIS_URL: await restrictedUser(system.redisUrl, '-info', '-config', '-client|list'),
  }
  await Promise.all([system.addApi(env), system.addWorker(env)])
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 1 }, { token })
  expect((await system.api.post('/book', { eventId: 1 }, { token })).body.message).toBe(
    'Ticket booked',
  )

  for (const { url } of [...system.apis, ...system.workers]) {
    const metrics = async () => (await (await fetch(`${url}/metrics`)).text()).split('\n')
    const isReachable = 'ticket_line_server_reachable{server="redis"} 1'
    expect(
      await until(async () => (await metrics()).includes(isReachable), { timeoutMs: 20_000 }),
    ).toBe(true)
    expect((await metrics()).filter((line) => line.startsWith('ticket_line_redis_'))).toEqual([])
  }
  const shown = await runOps(['event', '1'], { ...system.env, ...env })
  expect(shown.exitCode).toBe(0)
  expect(shown.stdout).toContain(
    'Redis does not show this user how many worker processes are connected',
  )
  expect(shown.stdout).not.toContain('0 worker processes')
})

it('notices a Redis that has lost everything, even if INFO is forbidden', async () => {
  const system = await startSystem({ apis: 0, workers: 0 })
  onTestFinished(() => system.stop())
  const env = { REDIS_URL: await restrictedUser(system.redisUrl, '-info') }
  await system.addApi(env)
  const organizer = { token: await system.token('olga', 'organizer') }
  await system.api.post('/initialize', { eventId: 1, totalTickets: 1 }, organizer)
  const ada = { token: await system.token('ada') }
  const accepted = await system.api.post(
    '/book',
    { eventId: 1 },
    { ...ada, headers: { prefer: 'respond-async' } },
  )
  expect(accepted.status).toBe(202)
  const redis = new Redis(system.redisUrl)
  onTestFinished(() => redis.disconnect())
  await redis.del(await redis.keys(`${system.keyPrefix}*`))

  await system.addWorker(env)

  const answer = await system.api.get(accepted.body.statusUrl, {
    ...ada,
    headers: { prefer: 'wait=20' },
  })
  expect(answer.body).toMatchObject({ state: 'done', outcome: 'booked' })
  // The run id that this user of Redis can read is not in the generation.
  const status = await runOps(['status', '--json'], system.env)
  expect(status.data.attention).toEqual([])
})

it('works if only some services may call INFO', async () => {
  const system = await startSystem({ apis: 0, workers: 0 })
  onTestFinished(() => system.stop())
  const env = { REDIS_URL: await restrictedUser(system.redisUrl, '-info') }
  const [api] = await Promise.all([system.addApi(env), system.addWorker()])
  await api.waitForLog(({ msg }) => /hides its run id/.test(msg ?? ''))
  const organizer = { token: await system.token('olga', 'organizer') }
  await system.api.post('/initialize', { eventId: 1, totalTickets: 1 }, organizer)
  const redis = new Redis(system.redisUrl)
  onTestFinished(() => redis.disconnect())
  const readGeneration = () => redis.get(`${system.keyPrefix}{s0}:ready`)
  const isIdentified = async () => !(await readGeneration())?.startsWith('hidden')
  expect(await until(isIdentified, { timeoutMs: 20_000 })).toBe(true)

  // Each process checks the generation every two seconds.
  const before = await readGeneration()
  await sleep(5000)

  expect(await readGeneration()).toBe(before)
  const ada = { token: await system.token('ada') }
  const { body } = await system.api.post('/book', { eventId: 1 }, ada)
  expect(body.message).toBe('Ticket booked')
})

it('refuses a Redis that may evict keys in production, even if CONFIG is forbidden', async () => {
  const base = await createBase()
  onTestFinished(() => base.remove())
  const REDIS_URL = await restrictedUser(
    await ownRedis(['maxmemory-policy allkeys-lru']),
    '-config',
  )
  const fatal = await startRefused('booking-worker', {
    NODE_ENV: 'production',
    DATABASE_URL: base.databaseUrl,
    REDIS_URL,
    KEY_PREFIX: base.keyPrefix,
  })
  expect(fatal).toEqual([
    expect.stringMatching(/maxmemory-policy noeviction \(it is allkeys-lru\)/),
  ])
})
