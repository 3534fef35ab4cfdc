import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type EventStream, openStream } from '../stack/event-stream.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type ContractKit, createContractKit } from './contract-kit.ts'

let system: System
let kit: ContractKit
beforeAll(async () => {
  system = await startSystem({ apis: 2, env: { ADMIN_USER: 'root', ADMIN_PASSWORD: PASSWORD } })
  kit = createContractKit(system)
}, 120_000)
afterAll(async () => {
  await kit?.stop()
  await system?.stop()
})

const PASSWORD = 'a wall of wet slate'
/** The interval of updates with a margin for a busy machine, ms. */
const SOON_MS = 3000
const MAX_ATTEMPTS = 20

/**
 * Opens a stream that is closed at the end of the test. If the first state cannot be read within a
 * second, because this machine is busy, it tries again like any client.
 */
async function open(
  path: string,
  options: Parameters<typeof openStream>[2] & { api?: number } = {},
): Promise<EventStream> {
  const { api = 0, ...rest } = options
  for (let attempt = 1; ; attempt++) {
    const stream = await openStream(system.apis[api]?.url as string, path, rest)
    onTestFinished(() => stream.close())
    if (stream.status !== 503 || attempt === MAX_ATTEMPTS) return stream
    await sleep(500)
  }
}

async function openMine(eventId: number, userId: string, api = 0): Promise<EventStream> {
  return open(`/events/${eventId}/me/stream`, { token: await kit.tokenOf(userId), api })
}

describe('GET /events/:eventId/stream', () => {
  it('sends the present state first, with the number of the last change and a time to reconnect', async () => {
    const eventId = await kit.createEvent(3)
    await kit.send('/book', eventId, { as: 'ada' })
    const stream = await open(`/events/${eventId}/stream`)
    expect(stream.status).toBe(200)
    expect(stream.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': expect.stringContaining('no-store'),
      'x-accel-buffering': 'no',
      ratelimit: expect.any(String),
    })
    const first = await stream.find(() => true)
    expect(first).toMatchObject({
      event: 'status',
      id: '2',
      data: {
        eventId,
        state: 'open',
        availableTickets: 2,
        heldTickets: 0,
        waitingListCount: 0,
        serverTime: expect.stringMatching(/^\d{4}-.*Z$/),
      },
    })
    expect(Object.keys(first.data)).toHaveLength(6)
    expect(stream.retries[0]).toBeGreaterThanOrEqual(1000)
    expect(stream.retries[0]).toBeLessThanOrEqual(5000)
  })

  it('sends changes that any process decided, at most two a second, and always the last one', async () => {
    const eventId = await kit.createEvent(100)
    const openedAtMs = performance.now()
    const streams = await Promise.all(
      [0, 1].map((api) => open(`/events/${eventId}/stream`, { api })),
    )
    for (let i = 0; i < 60; i++) {
      await kit.send('/book', eventId, { as: `user-${i}`, via: system.client(i % 2) })
      await sleep(20)
    }
    for (const stream of streams) {
      await stream.find(({ data }) => data.availableTickets === 40, SOON_MS)
      const times = stream.events.map(({ atMs }) => atMs)
      // The first update may follow the present state at once. On a busy machine updates arrive
      // late, but never before they may be sent.
      for (const [i, atMs] of times.entries())
        expect(atMs - openedAtMs).toBeGreaterThan((i - 1) * 490)
      const ids = stream.events.map(({ id }) => Number(id))
      expect(ids).toEqual(ids.toSorted((a, b) => a - b))
      expect(ids.at(-1)).toBe(61)
    }
  })

  it('answers 404 for an unknown event, 400 for a malformed one, and HEAD without a stream', async () => {
    expect(await open('/events/999/stream')).toMatchObject({ status: 404 })
    expect(await open('/events/x/stream')).toMatchObject({ status: 400 })
    expect(await open('/events/999/stream', { method: 'HEAD' })).toMatchObject({ status: 404 })
    const eventId = await kit.createEvent(1)
    const head = await open(`/events/${eventId}/stream`, { method: 'HEAD' })
    expect(head).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/event-stream' },
    })
    expect(await until(() => head.hasEnded(), { timeoutMs: 1000 })).toBe(true)
  })

  it('ignores Last-Event-ID and an invalid token', async () => {
    const eventId = await kit.createEvent(1)
    for (const id of ['1', '999999999', 'x', '']) {
      const stream = await open(`/events/${eventId}/stream`, {
        token: 'nonsense',
        headers: { 'last-event-id': id, accept: 'text/event-stream' },
      })
      expect(await stream.find(() => true)).toMatchObject({ event: 'status', id: '1' })
    }
  })

  it('sends that a sale opens and closes, although nobody does anything', async () => {
    const eventId = await kit.createEvent(1)
    const at = (ms: number) => new Date(Date.now() + ms).toISOString()
    await kit.patch(eventId, { opensAt: at(1500), closesAt: at(3000) })
    const stream = await open(`/events/${eventId}/stream`)
    expect((await stream.find(() => true)).data.state).toBe('scheduled')
    await stream.find(({ data }) => data.state === 'open', 1500 + SOON_MS)
    await stream.find(({ data }) => data.state === 'closed', 1500 + SOON_MS)
    expect(new Set(stream.events.map(({ id }) => id))).toHaveLength(1)
  })

  it('shows no tickets and nobody waiting once the event is canceled', async () => {
    const eventId = await kit.createEvent(1)
    for (const as of ['ada', 'bob']) await kit.send('/book', eventId, { as })
    const stream = await open(`/events/${eventId}/stream`)
    await kit.call(`POST /events/${eventId}/cancel`, { as: 'olga', body: {} })
    await stream.find(
      ({ data }) =>
        data.state === 'canceled' && data.availableTickets === 0 && data.waitingListCount === 0,
      SOON_MS,
    )
  })

  it('ends when the event is deleted', async () => {
    const eventId = await kit.createEvent(1)
    const stream = await open(`/events/${eventId}/stream`)
    await stream.find(() => true)
    expect(await kit.call(`DELETE /events/${eventId}`, { as: 'olga' })).toMatchObject({
      status: 204,
    })
    expect(await until(() => stream.hasEnded(), { timeoutMs: 5000 })).toBe(true)
    expect(await open(`/events/${eventId}/stream`)).toMatchObject({ status: 404 })
  })
})

