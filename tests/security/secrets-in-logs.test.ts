import { createHash } from 'node:crypto'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { startService } from '../stack/processes.ts'
import { type System, startSystem } from '../stack/system.ts'

/** Part of every password and made-up token below, and of nothing else. */
const CANARY = 'kanarienvogel-3kq'
const password = `${CANARY}-and a wall of slate`
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const representation = { headers: { prefer: 'return=representation' } }

let system: System
/** Texts that must not be found: the canary, and the tokens and keys that the API issued. */
const secrets: string[] = [CANARY, Buffer.from(`root:${password}`).toString('base64')]

beforeAll(async () => {
  system = await startSystem({
    env: {
      // The most detailed logs, and an admin whose password comes from the environment.
      LOG_LEVEL: 'trace',
      ADMIN_USER: 'root',
      ADMIN_PASSWORD: password,
      // If a probe found PostgreSQL read-only, the API would refuse requests before any statement.
      PROBE_INTERVAL_MS: '60000',
    },
  })
  await system.addNotifier()
})
afterAll(() => system?.stop())

/** All keys of this test in Redis with their contents, as text. */
async function allOfRedis(): Promise<string> {
  const redis = new Redis(system.redisUrl)
  const texts: string[] = []
  try {
    for await (const keys of redis.scanStream({ match: `*${system.keyPrefix}*`, count: 1000 })) {
      for (const key of keys as string[])
        texts.push(key, JSON.stringify(await contentOf(redis, key)))
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
  [...system.apis, ...system.workers, ...system.notifiers]
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
    (await api.post('/book', { eventId: 1 }, { token, headers: { 'idempotency-key': 'k1' } }))
      .status,
  ).toBe(200)
  expect((await api.post('/book', { eventId: 1 }, { token: organizer })).body.message).toBe(
    'Added to waiting list',
  )
  expect((await api.post('/cancel', { eventId: 1 }, { token })).status).toBe(200)

  const webhook = { url: 'https://crm.example.com/hook' }
  const created = await api.post('/webhooks', webhook, { token: organizer })
  expect(created.status).toBe(201)
  const path = `/webhooks/${created.body.id}`
  const rotated = await api.post(`${path}/rotate-secret`, undefined, { token: organizer })
  expect((await api.post(`${path}/test`, undefined, { token: organizer })).status).toBe(202)
  for (const { secret } of [created.body, rotated.body])
    secrets.push(
      secret.slice('whsec_'.length),
      Buffer.from(secret.slice(6), 'base64').toString('hex'),
    )

  const scopes = ['bookings:write', 'events:read']
  const madeKey = await api.post('/api-keys', { name: 'Shop', scopes }, { token: organizer })
  const newKey = await api.post(`/api-keys/${madeKey.body.id}/rotate`, undefined, {
    token: organizer,
  })
  for (const { key } of [madeKey.body, newKey.body]) {
    secrets.push(key.slice('tlk_'.length + 17), createHash('sha256').update(key).digest('hex'))
    const options = { token: key, headers: { 'idempotency-key': 'k1' } }
    const guest = { eventId: 1, userId: 'guest' }
    expect((await api.post('/book', guest, options)).status).toBe(200)
    expect((await api.get('/events?limit=x', { token: key })).status).toBe(400)
    expect((await api.get('/users', { token: key })).status).toBe(403)
    expect((await api.get('/users', { token: key.slice(0, -1) })).status).toBe(401)
  }

  // Wrong secrets, in places from which they might end up in a message or a Redis key.
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
    (await api.get('/admin/queues/api/queues', { headers: { authorization: `Basic ${basic}` } }))
      .status,
  ).toBe(200)
  await api.request('POST', '/admin/logout', undefined, {
    rawBody: '',
    headers: { ...form, cookie },
  })
  await api.request('POST', '/logout', undefined, { token })
}

it('writes no password, no token and no API key to a log or to Redis', async () => {
  await useSecretsEverywhere()

  const logs = allLogs()
  const redis = await allOfRedis()
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(10)
    expect(logs).not.toContain(secret)
    expect(redis).not.toContain(secret)
  }
  // The search covered real content.
  expect(logs).toContain('/login')
  expect(redis).toContain('event-1')
  expect(redis).toContain('ada')
})

/** Texts that PostgreSQL, Drizzle and argon2 print next to the values of a statement. */
const VALUES_OF_A_STATEMENT = /argon2|Failing row|params:|insert into|"detail"/i

