import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished, vi } from 'vitest'
import { startRedis } from '../../tools/dev-stack/redis.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { runOps } from '../ops/run-ops.ts'
import { queryOnce, withDatabase } from '../stack/databases.ts'
import { metricIn, readMetrics } from '../stack/metrics.ts'
import type { Servers } from '../stack/servers.ts'
import { type ReplicatedPostgres, startReplicatedPostgres } from '../stack/standby.ts'
import { type System, startSystem } from '../stack/system.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-standby-'))
let postgres: ReplicatedPostgres
let servers: Servers
let system: System
/** The address of the system's database on the standby. */
let standbyUrl: string
/** Each test has an event of its own, so that no test depends on another. */
let eventId = 0

beforeAll(async () => {
  postgres = await startReplicatedPostgres(folder)
  const redis = await startRedis({ folder: path.join(folder, 'redis') })
  servers = {
    postgres: postgres.primary,
    redis,
    redisEnv: { REDIS_URL: redis.url },
    redisUrls: [redis.url],
    chosen: 'a primary with a standby',
    async stop() {
      await redis.stop()
      await postgres.stop()
    },
  }
  system = await startSystem({ servers, apis: 0, workers: 0 })
  standbyUrl = withDatabase(postgres.standby.url, new URL(system.databaseUrl).pathname.slice(1))
  const hasDatabase = async () =>
    (await queryOnce(standbyUrl, `SELECT to_regclass('events') AS found`))[0].found !== null
  expect(await until(hasDatabase, { timeoutMs: 20_000 })).toBe(true)
  const env = { DATABASE_READ_URL: standbyUrl, READ_TIMEOUT_MS: '2000' }
  await Promise.all([system.addApi(env), system.addWorker()])
})
afterAll(async () => {
  await system?.stop()
  await servers?.stop()
  rmSync(folder, { recursive: true, force: true })
})

beforeEach(async () => {
  eventId += 1
  const body = { eventId, totalTickets: 2 }
  expect((await system.api.post('/initialize', body, { token: await staff() })).status).toBe(201)
})

const staff = (): Promise<string> => system.token('olga', 'organizer')

async function book(userId: string): Promise<void> {
  const answer = await system.api.post('/book', { eventId }, { token: await system.token(userId) })
  expect(answer.status).toBe(200)
}

const SERVERS = ['primary', 'standby'] as const
let exportsSoFar: Record<(typeof SERVERS)[number], number> = { primary: 0, standby: 0 }

/** Downloads a list. @returns the users in it, and the server that it was read from */
async function download(list: 'bookings' | 'waiting-list' | 'bookings?standing=held' = 'bookings') {
  const address = `${system.apis[0]?.url}/events/${eventId}/${list}`
  const headers = { authorization: `Bearer ${await staff()}`, accept: 'text/csv' }
  const response = await fetch(address, { headers })
  expect(response.status).toBe(200)
  const [head = '', ...lines] = (await response.text()).trimEnd().split('\r\n')
  const column = head.split(',').indexOf('userId')
  const before = exportsSoFar
  const total = before.primary + before.standby + 1
  // The API keeps a page of metrics for a moment, so the count may be old.
  const isCounted = async () => {
    exportsSoFar = await countExports()
    return exportsSoFar.primary + exportsSoFar.standby === total
  }
  expect(await until(isCounted, { timeoutMs: 10_000, everyMs: 100 })).toBe(true)
  const servers = SERVERS.filter((name) => exportsSoFar[name] > before[name])
  return { users: lines.map((line) => line.split(',')[column]), servers }
}

async function countExports(): Promise<typeof exportsSoFar> {
  const page = await readMetrics(system.apis[0]?.url as string)
  const count = (server: string) => metricIn(page, `ticket_line_exports_total{server="${server}"}`)
  return { primary: count('primary'), standby: count('standby') }
}

/** Lets the standby lag until the end of the test. */
async function pauseReplay(): Promise<void> {
  await postgres.pauseReplay()
  onTestFinished(postgres.resumeReplay)
}