describe('GET /events/:eventId/me/stream', () => {
  it('needs a token', async () => {
    const eventId = await kit.createEvent(1)
    expect(await open(`/events/${eventId}/me/stream`)).toMatchObject({ status: 401 })
  })

  it('sends the status and the standing as /me shows it, through a wait, an offer and a booking', async () => {
    const eventId = await kit.createEvent(1, { offerSeconds: 60 })
    await kit.send('/book', eventId, { as: 'ada' })
    const stream = await openMine(eventId, 'cyd')
    const me = async () => (await kit.call(`GET /events/${eventId}/me`, { as: 'cyd' })).body
    await until(() => stream.events.length >= 2, { timeoutMs: SOON_MS })
    expect(stream.events.map(({ event }) => event).slice(0, 2)).toEqual(['status', 'standing'])
    expect(stream.events[1]?.data).toEqual(await me())
    expect(stream.events[1]?.id).toBe(stream.events[0]?.id)

    await kit.send('/book', eventId, { as: 'bob' })
    await kit.send('/book', eventId, { as: 'cyd' })
    const isStanding = ({ event }: { event: string }) => event === 'standing'
    await stream.find((event) => isStanding(event) && event.data.position === 2, SOON_MS)
    await kit.send('/cancel', eventId, { as: 'bob' })
    await stream.find((event) => isStanding(event) && event.data.position === 1, SOON_MS)
    expect(stream.last('standing')?.data).toEqual(await me())
    await kit.send('/cancel', eventId, { as: 'ada' })
    const offered = await stream.find(
      (event) => isStanding(event) && event.data.standing === 'held',
      SOON_MS,
    )
    expect(offered.data).toEqual(await me())
    expect(offered.data).toMatchObject({ offered: true, expiresAt: expect.any(String) })
    await kit.send('/confirm', eventId, { as: 'cyd' })
    const booked = await stream.find(
      (event) => isStanding(event) && event.data.standing === 'booked',
      SOON_MS,
    )
    expect(booked.data).toEqual(await me())
  })

  it('sends that a hold has lapsed', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60 })
    await kit.send('/book', eventId, { as: 'ada' })
    const stream = await openMine(eventId, 'ada')
    await stream.find(({ data }) => data.standing === 'held')
    await kit.expireHolds(eventId)
    await stream.find(({ data }) => data.standing === 'none', 2 * SOON_MS)
    await stream.find(({ data }) => data.availableTickets === 1 && data.heldTickets === 0, SOON_MS)
  })

  it('ends within a second when the token expires', async () => {
    const eventId = await kit.createEvent(1)
    const token = await system.token('ada', 'user', 3)
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    const stream = await open(`/events/${eventId}/me/stream`, { token })
    expect(await stream.bye(5000)).toBe('expired')
    const lateMs = Date.now() - exp * 1000
    expect(lateMs).toBeGreaterThanOrEqual(0)
    expect(lateMs).toBeLessThan(1000)
  })

  it('ends within a second, on every process, when the user is disabled', async () => {
    const eventId = await kit.createEvent(1)
    const { post, put } = system.api
    await post('/register', { userId: 'victim', password: PASSWORD })
    const login = async (userId: string) =>
      (await post('/login', { userId, password: PASSWORD })).body.token as string
    const token = await login('victim')
    const streams = await Promise.all(
      [0, 1].map((api) => open(`/events/${eventId}/me/stream`, { token, api })),
    )
    await Promise.all(streams.map((stream) => stream.find(() => true)))
    const admin = await login('root')
    const startedAt = performance.now()
    expect(await put('/users/victim/disabled', { disabled: true }, { token: admin })).toMatchObject(
      { status: 200 },
    )
    expect(await Promise.all(streams.map((stream) => stream.bye()))).toEqual([
      'disabled',
      'disabled',
    ])
    expect(performance.now() - startedAt).toBeLessThan(1300)
  })
})

