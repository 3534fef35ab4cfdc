import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { plain, workerRedis } from '../proxy/moments.ts'
import { startProxy } from '../proxy/tcp-proxy.ts'
import type { ServiceProcess } from '../stack/processes.ts'
import { type System, startSystem } from '../stack/system.ts'

const GRACE_MS = 2000
/** Time for the process to exit and for the test to notice, on a busy machine. */
const TOLERANCE_MS = 700

let system: System
let database: pg.Pool
beforeAll(async () => {
  // So often that a sweep and a pruning step run whenever Redis disconnects.
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

/** A proxy to Redis that a test can disconnect for good or silence. */
async function redisProxy() {
  const url = new URL(system.redisUrl)
  const target = { host: url.hostname, port: Number(url.port) }
  const proxy = await startProxy({ target, wire: workerRedis })
  onTestFinished(() => proxy.close())
  url.port = String(proxy.port)
  return { proxy, env: { REDIS_URL: url.toString() } }
}

/** Sends SIGTERM. @returns the exit code and how long the process took to exit */
async function stop({ pid, exited }: ServiceProcess) {
  const startedAt = performance.now()
  process.kill(pid, 'SIGTERM')
  const { code } = await exited
  return { code, ms: performance.now() - startedAt }
}

/** Runs a statement in an open transaction. @returns a function that releases its locks */
async function holdLock(sql: string): Promise<() => Promise<void>> {
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

describe('a stop within SHUTDOWN_GRACE_MS', () => {
  it('stops a worker in time after Redis disconnected for good', async () => {
    const { proxy, env } = await redisProxy()
    const worker = await system.addWorker(env)
    proxy.sever()
    await sleep(500)

    const { code, ms } = await stop(worker)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + TOLERANCE_MS)
  })

  it('stops a worker in time while Redis does not answer', async () => {
    const { proxy, env } = await redisProxy()
    const worker = await system.addWorker(env)
    proxy.hold()
    await sleep(500)

    const { code, ms } = await stop(worker)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + TOLERANCE_MS)
  })

  it('stops a worker in time if Redis disconnected during a job', async () => {
    const { proxy, env } = await redisProxy()
    const worker = await system.addWorker(env)
    const release = await holdLock('SELECT FROM events WHERE event_id = 1 FOR UPDATE')
    const poll = await bookLater('ann', 1)
    await waitForLocks(1)
    proxy.sever()

    const { code, ms } = await stop(worker)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + TOLERANCE_MS)
    await release()
    const other = await system.addWorker()
    const { body } = await system.api.get(poll, {
      token: await system.token('ann'),
      headers: { prefer: 'wait=20' },
    })
    expect(body).toMatchObject({ state: 'done', outcome: 'booked' })
    await other.stop()
  })

  it('stops a worker in time while pruning is blocked and hands its lines over', async () => {
    const worker = await system.addWorker()
    await holdLock('LOCK TABLE refresh_tokens IN ACCESS EXCLUSIVE MODE')
    await waitForLocks(1)
    const releaseEvent = await holdLock('SELECT FROM events WHERE event_id = 2 FOR UPDATE')
    const poll = await bookLater('ann', 2)
    await waitForLocks(2)
    const other = await system.addWorker({ PRUNE_INTERVAL_MS: '3600000' })
    setTimeout(releaseEvent, 300)

    const stopping = stop(worker)
    const { body } = await system.api.get(poll, {
      token: await system.token('ann'),
      headers: { prefer: 'wait=20' },
    })
    const { code, ms } = await stopping

    expect(body).toMatchObject({ state: 'done', outcome: 'booked' })
    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + TOLERANCE_MS)
    await other.stop()
  })

  it('stops a worker in time while PostgreSQL does not answer', async () => {
    const url = new URL(system.databaseUrl)
    const target = { host: url.hostname, port: Number(url.port) }
    const proxy = await startProxy({ target, wire: plain })
    onTestFinished(() => proxy.close())
    url.port = String(proxy.port)
    const worker = await system.addWorker({ DATABASE_URL: url.toString() })
    proxy.hold()
    await sleep(500)

    const { code, ms } = await stop(worker)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + TOLERANCE_MS)
  })

  it.each(['api', 'worker'])(
    'stops the %s in time if the trace collector does not answer',
    async (kind) => {
      const collector = createServer().listen(0, '127.0.0.1')
      await once(collector, 'listening')
      onTestFinished(() => collector.closeAllConnections())
      const { port } = collector.address() as AddressInfo
      const env = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` }
      const traced = kind === 'api' ? await system.addApi(env) : await system.addWorker(env)
      if (kind === 'api') await fetch(`${traced.url}/status/1`)

      const { code, ms } = await stop(traced)

      expect(code).toBe(0)
      expect(ms).toBeLessThan(GRACE_MS + TOLERANCE_MS)
      const lost = () => traced.logs.filter(({ msg }) => msg?.startsWith('traces are lost'))
      if (kind === 'api')
        expect(await until(() => lost().length === 1, { timeoutMs: 2000 })).toBe(true)
    },
  )

  it('stops an API in time after Redis disconnected for good', async () => {
    const { proxy, env } = await redisProxy()
    const api = await system.addApi(env)
    proxy.sever()
    await sleep(500)

    const { code, ms } = await stop(api)

    expect(code).toBe(0)
    expect(ms).toBeLessThan(GRACE_MS + TOLERANCE_MS)
  })
})