/** Stops the standby until the end of the test. */
async function stopStandby(): Promise<void> {
  await postgres.standby.stop()
  onTestFinished(postgres.standby.restart)
}

const verify = (env: Record<string, string> = {}, ...options: string[]) =>
  runOps(['verify', '--json', ...options], {
    ...system.env,
    DATABASE_READ_URL: standbyUrl,
    ...env,
  })

it('reads downloads from the standby, with everything that was decided before', async () => {
  await book('ada')
  expect(await download()).toEqual({ users: ['ada'], servers: ['standby'] })
  await book('bob')
  await book('cleo')
  expect(await download()).toEqual({ users: ['ada', 'bob'], servers: ['standby'] })
  expect(await download('waiting-list')).toEqual({ users: ['cleo'], servers: ['standby'] })
  expect(await download('bookings?standing=held')).toEqual({ users: [], servers: ['standby'] })
})

it('lets a download wait for a standby that lags for a moment', async () => {
  await pauseReplay()
  await book('ada')
  const [downloaded] = await Promise.all([download(), sleep(250).then(postgres.resumeReplay)])
  expect(downloaded).toEqual({ users: ['ada'], servers: ['standby'] })
})

it('reads a download from the primary if the standby lags for longer', async () => {
  await pauseReplay()
  await book('ada')
  expect(await download()).toEqual({ users: ['ada'], servers: ['primary'] })
  await system.apis[0]?.waitForLog(({ msg }) => msg?.includes('reads from the primary') ?? false)
})

it('reads a download from the primary only while the standby is down', async () => {
  await book('ada')
  await postgres.standby.stop()
  expect(await download()).toEqual({ users: ['ada'], servers: ['primary'] })
  await postgres.standby.restart()
  expect(await download()).toEqual({ users: ['ada'], servers: ['standby'] })
})

it('starts an API while the standby is down', async () => {
  await stopStandby()
  const api = await system.addApi({ DATABASE_READ_URL: standbyUrl })
  await api.stop()
})

it('ops verify checks the rows of the standby and says how far it is behind', async () => {
  await book('ada')
  const { exitCode, data } = await verify()
  expect({ exitCode, ok: data.ok }).toEqual({ exitCode: 0, ok: true })
  expect(data.standby.lagMs).toBeLessThan(10_000)
  // Only the primary has the fault.
  await pauseReplay()
  const setFree = (tickets: number) =>
    queryOnce(system.databaseUrl, 'UPDATE events SET available_tickets = $1 WHERE event_id = $2', [
      tickets,
      eventId,
    ])
  await setFree(2)
  expect((await verify()).data.ok).toBe(true)
  expect((await verify({ DATABASE_READ_URL: '' })).data.ok).toBe(false)
  await setFree(1)
})

it('ops verify refuses a standby that is too far behind', async () => {
  await pauseReplay()
  await sleep(5000)
  const { exitCode, stderr } = await verify({}, '--max-lag', '1')
  expect(exitCode).toBe(3)
  expect(stderr).toMatch(
    /the standby of DATABASE_READ_URL is \d+ s behind DATABASE_URL, and --max-lag allows 1 s/,
  )
})

it('ops verify fails if the standby is down, and does not check the primary instead', async () => {
  await stopStandby()
  const { exitCode, stderr } = await verify()
  expect(exitCode).toBe(3)
  expect(stderr).toMatch(/^ops: the standby of DATABASE_READ_URL: /)
})

it('ops verify refuses a standby of another installation', async () => {
  const other = await startSystem({ servers })
  onTestFinished(() => other.stop())
  const { exitCode, stderr } = await verify({ DATABASE_READ_URL: other.databaseUrl })
  expect({ exitCode, stderr }).toEqual({
    exitCode: 2,
    stderr: expect.stringContaining('it has the rows of another installation'),
  })
})

// The last test, because it leaves the services without PostgreSQL for a moment.
it('ops verify checks the standby of a primary that is lost', async () => {
  await postgres.primary.stop()
  onTestFinished(postgres.primary.restart)
  const { exitCode, data } = await verify()
  expect({ exitCode, standby: data.standby }).toEqual({ exitCode: 0, standby: { lagMs: null } })
})
