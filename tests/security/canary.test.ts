import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type System, startSystem } from '../stack/system.ts'

/** Stands in every password and token below, and nowhere else. */
const CANARY = 'kanarienvogel-3kq'
const password = `${CANARY}-and a wall of slate`
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const representation = { headers: { prefer: 'return=representation' } }

let system: System
/** What must not be found: the canary, and the secrets that the API made itself. */
const secrets: string[] = [CANARY, Buffer.from(`root:${password}`).toString('base64')]

beforeAll(async () => {
  system = await startSystem({
    // The most talkative logs there are, and an admin whose password stands in the environment.
    env: { LOG_LEVEL: 'trace', ADMIN_USER: 'root', ADMIN_PASSWORD: password },
  })
})
afterAll(() => system?.stop())

/** Every key of the test's own part of Redis with all it holds, as text. */
async function allOfRedis(): Promise<string> {
  const redis = new Redis(system.redisUrl)
  const texts: string[] = []
  try {
    for await (const keys of redis.scanStream({ match: `*${system.keyPrefix}*`, count: 1000 })) {
      for (const key of keys as string[]) texts.push(key, JSON.stringify(await contentOf(redis, key)))
    }
  } finally {
    redis.disconnect()
  }
  return texts.join('\n')
}

async function contentOf(redis: Redis, key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'string':
      return redis.get(key)
    case 'hash':
      return redis.hgetall(key)
    case 'list':
      return redis.lrange(key, 0, -1)
    case 'set':
      return redis.smembers(key)
    case 'zset':
      return redis.zrange(key, '0', '-1', 'WITHSCORES')
    case 'stream':
      return redis.xrange(key, '-', '+')
    default:
      return undefined
  }
}

const allLogs = (): string =>
  [...system.apis, ...system.workers]
    .flatMap(({ logs }) => logs.map((line) => JSON.stringify(line)))
    .join('\n')

async function useSecretsEverywhere(): Promise<void> {
  const { api } = system
  const ada = { userId: 'ada', password }
  expect((await api.post('/register', ada)).status).toBe(201)
  const signedIn = await api.post('/login', ada, representation)
  const { token, refreshToken } = signedIn.body
  secrets.push(token, token.split('.')[2], refreshToken, refreshToken.split('.')[1])
  const organizer = await system.token('olga', 'organizer')
  secrets.push(organizer, organizer.split('.')[2] ?? '')

  await api.post('/initialize', { eventId: 1, totalTickets: 1 }, { token: organizer })
  expect(
    (await api.post('/book', { eventId: 1 }, { token, headers: { 'idempotency-key': 'k1' } })).status,
  ).toBe(200)
  expect((await api.post('/book', { eventId: 1 }, { token: organizer })).body.message).toBe(
    'Added to waiting list',
  )
  expect((await api.post('/cancel', { eventId: 1 }, { token })).status).toBe(200)

  // Wrong ones, in the places where somebody might put them into a message or a key.
  await api.post('/register', ada)
  await api.post('/login', { userId: 'ada', password: `${password}-wrong` })
  await api.post('/login', { userId: 'nobody-here', password })
  await api.post('/login', { userId: 'ada', password: [password] })
  await api.request('POST', '/login', undefined, {
    rawBody: `{"userId":"ada","password":"${password}`,
    headers: { 'content-type': 'application/json' },
  })
  await api.post('/token/refresh', { refreshToken: `${CANARY}.x` })
  await api.post('/token/refresh', { refreshToken }, representation)
  await api.post('/token/refresh', { refreshToken })
  await api.get('/jobs/none', { token: `${CANARY}.a.b` })
  await api.get('/jobs/none', {
    headers: { authorization: `Basic ${CANARY}`, cookie: `refresh_token=${CANARY}` },
  })
  await api.request('POST', '/admin/login', undefined, {
    rawBody: new URLSearchParams({ userId: 'root', password: `${password}?` }).toString(),
    headers: form,
  })
  const board = await api.request('POST', '/admin/login', undefined, {
    rawBody: new URLSearchParams({ userId: 'root', password }).toString(),
    headers: form,
  })
  const cookie = board.headers.get('set-cookie')?.split(';')[0] ?? ''
  secrets.push(cookie.slice(cookie.indexOf('=') + 1))
  expect((await api.get('/admin/queues/api/queues', { headers: { cookie } })).status).toBe(200)
  const basic = Buffer.from(`root:${password}`).toString('base64')
  expect(
    (await api.get('/admin/queues/api/queues', { headers: { authorization: `Basic ${basic}` } })).status,
  ).toBe(200)
  await api.request('POST', '/admin/logout', undefined, { rawBody: '', headers: { ...form, cookie } })
  await api.request('POST', '/logout', undefined, { token })
}

it('passwords and tokens stand in no log and nowhere in Redis', async () => {
  await useSecretsEverywhere()

  const logs = allLogs()
  const redis = await allOfRedis()
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(10)
    expect(logs).not.toContain(secret)
    expect(redis).not.toContain(secret)
  }
  // Where the search looked there was something to find.
  expect(logs).toContain('/login')
  expect(redis).toContain('event-1')
  expect(redis).toContain('ada')
})
