import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient, type Reply } from '../stack/client.ts'
import { queryOnce } from '../stack/databases.ts'
import { type System, startSystem } from '../stack/system.ts'

const password = 'tall ferns by the river'
const admin = { userId: 'root', password: 'a wall of wet slate' }
const adminEnv = { ADMIN_USER: admin.userId, ADMIN_PASSWORD: admin.password }
const representation = { headers: { prefer: 'return=representation' } }

let system: System
let nextUser = 0
const newUser = () => `user-${++nextUser}`

beforeAll(async () => {
  // Lower than the number of concurrent sign-ins below, so that those would be refused if attempts
  // counted before they fail.
  system = await startSystem({ apis: 2, workers: 0, env: { ...adminEnv, LOGIN_RATE_LIMIT: '60' } })
})
afterAll(() => system?.stop())

async function register(userId = newUser()): Promise<string> {
  expect(await system.api.post('/register', { userId, password })).toMatchObject({ status: 201 })
  return userId
}

async function login(userId: string, secret = password): Promise<Reply> {
  return system.api.post('/login', { userId, password: secret }, representation)
}

async function adminToken(): Promise<string> {
  return (await login(admin.userId, admin.password)).body.token
}

/** 404 (an unknown job) if the token is accepted, else 401. */
async function statusOf(token: string, process = 0): Promise<number> {
  return (await system.client(process).get('/jobs/none', { token })).status
}

const query = (sql: string, values: unknown[] = []) => queryOnce(system.databaseUrl, sql, values)

/** Signs in to the dashboard by its form. */
async function boardCookie(userId: string, secret: string): Promise<string> {
  const answer = await system.api.request('POST', '/admin/login', undefined, {
    rawBody: new URLSearchParams({ userId, password: secret }).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  expect(answer.status).toBe(303)
  return answer.headers.get('set-cookie')?.split(';')[0] ?? ''
}

const boardStatus = async (cookie: string): Promise<number> =>
  (await system.api.get('/admin/queues/api/queues', { headers: { cookie } })).status

/** Deletes the failed sign-ins that are counted, since all tests share one address. */
async function forgetFailures(): Promise<void> {
  const redis = new Redis(system.redisUrl)
  try {
    const keys = await redis.keys(`*${system.keyPrefix}*failures:*`)
    if (keys.length > 0) await redis.del(...keys)
  } finally {
    redis.disconnect()
  }
}

const refresh = (refreshToken: string, process = 0) =>
  system.client(process).post('/token/refresh', { refreshToken }, representation)

describe('registration', () => {
  it('registers a user and answers with the user id, or with 409 if the id exists', async () => {
    const userId = newUser()
    const first = await system.api.post('/register', { userId, password })
    expect(first).toMatchObject({ status: 201, body: { userId } })
    expect(Object.keys(first.body)).toEqual(['userId'])
    const second = await system
      .client(1)
      .post('/register', { userId, password: 'another long one' })
    expect(second).toMatchObject({ status: 409, body: { code: 'user_exists' } })
    expect((await login(userId)).status).toBe(200)
  })

  it('creates one account when many clients register one user id at once', async () => {
    const userId = newUser()
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        system.client(n % 2).post('/register', { userId, password: `${password} ${n}` }),
      ),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(11).fill(409)])
  })

  it('refuses the most common passwords at registration', async () => {
    const answer = await system.api.post('/register', {
      userId: newUser(),
      password: 'password123',
    })
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
    expect(answer.body.errors).toEqual([{ pointer: '/password', detail: expect.any(String) }])
  })

  it('distinguishes user ids that differ in case or accents', async () => {
    const base = newUser()
    for (const userId of [base, base.toUpperCase(), `${base}é`, `${base}e`]) await register(userId)
  })

  it.each(['.', '..', ' ada', 'ada ', 'admin\u200b', 'e\u0301mile', '\u202enimda', 'a\u2028b'])(
    'refuses the user id %j, which looks like another one or cannot be part of a path',
    async (userId) => {
      const answer = await system.api.post('/register', { userId, password })
      expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
      expect(answer.body.errors).toEqual([{ pointer: '/userId', detail: expect.any(String) }])
    },
  )

  it('signs in accounts of an earlier release whose user id is refused now', async () => {
    const rows = await query('SELECT password_hash FROM users WHERE user_id = $1', [
      await register(),
    ])
    for (const userId of ['..', ' old ada ', 'admin\u200b', 'e\u0301mile']) {
      await query('INSERT INTO users (user_id, password_hash) VALUES ($1, $2)', [
        userId,
        rows[0].password_hash,
      ])
      expect((await login(userId)).status).toBe(200)
    }
  })

  it.each([
    [{ userId: 'x' }, '/password'],
    [{ userId: 'x', password: 'short' }, '/password'],
    [{ userId: 'x', password: 'y'.repeat(129) }, '/password'],
    [{ userId: 'x', password: '1234567\ud800' }, '/password'],
    [{ userId: '', password }, '/userId'],
    [{ userId: 'a\u0007', password }, '/userId'],
    [{ userId: 'x', password, role: 'admin' }, '/role'],
  ])('refuses the body %j at registration and sign-in', async (body, pointer) => {
    for (const path of ['/register', '/login']) {
      const answer = await system.api.post(path, body)
      expect(answer).toMatchObject({
        status: 400,
        body: { code: 'invalid_request', errors: [{ pointer }] },
      })
    }
  })
})