describe('the limits of streams', () => {
  it('gives a user six streams across all processes, and frees a place when one closes', async () => {
    const eventId = await kit.createEvent(1)
    const streams = await Promise.all(
      [0, 1, 0, 1, 0, 1].map((api) => openMine(eventId, 'greedy', api)),
    )
    expect(streams.map(({ status }) => status)).toEqual(Array(6).fill(200))
    for (const api of [0, 1]) {
      const refused = await openMine(eventId, 'greedy', api)
      expect(refused).toMatchObject({
        status: 429,
        headers: { 'content-type': 'application/json', 'retry-after': '5' },
      })
      await until(() => refused.hasEnded(), { timeoutMs: 1000 })
      expect(refused.text()).toBe(
        '{"message":"Too many requests from this IP, please try again later."}',
      )
    }
    expect(await openMine(eventId, 'modest', 1)).toMatchObject({ status: 200 })
    streams[0]?.close()
    const again = async () => (await openMine(eventId, 'greedy', 1)).status === 200
    expect(await until(again, { timeoutMs: 2000, everyMs: 50 })).toBe(true)
  })

  it('limits the streams of an address and of a process, and no other request', async () => {
    const small = await startSystem({
      workers: 0,
      env: {
        MAX_STREAMS_PER_ADDRESS: '3',
        MAX_STREAMS: '4',
        TRUST_PROXY_HOPS: '1',
        MAX_REQUESTS: '2',
      },
    })
    onTestFinished(() => small.stop())
    const token = await small.token('olga', 'organizer')
    await small.api.post('/initialize', { eventId: 1, totalTickets: 1 }, { token })
    const from = async (address: string) => {
      const stream = await openStream(small.apis[0]?.url as string, '/events/1/stream', {
        headers: { 'x-forwarded-for': address },
      })
      onTestFinished(() => stream.close())
      return stream.status
    }
    const statuses = []
    for (const address of [
      '192.0.2.1',
      '192.0.2.1',
      '192.0.2.1',
      '192.0.2.1',
      '2001:db8::1',
      '2001:db8::2',
    ])
      statuses.push(await from(address))
    expect(statuses).toEqual([200, 200, 200, 429, 200, 503])
    expect(await small.api.get('/status/1')).toMatchObject({ status: 200 })
  })
})

describe('the connection of a stream', () => {
  it('stays open although timeouts of other connections pass, and comments are sent', async () => {
    const quick = await startSystem({
      workers: 0,
      env: {
        KEEP_ALIVE_TIMEOUT_MS: '200',
        HEADERS_TIMEOUT_MS: '200',
        REQUEST_TIMEOUT_MS: '200',
        EXPORT_STALL_TIMEOUT_MS: '200',
      },
    })
    onTestFinished(() => quick.stop())
    const token = await quick.token('olga', 'organizer')
    await quick.api.post('/initialize', { eventId: 1, totalTickets: 1 }, { token })
    const stream = await openStream(quick.apis[0]?.url as string, '/events/1/stream')
    onTestFinished(() => stream.close())
    expect(await until(() => stream.comments() >= 2, { timeoutMs: 32_000 })).toBe(true)
    expect(stream.hasEnded()).toBe(false)
  }, 60_000)

  it('does not delay other streams if its client does not read', async () => {
    const eventId = await kit.createEvent(1000)
    const { hostname, port } = new URL(system.apis[0]?.url as string)
    const socket = connect({ host: hostname, port: Number(port) })
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => undefined)
    socket.write(`GET /events/${eventId}/stream HTTP/1.1\r\nHost: x\r\n\r\n`)
    socket.pause()
    const stream = await open(`/events/${eventId}/stream`)
    await kit.send('/book', eventId, { as: 'ada' })
    await stream.find(({ data }) => data.availableTickets === 999, SOON_MS)
  })
})

describe('a process that stops', () => {
  it('ends its streams with the reason and a later time to reconnect, and refuses new ones', async () => {
    const eventId = await kit.createEvent(5)
    const api = await system.addApi()
    const streams = await Promise.all(
      Array.from({ length: 50 }, () => openStream(api.url, `/events/${eventId}/stream`)),
    )
    onTestFinished(() => {
      for (const stream of streams) stream.close()
    })
    await Promise.all(streams.map((stream) => stream.find(() => true)))
    const startedAt = performance.now()
    const stopped = api.stop()
    const refused = await openStream(api.url, `/events/${eventId}/stream`)
    expect(refused.status).toBe(503)
    expect(await Promise.all(streams.map((stream) => stream.bye()))).toEqual(
      Array(50).fill('shutdown'),
    )
    await stopped
    expect(performance.now() - startedAt).toBeLessThan(2500)
    const retries = streams.map((stream) => stream.retries.at(-1))
    expect(new Set(retries).size).toBeGreaterThan(40)
  })
})