/** Returns a function that gives, as text, everything the processes have logged since this call. */
function collectLogs(): () => string {
  const begun = [...system.apis, ...system.workers].map(({ logs }) => ({ logs, from: logs.length }))
  return () =>
    begun
      .flatMap(({ logs, from }) => logs.slice(from))
      .map((line) => JSON.stringify(line))
      .join('\n')
}

/** Runs `work`, waits for a log line with `sqlState`, and returns all that was logged since. */
async function logsWhile(
  sqlState: string,
  work: (client: pg.Client) => Promise<void>,
): Promise<string> {
  const logs = collectLogs()
  const client = new pg.Client({ connectionString: system.databaseUrl })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
  // A response can arrive before the log line about it.
  await until(() => logs().includes(sqlState), { timeoutMs: 20_000 })
  expect(logs()).toContain(sqlState)
  return logs()
}

const hashOf = (refreshToken: string): string =>
  createHash('sha256').update(refreshToken).digest('base64url')

async function refreshTokenOf(userId: string): Promise<string> {
  expect((await system.api.post('/register', { userId, password })).status).toBe(201)
  const { status, body } = await system.api.post('/login', { userId, password }, representation)
  expect(status).toBe(200)
  return body.refreshToken
}

/**
 * Waits until the API can write again after its database sessions were terminated. `/readyz` cannot
 * tell: it repeats the result of the last probe, which ran before that.
 */
async function untilWritable(): Promise<void> {
  const signIn = async () => (await system.api.post('/login', { userId: 'root', password })).status
  await expect.poll(signIn, { timeout: 20_000 }).toBe(200)
}

/** Makes every call whose statement contains a hash. @returns their statuses */
async function failToWrite(userId: string, refreshToken: string): Promise<number[]> {
  const { api } = system
  return [
    (await api.post('/register', { userId: `${userId}-new`, password })).status,
    (await api.post('/login', { userId, password })).status,
    (await api.post('/token/refresh', { refreshToken }, representation)).status,
  ]
}

it('logs no hash and no statement value when the database becomes read-only', async () => {
  const refreshToken = await refreshTokenOf('rita')
  const logs = await logsWhile('25006', async (client) => {
    const { rows } = await client.query('SELECT quote_ident(current_database()) AS name')
    const setReadOnly = async (value: 'on' | 'off'): Promise<void> => {
      await client.query('SET default_transaction_read_only = off')
      await client.query(
        `ALTER DATABASE ${rows[0].name} SET default_transaction_read_only = ${value}`,
      )
      await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()`)
    }
    await setReadOnly('on')
    try {
      // The first round meets terminated sessions, the second one new sessions that cannot write.
      for (const _ of [1, 2])
        expect(await failToWrite('rita', refreshToken)).toEqual([503, 503, 503])
    } finally {
      await setReadOnly('off')
      await untilWritable()
    }
  })
  expect(logs).not.toMatch(VALUES_OF_A_STATEMENT)
  expect(logs).not.toContain(hashOf(refreshToken))
})

it('logs no hash and no statement value when a statement violates a constraint', async () => {
  const refreshToken = await refreshTokenOf('carla')
  const logs = await logsWhile('23514', async (client) => {
    // The error's `detail` quotes the whole failing row.
    await client.query(`ALTER TABLE users ADD CONSTRAINT canary CHECK (false) NOT VALID`)
    await client.query(`ALTER TABLE refresh_tokens ADD CONSTRAINT canary CHECK (false) NOT VALID`)
    try {
      // Under load a call may end with 503 before PostgreSQL answers.
      await expect
        .poll(() => failToWrite('carla', refreshToken), { timeout: 20_000 })
        .toEqual([500, 500, 500])
      const failed = await startService('api', { ...system.env, ADMIN_USER: 'second-root' })
      expect(await failed.exited).toMatchObject({ code: 1 })
      const printed = failed.logs.map((line) => JSON.stringify(line)).join('\n')
      expect(printed).toContain('23514')
      expect(printed).not.toMatch(VALUES_OF_A_STATEMENT)
    } finally {
      await client.query('ALTER TABLE users DROP CONSTRAINT canary')
      await client.query('ALTER TABLE refresh_tokens DROP CONSTRAINT canary')
    }
  })
  expect(logs).not.toMatch(VALUES_OF_A_STATEMENT)
  expect(logs).not.toContain(hashOf(refreshToken))
})