describe('sign-in', () => {
  it('signs in with a token that lasts 15 minutes and a cookie for /token', async () => {
    const userId = await register()
    const answer = await system.api.post('/login', { userId, password })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ token: expect.any(String), tokenType: 'Bearer', expiresIn: 900 })
    const claims = decodeJwt(answer.body.token)
    expect(claims).toMatchObject({ sub: userId, role: 'user' })
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(900)
    expect(await statusOf(answer.body.token, 1)).toBe(404)
    const cookie = answer.headers.get('set-cookie')
    expect(cookie).toMatch(
      /^refresh_token=[^;]+; Max-Age=\d+; Path=\/token; HttpOnly; SameSite=Strict$/,
    )
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  it('includes the refresh token in the body with Prefer: return=representation', async () => {
    const answer = await login(await register())
    expect(Object.keys(answer.body).sort()).toEqual([
      'expiresIn',
      'refreshToken',
      'token',
      'tokenType',
    ])
    expect(answer.headers.get('preference-applied')).toBe('return=representation')
  })

  it('gives the same response to an unknown user and a wrong password', async () => {
    const userId = await register()
    const wrong = await login(userId, 'not the password')
    const unknown = await login(newUser(), 'not the password')
    expect(wrong).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } })
    expect(unknown.body).toEqual(wrong.body)
    const namesOf = ({ headers }: Reply) => [...headers.keys()].sort()
    expect(namesOf(unknown)).toEqual(namesOf(wrong))
  })

  it('limits none of a hundred concurrent, successful sign-ins from one address', async () => {
    const userId = await register()
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        system.client(n % 2).post('/login', { userId, password }),
      ),
    )
    // A slow machine may answer some of them 503, but never 401 or 429.
    const others = answers.filter(({ status }) => status !== 200)
    expect(others.length).toBeLessThan(90)
    expect(others.filter(({ body }) => !['busy', 'unavailable'].includes(body.code))).toEqual([])
  })
})

