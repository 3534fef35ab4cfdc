import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import type { Reply } from '../stack/client.ts'
import { type Servers, startServers } from '../stack/servers.ts'
import { type System, startSystem } from '../stack/system.ts'

/** The promise is one second, and its parts add up to 0.8 s. The rest allows for a busy machine. */
const MAX_MS = 1300

let servers: Servers
let system: System
let ada: string
let organizer: string
/** Path of a webhook of the organizer. */
let webhook: string

beforeAll(async () => {
  servers = await startServers()
  system = await startSystem({ servers })
  ada = await system.token('ada')
  organizer = await system.token('olga', 'organizer')
  for (const eventId of [1, 2]) {
    await system.api.post('/initialize', { eventId, totalTickets: 1000 }, { token: organizer })
  }
  // From now on the process knows that event 1 exists; it does not know event 2.
  await system.api.post('/book', { eventId: 1 }, { token: ada })
  const url = 'https://crm.example.com/hook'
  const created = await system.api.post('/webhooks', { url }, { token: organizer })
  webhook = created.headers.get('location') ?? ''
})
afterAll(async () => {
  await system?.stop()
  await servers?.stop()
})

const waitForReadyz = async (status: number) =>
  until(async () => (await system.api.get('/readyz')).status === status, { timeoutMs: 20_000 })

async function timed(call: () => Promise<Reply>) {
  const startedAt = performance.now()
  const reply = await call()
  return { ...reply, ms: performance.now() - startedAt }
}

function expectUnavailable(reply: Reply & { ms: number }): void {
  expect(reply).toMatchObject({ status: 503, body: { status: 503, code: 'unavailable' } })
  expect(reply.headers.get('content-type')).toBe('application/problem+json')
  expect(reply.headers.get('retry-after')).toMatch(/^\d+$/)
  expect(reply.ms).toBeLessThan(MAX_MS)
}

const book = (userId: string, eventId = 1) =>
  timed(async () => system.api.post('/book', { eventId }, { token: await system.token(userId) }))

/** Sends a request of the organizer. */
const ask = (method: string, path: string, body?: Record<string, unknown>) =>
  system.api.request(method, path, body, { token: organizer })

/** Reads as a user, or as the organizer what only they may read. */
const read = (path: string) =>
  system.api.get(path, { token: path.startsWith('/webhooks') ? organizer : ada })

const testWebhook = () => timed(() => ask('POST', `${webhook}/test`))

const availableTickets = async () =>
  (await system.api.get('/status/1')).body.availableTickets as number

describe('with a Redis that answers but takes no writes', () => {
  it('refuses bookings within a second while Redis refuses writes, and no process is ready', async () => {
    const before = await availableTickets()
    const redis = new Redis(servers.redis.url)
    const worker = `${system.workers[0]?.url}/readyz`
    await redis.config('SET', 'min-replicas-to-write', '1')
    try {
      const first = await book('unwritable-1')
      expect(first.status).toBe(503)
      expect(first.ms).toBeLessThan(MAX_MS)
      expect(await waitForReadyz(503)).toBe(true)
      expect((await system.api.get('/readyz')).body).toEqual({
        status: 'unavailable',
        unreachable: ['redis'],
      })
      const ofWorker = await fetch(worker)
      expect(ofWorker.status).toBe(503)
      expect(await ofWorker.json()).toEqual({ status: 'unavailable', unreachable: ['redis'] })
      expectUnavailable(await book('unwritable-2'))
    } finally {
      await redis.config('SET', 'min-replicas-to-write', '0')
      redis.disconnect()
    }
    expect(await waitForReadyz(200)).toBe(true)
    expect(
      await until(async () => (await fetch(worker)).status === 200, { timeoutMs: 20_000 }),
    ).toBe(true)
    expect(await availableTickets()).toBe(before)
  })
})

