import { createHash } from 'node:crypto'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/net.mjs'
import { startService } from '../stack/processes.ts'
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
    env: {
      // The most detailed logs, and an admin whose password is in the environment.
      LOG_LEVEL: 'trace',
      ADMIN_USER: 'root',
      ADMIN_PASSWORD: password,
      // A probe that finds PostgreSQL read-only would keep the statements from being tried.
      PROBE_INTERVAL_MS: '60000',
    },
  })
})
afterAll(() => system?.stop())

/** Every key of the test's own part of Redis with all it holds, as text. */
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
    (await api.post('/book', { eventId: 1 }, { token, headers: { 'idempotency-key': 'k1' } }))
      .status,
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
    (await api.get('/admin/queues/api/queues', { headers: { authorization: `Basic ${basic}` } }))
      .status,
  ).toBe(200)
  await api.request('POST', '/admin/logout', undefined, {
    rawBody: '',
    headers: { ...form, cookie },
  })
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

/** What PostgreSQL, Drizzle and argon2 put around the values of a statement. */
const VALUES_OF_A_STATEMENT = /argon2|Failing row|params:|insert into|"detail"/i

/** Starts to collect what the processes log or print from now on; the function gives it as text. */
function collectLogs(): () => string {
  const begun = [...system.apis, ...system.workers].map(({ logs }) => ({ logs, from: logs.length }))
  return () =>
    begun
      .flatMap(({ logs, from }) => logs.slice(from))
      .map((line) => JSON.stringify(line))
      .join('\n')
}

/** What the processes logged while PostgreSQL refused statements, up to this SQLSTATE at least. */
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
  // An answer can arrive before the line that the process logged about it.
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
 * Waits until the API writes again after its sessions were ended. `/readyz` does not tell: it
 * repeats what the last probe found, which was before the sessions ended.
 */
async function untilWritable(): Promise<void> {
  const signIn = async () => (await system.api.post('/login', { userId: 'root', password })).status
  await expect.poll(signIn, { timeout: 20_000 }).toBe(200)
}

/** Each call that writes a hash, so that a statement with a hash in it fails. */
async function failToWrite(userId: string, refreshToken: string): Promise<number[]> {
  const { api } = system
  return [
    (await api.post('/register', { userId: `${userId}-new`, password })).status,
    (await api.post('/login', { userId, password })).status,
    (await api.post('/token/refresh', { refreshToken }, representation)).status,
  ]
}

it('a database that became read-only leaves no hash and no value in a log', async () => {
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
      // The sessions that were ended fail first, then those that may not write.
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

it('a statement that breaks a constraint leaves no hash and no value in a log', async () => {
  const refreshToken = await refreshTokenOf('carla')
  const logs = await logsWhile('23514', async (client) => {
    // PostgreSQL quotes the whole failing row in the error's `detail`.
    await client.query(`ALTER TABLE users ADD CONSTRAINT canary CHECK (false) NOT VALID`)
    await client.query(`ALTER TABLE refresh_tokens ADD CONSTRAINT canary CHECK (false) NOT VALID`)
    try {
      // Under load a call may be given up with 503 before PostgreSQL has answered.
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