describe('refresh tokens', () => {
  it('exchanges a refresh token once for a new pair of tokens', async () => {
    const { body } = await login(await register())
    const first = await refresh(body.refreshToken, 1)
    expect(first).toMatchObject({ status: 200, body: { tokenType: 'Bearer', expiresIn: 900 } })
    expect(first.body.refreshToken).not.toBe(body.refreshToken)
    expect(await statusOf(first.body.token)).toBe(404)
    expect((await refresh(first.body.refreshToken)).status).toBe(200)
  })

  it('revokes all refresh tokens of a sign-in if one is used twice', async () => {
    const { body } = await login(await register())
    const other = await login(decodeJwt(body.token).sub ?? '')
    const { body: next } = await refresh(body.refreshToken)
    expect(await refresh(body.refreshToken)).toMatchObject({
      status: 401,
      body: { code: 'unauthorized' },
    })
    expect((await refresh(next.refreshToken)).status).toBe(401)
    expect((await refresh(other.body.refreshToken)).status).toBe(200)
  })

  it('exchanges a refresh token once when it is sent many times at once', async () => {
    const { body } = await login(await register())
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => refresh(body.refreshToken, n % 2)),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  it('accepts a refresh token in its cookie', async () => {
    const answer = await system.api.post('/login', { userId: await register(), password })
    const cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? ''
    // Many clients send the media type with every POST.
    const next = await system.api.request('POST', '/token/refresh', undefined, {
      headers: { cookie, 'content-type': 'application/json' },
    })
    expect(next.status).toBe(200)
    expect(Object.keys(next.body).sort()).toEqual(['expiresIn', 'token', 'tokenType'])
    const again = await system.api.request('POST', '/token/refresh', undefined, {
      headers: { cookie },
    })
    expect(again.status).toBe(401)
    expect(again.headers.get('set-cookie')).toMatch(/^refresh_token=; Max-Age=0; Path=\/token/)
  })

  it.each([
    '',
    'x',
    '.',
    'a'.repeat(5000),
    `00000000-0000-0000-0000-000000000000.${'A'.repeat(43)}`,
    "'; --",
  ])('refuses the invalid refresh token %.60s', async (refreshToken) => {
    expect((await refresh(refreshToken)).status).toBe(401)
  })

  it('ends the oldest sign-in of an account after fifty', async () => {
    const userId = await register()
    const signIn = async () => (await login(userId)).body
    const [oldest, second] = [await signIn(), await signIn()]
    // The rows of 48 more sign-ins.
    await query(
      `INSERT INTO refresh_tokens (token_hash, family_id, user_id, expires_at)
       SELECT 'copy-' || n || $1, gen_random_uuid(), $1, now() + interval '1 day' FROM generate_series(1, 48) AS n`,
      [userId],
    )
    const newest = await signIn()
    expect((await refresh(oldest.refreshToken)).status).toBe(401)
    expect((await refresh(second.refreshToken)).status).toBe(200)
    expect((await refresh(newest.refreshToken)).status).toBe(200)
    const rows = await query('SELECT count(*)::int AS n FROM refresh_tokens WHERE user_id = $1', [
      userId,
    ])
    expect(rows).toEqual([{ n: 50 }])
  })

  it('stores refresh tokens as hashes', async () => {
    const { body } = await login(await register())
    const rows = await query('SELECT * FROM refresh_tokens')
    expect(rows.length).toBeGreaterThan(0)
    expect(JSON.stringify(rows)).not.toContain(body.refreshToken.split('.')[1])
  })
})

describe('signing out', () => {
  it('ends the sign-in of the access token only', async () => {
    const { body } = await login(await register())
    const other = await login(decodeJwt(body.token).sub ?? '')
    const answer = await system.api.request('POST', '/logout', undefined, { token: body.token })
    expect(answer.status).toBe(204)
    expect(answer.headers.get('set-cookie')).toMatch(/^refresh_token=; Max-Age=0; Path=\/token/)
    expect((await refresh(body.refreshToken)).status).toBe(401)
    expect((await refresh(other.body.refreshToken)).status).toBe(200)
  })

  it('ends the sign-in of a refresh token from the body or the cookie', async () => {
    for (const asCookie of [true, false]) {
      const { refreshToken } = (await login(await register())).body
      const cookie = { headers: { cookie: `refresh_token=${refreshToken}` } }
      const answer = asCookie
        ? await system.api.request('POST', '/logout', undefined, cookie)
        : await system.api.post('/logout', { refreshToken })
      expect(answer.status).toBe(204)
      expect((await refresh(refreshToken)).status).toBe(401)
    }
  })

  it('answers 204 to a sign-out that names no sign-in or an unknown one', async () => {
    expect((await system.api.request('POST', '/logout')).status).toBe(204)
    const secret = new TextEncoder().encode(system.jwtSecret)
    for (const sid of ['x', "' OR 1=1", 7]) {
      const token = await new SignJWT({ sub: 'eve', sid, exp: Date.now() })
        .setProtectedHeader({ alg: 'HS256' })
        .sign(secret)
      expect((await system.api.request('POST', '/logout', undefined, { token })).status).toBe(204)
    }
  })
})

describe('roles', () => {
  const newEvent = () => ({ eventId: 1_000_000 + ++nextUser, totalTickets: 1 })

  it('applies a new role to earlier tokens on every process within a second', async () => {
    const userId = await register()
    const { token } = (await login(userId)).body
    expect((await system.client(1).post('/initialize', newEvent(), { token })).status).toBe(403)
    const given = await system.api.put(
      `/users/${userId}/role`,
      { role: 'organizer' },
      { token: await adminToken() },
    )
    expect(given).toMatchObject({ status: 200, body: { userId, role: 'organizer' } })
    expect((await system.api.post('/initialize', newEvent(), { token })).status).toBe(201)
    await sleep(1000)
    expect((await system.client(1).post('/initialize', newEvent(), { token })).status).toBe(201)
  })

  it('removes a role within a second, even from tokens that claim it', async () => {
    const userId = await register()
    const token = await adminToken()
    await system.api.put(`/users/${userId}/role`, { role: 'organizer' }, { token })
    const claims = (await login(userId)).body.token
    expect(decodeJwt(claims).role).toBe('organizer')
    expect((await system.client(1).post('/initialize', newEvent(), { token: claims })).status).toBe(
      201,
    )
    await system.api.put(`/users/${userId}/role`, { role: 'user' }, { token })
    await sleep(1000)
    expect((await system.client(1).post('/initialize', newEvent(), { token: claims })).status).toBe(
      403,
    )
  })

  it('honors the role in a token only if its subject has no account', async () => {
    const userId = await register()
    expect(
      (
        await system.api.post('/initialize', newEvent(), {
          token: await system.token('nobody here', 'organizer'),
        })
      ).status,
    ).toBe(201)
    expect(
      (
        await system.api.post('/initialize', newEvent(), {
          token: await system.token(userId, 'admin'),
        })
      ).status,
    ).toBe(403)
  })

  it('sets roles only for known users, to known values, and at the request of an admin', async () => {
    const userId = await register()
    const put = async (path: string, body: unknown, role: 'user' | 'organizer' | 'admin') =>
      (await system.api.put(path, body, { token: await system.token('boss', role) })).body.code
    expect(await put('/users/nobody%20here/role', { role: 'user' }, 'admin')).toBe('user_not_found')
    expect(await put('/users/nobody%20here/disabled', { disabled: true }, 'admin')).toBe(
      'user_not_found',
    )
    expect(await put(`/users/${userId}/role`, { role: 'root' }, 'admin')).toBe('invalid_request')
    expect(await put(`/users/${userId}/disabled`, { disabled: 'yes' }, 'admin')).toBe(
      'invalid_request',
    )
    expect(await put(`/users/${userId}/role`, { role: 'admin' }, 'organizer')).toBe('forbidden')
    expect(await put(`/users/${userId}/disabled`, { disabled: true }, 'user')).toBe('forbidden')
  })
})

describe('a disabled account', () => {
  it('refuses a disabled account within a second and revives no token when it is enabled', async () => {
    const userId = await register()
    const { token, refreshToken } = (await login(userId)).body
    const boss = { token: await adminToken() }
    const answer = await system.api.put(`/users/${userId}/disabled`, { disabled: true }, boss)
    expect(answer).toMatchObject({ status: 200, body: { userId, disabled: true } })
    expect(await statusOf(token)).toBe(401)
    await sleep(1000)
    expect(await statusOf(token, 1)).toBe(401)
    expect((await login(userId)).status).toBe(401)
    expect((await refresh(refreshToken)).status).toBe(401)
    await system.api.put(`/users/${userId}/disabled`, { disabled: false }, boss)
    await sleep(1000)
    expect(await statusOf(token)).toBe(401)
    expect(await statusOf(token, 1)).toBe(401)
    expect((await refresh(refreshToken)).status).toBe(401)
    const again = await login(userId)
    expect(again.status).toBe(200)
    expect(await statusOf(again.body.token, 1)).toBe(404)
    expect((await refresh(again.body.refreshToken)).status).toBe(200)
  })

  it('ends the dashboard session of a disabled account for good', async () => {
    const userId = await register()
    const boss = { token: await adminToken() }
    await system.api.put(`/users/${userId}/role`, { role: 'admin' }, boss)
    const cookie = await boardCookie(userId, password)
    expect(await boardStatus(cookie)).toBe(200)
    await system.api.put(`/users/${userId}/disabled`, { disabled: true }, boss)
    expect(await boardStatus(cookie)).toBe(401)
    await system.api.put(`/users/${userId}/disabled`, { disabled: false }, boss)
    expect(await boardStatus(cookie)).toBe(401)
    expect(await boardStatus(await boardCookie(userId, password))).toBe(200)
  })
})

describe('a user id that may register', () => {
  // Characters that paths, proxies or URL parsers treat specially. The API's user-routes.test.ts
  // tests each of them alone.
  it.each([
    '/\\%?#;:@&=+$,!*()[]{}|^`~<>"\' .-_',
    '%2e%2e',
    '...',
    'a/../b',
    '//',
    '\\',
    '🎟'.repeat(128),
  ])('disables an account whatever the characters of its user id: %j', async (userId) => {
    await register(userId)
    const path = `/users/${encodeURIComponent(userId)}`
    const boss = { token: await system.token('another boss', 'admin') }
    expect(await system.api.put(`${path}/disabled`, { disabled: true }, boss)).toMatchObject({
      status: 200,
      body: { userId, disabled: true },
    })
    const rows = await query('SELECT disabled FROM users WHERE user_id = $1', [userId])
    expect(rows).toEqual([{ disabled: true }])
  })
})

describe('a password change', () => {
  const newPassword = 'short ferns by the lake'
  const change = (token: string, secret = password, wanted = newPassword) =>
    system.api.put('/me/password', { password: secret, newPassword: wanted }, { token })

  it('ends all other sign-ins within a second of a password change', async () => {
    const userId = await register()
    const [mine, other] = [(await login(userId)).body, (await login(userId)).body]
    const answer = await change(mine.token)
    expect(answer).toMatchObject({ status: 204, body: undefined })
    await system.apis[0]?.waitForLog(
      (line) => line['audit'] === 'password_changed' && line['actor'] === userId,
    )
    await sleep(1000)
    for (const process of [0, 1]) {
      expect(await statusOf(mine.token, process)).toBe(404)
      expect(await statusOf(other.token, process)).toBe(401)
    }
    expect((await refresh(other.refreshToken)).status).toBe(401)
    const next = await refresh(mine.refreshToken)
    expect(next.status).toBe(200)
    expect(await statusOf(next.body.token, 1)).toBe(404)
    expect((await login(userId)).status).toBe(401)
    expect((await login(userId, newPassword)).status).toBe(200)

    // A second change by a new sign-in ends the one that survived.
    const third = (await login(userId, newPassword)).body
    expect((await change(third.token, newPassword, password)).status).toBe(204)
    expect(await statusOf(third.token)).toBe(404)
    expect(await statusOf(mine.token)).toBe(401)
    expect(await statusOf(next.body.token)).toBe(401)
    expect((await refresh(next.body.refreshToken)).status).toBe(401)
  })

  it('ends the dashboard session at a password change', async () => {
    const userId = await register()
    await system.api.put(`/users/${userId}/role`, { role: 'admin' }, { token: await adminToken() })
    const cookie = await boardCookie(userId, password)
    const { token } = (await login(userId)).body
    expect((await change(token)).status).toBe(204)
    expect(await boardStatus(cookie)).toBe(401)
  })

  it('refuses tokens signed elsewhere with the same secret before a password change', async () => {
    const userId = await register()
    const foreign = await system.token(userId)
    expect(await statusOf(foreign)).toBe(404)
    expect((await change((await login(userId)).body.token)).status).toBe(204)
    expect(await statusOf(foreign)).toBe(401)
  })

  it('answers 401 to a password change with a wrong password and changes nothing', async () => {
    const userId = await register()
    const [mine, other] = [(await login(userId)).body, (await login(userId)).body]
    const answer = await change(mine.token, 'not the password')
    expect(answer).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    expect(await statusOf(other.token)).toBe(404)
    expect((await login(userId)).status).toBe(200)
    const nobody = await change(await system.token('nobody here'), password)
    expect(nobody).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } })
    expect((await system.api.put('/me/password', { password, newPassword })).body.code).toBe(
      'unauthorized',
    )
  })

  it('counts a wrong password at a password change as a failed sign-in', async () => {
    await forgetFailures()
    const strict = createClient((await system.addApi({ LOGIN_RATE_LIMIT: '3' })).url)
    const userId = await register()
    const { token } = (await login(userId)).body
    const wrong = { password: 'not the password', newPassword }
    const statuses = []
    for (let attempt = 0; attempt < 4; attempt++) {
      statuses.push((await strict.put('/me/password', wrong, { token })).status)
    }
    expect(statuses).toEqual([401, 401, 401, 429])
    expect((await strict.post('/login', { userId, password })).status).toBe(429)
    await forgetFailures()
  })

  it.each([
    [{ password }, '/newPassword'],
    [{ newPassword }, '/password'],
    [{ password, newPassword: 'short' }, '/newPassword'],
    [{ password, newPassword: 'password123' }, '/newPassword'],
    [{ password, newPassword, userId: 'ada' }, '/userId'],
  ])('refuses a password change with the body %j', async (body, pointer) => {
    const { token } = (await login(await register())).body
    const answer = await system.api.put('/me/password', body, { token })
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'invalid_request', errors: [{ pointer }] },
    })
  })

  it('changes a password once when the request is sent many times at once', async () => {
    const userId = await register()
    const { token } = (await login(userId)).body
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, n) => change(token, password, `${newPassword} ${n}`)),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([204, ...Array(5).fill(401)])
  })
})