describe.each([
  ['dead', () => servers.redis.kill(), () => servers.redis.restart()],
  ['frozen', async () => servers.redis.pause(), async () => servers.redis.resume()],
])('with a %s Redis', (how, takeDown, bringBack) => {
  it(`refuses bookings within a second while Redis is ${how}, without a late effect`, async () => {
    const before = await availableTickets()
    await takeDown()
    try {
      // These requests arrive before the API has noticed the outage.
      const first = await Promise.all([book('first-1'), book('first-2'), testWebhook()])
      for (const reply of first) {
        expect(reply.status).toBe(503)
        expect(['unavailable', 'unknown']).toContain(reply.body.code)
        expect(reply.ms).toBeLessThan(MAX_MS)
      }
      expect(await waitForReadyz(503)).toBe(true)
      expect((await system.api.get('/readyz')).body).toEqual({
        status: 'unavailable',
        unreachable: ['redis'],
      })
      expectUnavailable(await book('later'))
      expect((await book('later', 2)).body.code).toBe('unavailable')
      expectUnavailable(await testWebhook())
      // Without Redis, a webhook is enabled all the same. Its deliveries only begin a little later.
      const enabled = await timed(() => ask('PATCH', webhook, { disabled: false }))
      expect(enabled.status).toBe(200)
      expect(enabled.ms).toBeLessThan(MAX_MS)
      expect((await book('later', 999)).body.code).toBe('event_not_found')
      expect((await system.api.get('/livez')).status).toBe(200)
      expect((await system.api.get('/status/1')).status).toBe(200)
    } finally {
      await bringBack()
    }
    expect(await waitForReadyz(200)).toBe(true)
    expect((await book('back')).status).toBe(200)
    expect(await availableTickets()).toBe(before - 1)
    await system.api.post('/cancel', { eventId: 1 }, { token: await system.token('back') })
  })
})

describe.each([
  ['dead', () => servers.postgres.kill(), () => servers.postgres.restart()],
  ['frozen', async () => servers.postgres.pause(), async () => servers.postgres.resume()],
])('with a %s PostgreSQL', (how, takeDown, bringBack) => {
  it(`refuses requests that need PostgreSQL within a second while it is ${how}`, async () => {
    await takeDown()
    try {
      const reads = [
        '/status/1',
        '/events',
        '/events/1',
        '/events/1/me',
        '/me/bookings',
        '/webhooks',
        `${webhook}/deliveries`,
        `/jobs/event-1.${'0'.repeat(21)}.1.0`,
      ]
      const changes = [
        () => ask('POST', '/events', { eventId: 77, totalTickets: 1 }),
        () => ask('DELETE', '/events/2'),
        () => ask('POST', '/webhooks', { url: 'https://late.example.com/hook' }),
        () => ask('PATCH', webhook, { description: 'late' }),
        () => ask('DELETE', webhook),
      ]
      for (const change of changes) expectUnavailable(await timed(change))
      for (const path of reads) expectUnavailable(await timed(() => read(path)))
      expect(await waitForReadyz(503)).toBe(true)
      expect((await system.api.get('/readyz')).body).toEqual({
        status: 'unavailable',
        unreachable: ['postgres'],
      })
      expectUnavailable(await book('nobody'))
      expectUnavailable(await book('nobody', 2))
      for (const path of reads) expectUnavailable(await timed(() => read(path)))
    } finally {
      await bringBack()
    }
    expect(await waitForReadyz(200)).toBe(true)
    const answer = await until(async () => (await book('again')).status === 200, {
      timeoutMs: 10_000,
    })
    expect(answer).toBe(true)
    await system.api.post('/cancel', { eventId: 1 }, { token: await system.token('again') })
    expect((await system.api.get('/events/77')).status).toBe(404)
    expect((await system.api.get('/events/2')).status).toBe(200)
    const { webhooks } = (await ask('GET', '/webhooks')).body
    expect(webhooks).toMatchObject([{ url: 'https://crm.example.com/hook', description: null }])
  })
})

describe('a PostgreSQL that freezes when it has received a change', () => {
  it('changes nothing when it goes on if the client got 503 unavailable', async () => {
    const admin = await system.token('root', 'admin')
    const account = { userId: 'rita', password: 'tall ferns by the river' }
    expect((await system.api.post('/register', account)).status).toBe(201)
    const headers = { prefer: 'return=representation' }
    const { refreshToken } = (await system.api.post('/login', account, { headers })).body
    // Opens connections, and lets the process remember for a moment that the callers have no
    // accounts. Otherwise the requests would wait for reads.
    await Promise.all([
      ask('GET', '/webhooks'),
      system.api.get('/users', { token: admin }),
      ...Array.from({ length: 6 }, () => read('/events')),
    ])
    servers.postgres.pause()
    try {
      const answers = await Promise.all([
        timed(() => ask('POST', '/initialize', { eventId: 78, totalTickets: 1 })),
        timed(() => system.api.post('/register', { ...account, userId: 'late' })),
        timed(() => system.api.put('/users/rita/role', { role: 'organizer' }, { token: admin })),
        timed(() => system.api.post('/token/refresh', { refreshToken })),
      ])
      for (const answer of answers) expectUnavailable(answer)
    } finally {
      servers.postgres.resume()
    }
    expect(await waitForReadyz(200)).toBe(true)
    expect((await system.api.get('/events/78')).status).toBe(404)
    const { users } = (await system.api.get('/users', { token: admin })).body
    expect(users).toMatchObject([{ userId: 'rita', role: 'user' }])
    expect((await system.api.post('/token/refresh', { refreshToken })).status).toBe(200)
  })
})
