import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/net.mjs'
import { plainPostgres, workerRedis } from '../proxy/moments.ts'
import { startProxy } from '../proxy/tcp-proxy.ts'
import type { ServiceProcess } from '../stack/processes.ts'
import { type System, startSystem } from '../stack/system.ts'

const GRACE_MS = 2000
/** Ending and being noticed take a moment, on a busy machine above all. */
const ROOM_MS = 700

let system: System
let database: pg.Pool
beforeAll(async () => {
  // So often that one of each is under way whenever Redis goes away.
  const often = { LINE_SWEEP_INTERVAL_MS: '100', PRUNE_INTERVAL_MS: '100' }
  system = await startSystem({ workers: 0, env: { ...often, SHUTDOWN_GRACE_MS: String(GRACE_MS) } })
  database = new pg.Pool({ connectionString: system.databaseUrl, max: 3 })
  database.on('error', () => undefined)
  const organizer = await system.token('olga', 'organizer')
  for (const eventId of [1, 2])
    await system.api.post('/initialize', { eventId, totalTickets: 10 }, { token: organizer })
})
afterAll(async () => {
  await database?.end()
  await system?.stop()
})

/** A way to Redis that can be taken away for good. */
async function wayToRedis() {
  const url = new URL(system.redisUrl)
  const target = { host: url.hostname, port: Number(url.port) }
  const proxy = await startProxy({ target, wire: workerRedis })
  onTestFinished(() => proxy.close())
  url.port = String(proxy.port)
  return { proxy, env: { REDIS_URL: url.toString() } }
}

/** Sends SIGTERM; how the process ended, and after how long. */
async function stopped({ pid, exited }: ServiceProcess) {
  const startedAt = performance.now()
  process.kill(pid, 'SIGTERM')
  const { code } = await exited
  return { code, ms: performance.now() - startedAt }
}

/** Holds what a statement locks, until released. */
async function hold(sql: string): Promise<() => Promise<void>> {
  const client = await database.connect()
  await client.query('BEGIN')
  await client.query(sql)
  let released = false
  const release = async (): Promise<void> => {
    if (released) return
    released = true
    await client.query('ROLLBACK')
    client.release()
  }
  onTestFinished(release)
  return release
}

const waitForLocks = (count: number): Promise<boolean> =>
  until(
    async () => {
      const { rows } = await database.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
      return rows.length >= count
    },
    { timeoutMs: 10_000 },
  )

async function bookLater(userId: string, eventId: number): Promise<string> {
  const options = { token: await system.token(userId), headers: { prefer: 'respond-async' } }
  return (await system.api.post('/book', { eventId }, options)).body.statusUrl
}

describe('a stop takes no longer than its grace', () => {
  it('where Redis went away for good', async () => {
    const { proxy, env } = await wayToRedis()
    const worker = await system.addWorker(env)
    proxy.sever()
    await new Promise((resolve) => setTimeout(resolve, 500))

    const { code, ms } = await stopped(worker)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + ROOM_MS)
  })

  it('where Redis no longer answers', async () => {
    const { proxy, env } = await wayToRedis()
    const worker = await system.addWorker(env)
    proxy.hold()
    await new Promise((resolve) => setTimeout(resolve, 500))

    const { code, ms } = await stopped(worker)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + ROOM_MS)
  })

  it('where Redis went away for good with a job at hand, which is decided elsewhere', async () => {
    const { proxy, env } = await wayToRedis()
    const worker = await system.addWorker(env)
    const release = await hold('SELECT FROM events WHERE event_id = 1 FOR UPDATE')
    const poll = await bookLater('ann', 1)
    await waitForLocks(1)
    proxy.sever()

    const { code, ms } = await stopped(worker)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + ROOM_MS)
    await release()
    const other = await system.addWorker()
    const { body } = await system.api.get(poll, {
      token: await system.token('ann'),
      headers: { prefer: 'wait=20' },
    })
    expect(body).toMatchObject({ state: 'done', outcome: 'booked' })
    await other.stop()
  })

  it('where old rows take long to be pruned, and lines are handed over before', async () => {
    const worker = await system.addWorker()
    await hold('LOCK TABLE refresh_tokens IN ACCESS EXCLUSIVE MODE')
    await waitForLocks(1)
    const releaseEvent = await hold('SELECT FROM events WHERE event_id = 2 FOR UPDATE')
    const poll = await bookLater('ann', 2)
    await waitForLocks(2)
    const other = await system.addWorker({ PRUNE_INTERVAL_MS: '3600000' })
    setTimeout(releaseEvent, 300)

    const ending = stopped(worker)
    const { body } = await system.api.get(poll, {
      token: await system.token('ann'),
      headers: { prefer: 'wait=20' },
    })
    const { code, ms } = await ending

    expect(body).toMatchObject({ state: 'done', outcome: 'booked' })
    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + ROOM_MS)
    await other.stop()
  })

  it('where PostgreSQL no longer answers', async () => {
    const url = new URL(system.databaseUrl)
    const target = { host: url.hostname, port: Number(url.port) }
    const proxy = await startProxy({ target, wire: plainPostgres })
    onTestFinished(() => proxy.close())
    url.port = String(proxy.port)
    const worker = await system.addWorker({ DATABASE_URL: url.toString() })
    proxy.hold()
    await new Promise((resolve) => setTimeout(resolve, 500))

    const { code, ms } = await stopped(worker)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + ROOM_MS)
  })

  it.each(['api', 'worker'])('if the collector of traces does not answer (%s)', async (kind) => {
    const collector = createServer().listen(0, '127.0.0.1')
    await once(collector, 'listening')
    onTestFinished(() => collector.closeAllConnections())
    const { port } = collector.address() as AddressInfo
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` }
    const traced = kind === 'api' ? await system.addApi(env) : await system.addWorker(env)
    if (kind === 'api') await fetch(`${traced.url}/status/1`)

    const { code, ms } = await stopped(traced)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + ROOM_MS)
    const lost = () => traced.logs.filter(({ msg }) => msg?.startsWith('traces are lost'))
    if (kind === 'api')
      expect(await until(() => lost().length === 1, { timeoutMs: 2000 })).toBe(true)
  })

  it('of an API whose Redis went away for good', async () => {
    const { proxy, env } = await wayToRedis()
    const api = await system.addApi(env)
    proxy.sever()
    await new Promise((resolve) => setTimeout(resolve, 500))

    const { code, ms } = await stopped(api)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + ROOM_MS)
  })
})