describe('the list of accounts', () => {
  it('lists every account once, in order of user id, without password hashes', async () => {
    const token = await adminToken()
    const seen = []
    let after = ''
    for (;;) {
      const { status, body } = await system.api.get(`/users?limit=7${after}`, { token })
      expect(status).toBe(200)
      expect(Object.keys(body)).toEqual(['users', 'next'])
      seen.push(...body.users)
      if (body.next === null) break
      expect(body.users).toHaveLength(7)
      after = `&after=${encodeURIComponent(body.next)}`
    }
    const rows = await query(
      'SELECT user_id AS "userId", role, disabled, created_at AS "createdAt" FROM users ORDER BY user_id',
    )
    expect(seen).toEqual(rows.map((row) => ({ ...row, createdAt: row.createdAt.toISOString() })))
    expect(JSON.stringify(seen)).not.toContain('argon2')
  })

  it('filters accounts by a case-sensitive prefix of the user id', async () => {
    const token = await adminToken()
    for (const userId of ['Zed%_1', 'Zed%_2', 'Zedx', 'zed%_3']) await register(userId)
    const idsOf = async (q: string, rest = '') => {
      const { body } = await system.api.get(`/users?q=${encodeURIComponent(q)}${rest}`, { token })
      return body.users.map(({ userId }: { userId: string }) => userId)
    }
    expect(await idsOf('Zed')).toEqual(['Zed%_1', 'Zed%_2', 'Zedx'])
    expect(await idsOf('Zed%_')).toEqual(['Zed%_1', 'Zed%_2'])
    expect(await idsOf('Zed%_', '&limit=1')).toEqual(['Zed%_1'])
    expect(await idsOf('no such id')).toEqual([])
  })

  it.each([
    'limit=0',
    'limit=1001',
    'limit=x',
    'after=x',
    'after=',
    `q=${'x'.repeat(129)}`,
    'q=%00',
  ])('refuses the query %s for the list of accounts', async (search) => {
    const { status, body } = await system.api.get(`/users?${search}`, { token: await adminToken() })
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_request' })
  })
})

