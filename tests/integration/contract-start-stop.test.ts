import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createEmptyDatabase } from '../stack/databases.ts'
import { type Env, type ServiceProcess, startService } from '../stack/processes.ts'
import { startServers } from '../stack/servers.ts'
import { sharedServers } from '../stack/shared-servers.ts'
import { createBase, startSystem } from '../stack/system.ts'

const goodSecret = 'k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO'

/** Starts an API that must refuse to start. @returns its exit code and log messages */
async function refusedStart(env: Env): Promise<{ code: number | null; lines: string[] }> {
  const api: ServiceProcess = await startService('api', env)
  onTestFinished(() => api.kill())
  const { code } = await api.exited
  return { code, lines: api.logs.map((line) => String(line.msg)) }
}

async function productionEnv(changes: Env): Promise<Env> {
  const base = await createBase()
  onTestFinished(() => base.remove())
  return {
    NODE_ENV: 'production',
    DATABASE_URL: base.databaseUrl,
    REDIS_URL: base.redisUrl,
    KEY_PREFIX: base.keyPrefix,
    JWT_SECRET: goodSecret,
    ...changes,
  }
}

describe('a start in production', () => {
  it.each([
    ['no secret', { JWT_SECRET: '' }, /JWT_SECRET/],
    ['a short secret', { JWT_SECRET: 'k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXi' }, /JWT_SECRET/],
    ['an example secret', { JWT_SECRET: 'change-me-change-me-change-me-change-me' }, /JWT_SECRET/],
    ['a default password', { ADMIN_USER: 'admin', ADMIN_PASSWORD: 'password' }, /ADMIN_PASSWORD/],
    ['a malformed number', { RATE_LIMIT: 'many' }, /RATE_LIMIT/],
  ])('refuses to start in production with %s, in one line', async (_what, changes, names) => {
    const { code, lines } = await refusedStart(await productionEnv(changes))
    expect(code).toBe(1)
    expect(lines).toEqual([expect.stringMatching(names)])
  })

  it('refuses to start on a database without migrations', async () => {
    const { postgresUrl } = await sharedServers()
    const empty = await createEmptyDatabase(postgresUrl)
    onTestFinished(() => empty.drop())
    const { code, lines } = await refusedStart(await productionEnv({ DATABASE_URL: empty.url }))
    expect(code).toBe(1)
    expect(lines).toContainEqual(expect.stringMatching(/migrate/))
  })

  it('refuses to start in production on a Redis that may evict keys', async () => {
    const servers = await startServers()
    onTestFinished(() => servers.stop())
    const redis = new Redis(servers.redis.url)
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
    redis.disconnect()
    const { code, lines } = await refusedStart(
      await productionEnv({ REDIS_URL: servers.redis.url }),
    )
    expect(code).toBe(1)
    expect(lines).toContainEqual(expect.stringMatching(/noeviction/))
  })
})

describe('a start without PostgreSQL and Redis', () => {
  it('waits for PostgreSQL and Redis at start and answers 503 meanwhile', async () => {
    const nowhere = {
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
      REDIS_URL: 'redis://127.0.0.1:1',
    }
    const api = await startService('api', { ...nowhere, JWT_SECRET: goodSecret })
    onTestFinished(() => api.kill())
    await api.waitForLog((line) => line.msg === 'waiting for PostgreSQL', 25_000)
    // The API waits a little for its servers before it opens its port.
    const listens = () => fetch(`${api.url}/livez`).then(({ ok }) => ok)
    expect(await until(listens, { timeoutMs: 10_000 })).toBe(true)
    const ready = await fetch(`${api.url}/readyz`)
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { status: 'unavailable', unreachable: ['postgres', 'redis'] },
    ])
    expect((await fetch(`${api.url}/livez`)).status).toBe(200)
    expect((await fetch(`${api.url}/status/1`)).status).toBe(503)
  })
})

describe('a stop of the API', () => {
  it('answers pending commands with 202 when the API stops, and loses none of them', async () => {
    const system = await startSystem({ workers: 0, env: { SHUTDOWN_GRACE_MS: '2000' } })
    onTestFinished(() => system.stop())
    const organizer = await system.token('olga', 'organizer')
    const ada = await system.token('ada')
    await system.api.post('/initialize', { eventId: 1, totalTickets: 1 }, { token: organizer })
    const pending = system.api.post('/book', { eventId: 1 }, { token: ada })
    await sleep(300)
    const startedAt = Date.now()
    await system.apis[0]?.stop()
    expect(Date.now() - startedAt).toBeLessThan(4000)
    const answer = await pending
    expect(answer.status).toBe(202)
    expect(answer.headers.get('connection')).toBe('close')
    expect(await system.apis[0]?.exited).toMatchObject({ code: 0 })

    await Promise.all([system.addApi(), system.addWorker()])
    const job = await system
      .client(1)
      .get(answer.body.statusUrl, { token: ada, headers: { prefer: 'wait=20' } })
    expect(job.body).toMatchObject({ state: 'done', outcome: 'booked' })
  })

  it('waits for outcomes that workers are about to send when the API stops', async () => {
    const system = await startSystem({ workers: 0, env: { SHUTDOWN_GRACE_MS: '20000' } })
    onTestFinished(() => system.stop())
    const organizer = await system.token('olga', 'organizer')
    await system.api.post('/initialize', { eventId: 1, totalTickets: 1000 }, { token: organizer })
    const answers = Array.from({ length: 50 }, (_, n) =>
      system.api.post('/book', { eventId: 1, userId: `u${n}` }, { token: organizer }),
    )
    const allPending = async () =>
      (await system.api.get('/metrics')).body.includes(
        'ticket_line_api_pending{kind="commands"} 50',
      )
    expect(await until(allPending, { timeoutMs: 9000 })).toBe(true)
    await Promise.all([system.addWorker(), system.apis[0]?.stop(30_000)])
    const decided = (await Promise.all(answers)).filter((answer) => answer.status === 200)
    expect(decided).toHaveLength(50)
  })
})