describe('the first admin', () => {
  it("sets the first admin's password from the environment but promotes no existing user", async () => {
    const before = (await login(admin.userId, admin.password)).body
    const cookie = await boardCookie(admin.userId, admin.password)
    const changed = { ...adminEnv, ADMIN_PASSWORD: 'a wall of dry slate' }
    const again = await system.addApi(changed)
    const client = createClient(again.url)
    expect(
      (await client.post('/login', { ...admin, password: changed.ADMIN_PASSWORD })).status,
    ).toBe(200)
    expect((await client.post('/login', admin)).status).toBe(401)

    // It counts as a password change on every process.
    await sleep(1000)
    expect(await statusOf(before.token)).toBe(401)
    expect((await refresh(before.refreshToken)).status).toBe(401)
    expect(await boardStatus(cookie)).toBe(401)
    await again.waitForLog(
      ({ audit, userId }) => audit === 'password_changed' && userId === admin.userId,
    )

    await system.addApi(adminEnv)

    const userId = await register()
    await system.addApi({ ADMIN_USER: userId, ADMIN_PASSWORD: changed.ADMIN_PASSWORD })
    const answer = await login(userId)
    expect(answer.status).toBe(200)
    expect(decodeJwt(answer.body.token).role).toBe('user')
  })
})

describe('an installation with JWT_JWKS_URL', () => {
  it('accepts the tokens of another issuer, and has no accounts without LOCAL_ACCOUNTS', async () => {
    const pem = generateKeyPairSync('ed25519')
      .privateKey.export({ type: 'pkcs8', format: 'pem' })
      .toString()
    const issuer = await system.addApi({
      JWT_PRIVATE_KEYS: pem,
      JWT_ISSUER: 'https://tickets.example',
    })
    const at = createClient(issuer.url)
    const userId = await register()
    const { token } = (await at.post('/login', { userId, password })).body
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'EdDSA', typ: 'JWT' })
    const published = await at.get('/.well-known/jwks.json')
    expect(published.body.keys).toHaveLength(1)
    expect(published.body.keys[0].d).toBeUndefined()

    const jwksUrl = `${issuer.url}/.well-known/jwks.json`
    const verifier = createClient((await system.addApi({ JWT_JWKS_URL: jwksUrl })).url)
    expect((await verifier.get('/jobs/none', { token })).status).toBe(404)
    const hs256 = await system.token('ada')
    expect((await verifier.get('/jobs/none', { token: hs256 })).status).toBe(401)
    for (const path of ['/register', '/login', '/token/refresh', '/logout']) {
      expect((await verifier.post(path, { userId, password })).body.code).toBe('not_found')
    }
    expect(
      (await verifier.put(`/users/${userId}/role`, { role: 'admin' }, { token })).body.code,
    ).toBe('not_found')
    expect((await system.api.get('/.well-known/jwks.json')).status).toBe(404)

    const both = createClient(
      (await system.addApi({ JWT_JWKS_URL: jwksUrl, LOCAL_ACCOUNTS: 'true' })).url,
    )
    expect((await both.get('/jobs/none', { token })).status).toBe(404)
    expect((await both.get('/jobs/none', { token: hs256 })).status).toBe(404)
    const signedIn = await both.post('/login', { userId, password })
    expect(signedIn.status).toBe(200)

    // The issuer's user of that name is another person, so disabling the local account changes
    // nothing.
    const boss = await system.token('boss', 'admin')
    const shutOut = await both.put(`/users/${userId}/disabled`, { disabled: true }, { token: boss })
    expect(shutOut.status).toBe(200)
    expect((await both.get('/jobs/none', { token: signedIn.body.token })).status).toBe(401)
    expect((await both.get('/jobs/none', { token })).status).toBe(404)
  })
})
