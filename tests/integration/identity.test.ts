import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient, type Reply } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'

const password = 'tall ferns by the river'
const admin = { userId: 'root', password: 'a wall of wet slate' }
const adminEnv = { ADMIN_USER: admin.userId, ADMIN_PASSWORD: admin.password }
const representation = { headers: { prefer: 'return=representation' } }

let system: System
let nextUser = 0
const newUser = () => `user-${++nextUser}`

beforeAll(async () => {
  // Fewer than sign in at once below: they would shut each other out if attempts counted before they failed.
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

/** Whether a token is believed: a made-up job is then 404, else 401. */
async function statusOf(token: string, process = 0): Promise<number> {
  return (await system.client(process).get('/jobs/none', { token })).status
}

const refresh = (refreshToken: string, process = 0) =>
  system.client(process).post('/token/refresh', { refreshToken }, representation)

describe('registration', () => {
  it('answers with the user id alone, once', async () => {
    const userId = newUser()
    const first = await system.api.post('/register', { userId, password })
    expect(first).toMatchObject({ status: 201, body: { userId } })
    expect(Object.keys(first.body)).toEqual(['userId'])
    const second = await system.client(1).post('/register', { userId, password: 'another long one' })
    expect(second).toMatchObject({ status: 409, body: { code: 'user_exists' } })
    expect((await login(userId)).status).toBe(200)
  })

  it('of one name by many at once makes one account', async () => {
    const userId = newUser()
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        system.client(n % 2).post('/register', { userId, password: `${password} ${n}` }),
      ),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(11).fill(409)])
  })

  it('refuses the most common passwords, pointing at them', async () => {
    const answer = await system.api.post('/register', { userId: newUser(), password: 'password123' })
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
    expect(answer.body.errors).toEqual([{ pointer: '/password', detail: expect.any(String) }])
  })

  it('compares user ids as they are', async () => {
    const base = newUser()
    for (const userId of [base, base.toUpperCase(), ` ${base}`, `${base}é`, `${base}e\u0301`])
      await register(userId)
  })

  it.each([
    [{ userId: 'x' }, '/password'],
    [{ userId: 'x', password: 'short' }, '/password'],
    [{ userId: 'x', password: 'y'.repeat(129) }, '/password'],
    [{ userId: 'x', password: '1234567\ud800' }, '/password'],
    [{ userId: '', password }, '/userId'],
    [{ userId: 'a\u0007', password }, '/userId'],
    [{ userId: 'x', password, role: 'admin' }, '/role'],
  ])('refuses %j', async (body, pointer) => {
    for (const path of ['/register', '/login']) {
      const answer = await system.api.post(path, body)
      expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request', errors: [{ pointer }] } })
    }
  })
})

describe('sign-in', () => {
  it('answers with a token of 15 minutes and a cookie for /token', async () => {
    const userId = await register()
    const answer = await system.api.post('/login', { userId, password })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ token: expect.any(String), tokenType: 'Bearer', expiresIn: 900 })
    const claims = decodeJwt(answer.body.token)
    expect(claims).toMatchObject({ sub: userId, role: 'user' })
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(900)
    expect(await statusOf(answer.body.token, 1)).toBe(404)
    const cookie = answer.headers.get('set-cookie')
    expect(cookie).toMatch(/^refresh_token=[^;]+; Max-Age=\d+; Path=\/token; HttpOnly; SameSite=Strict$/)
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  it('puts the refresh token into the body where that is preferred', async () => {
    const answer = await login(await register())
    expect(Object.keys(answer.body).sort()).toEqual(['expiresIn', 'refreshToken', 'token', 'tokenType'])
    expect(answer.headers.get('preference-applied')).toBe('return=representation')
  })

  it('says the same of an unknown user and a wrong password', async () => {
    const userId = await register()
    const wrong = await login(userId, 'not the password')
    const unknown = await login(newUser(), 'not the password')
    expect(wrong).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } })
    expect(unknown.body).toEqual(wrong.body)
    const namesOf = ({ headers }: Reply) => [...headers.keys()].sort()
    expect(namesOf(unknown)).toEqual(namesOf(wrong))
  })

  it('takes nobody for an attacker where a hundred people of one address come at once', async () => {
    const userId = await register()
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => system.client(n % 2).post('/login', { userId, password })),
    )
    // Where the machine is too slow for them all, some are asked to come again: that is no 401 and no 429.
    const others = answers.filter(({ status }) => status !== 200)
    expect(others.length).toBeLessThan(90)
    expect(others.filter(({ body }) => !['busy', 'unavailable'].includes(body.code))).toEqual([])
  })
})

describe('refresh tokens', () => {
  it('are exchanged once, for a new pair', async () => {
    const { body } = await login(await register())
    const first = await refresh(body.refreshToken, 1)
    expect(first).toMatchObject({ status: 200, body: { tokenType: 'Bearer', expiresIn: 900 } })
    expect(first.body.refreshToken).not.toBe(body.refreshToken)
    expect(await statusOf(first.body.token)).toBe(404)
    expect((await refresh(first.body.refreshToken)).status).toBe(200)
  })

  it('end their family when one of them comes again', async () => {
    const { body } = await login(await register())
    const other = await login(decodeJwt(body.token).sub ?? '')
    const { body: next } = await refresh(body.refreshToken)
    expect(await refresh(body.refreshToken)).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
    expect((await refresh(next.refreshToken)).status).toBe(401)
    expect((await refresh(other.body.refreshToken)).status).toBe(200)
  })

  it('sent many times at once are exchanged once', async () => {
    const { body } = await login(await register())
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => refresh(body.refreshToken, n % 2)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  it('come in their cookie as well', async () => {
    const answer = await system.api.post('/login', { userId: await register(), password })
    const cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? ''
    // Many clients send the media type with every POST.
    const next = await system.api.request('POST', '/token/refresh', undefined, {
      headers: { cookie, 'content-type': 'application/json' },
    })
    expect(next.status).toBe(200)
    expect(Object.keys(next.body).sort()).toEqual(['expiresIn', 'token', 'tokenType'])
    const again = await system.api.request('POST', '/token/refresh', undefined, { headers: { cookie } })
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
  ])('made up as %.60s are refused', async (refreshToken) => {
    expect((await refresh(refreshToken)).status).toBe(401)
  })

  it('are stored as hashes', async () => {
    const { body } = await login(await register())
    const client = new pg.Client({ connectionString: system.databaseUrl })
    await client.connect()
    try {
      const { rows } = await client.query('SELECT * FROM refresh_tokens')
      expect(rows.length).toBeGreaterThan(0)
      expect(JSON.stringify(rows)).not.toContain(body.refreshToken.split('.')[1])
    } finally {
      await client.end()
    }
  })
})

describe('signing out', () => {
  it('ends the sign-in of the access token and no other', async () => {
    const { body } = await login(await register())
    const other = await login(decodeJwt(body.token).sub ?? '')
    const answer = await system.api.request('POST', '/logout', undefined, { token: body.token })
    expect(answer.status).toBe(204)
    expect(answer.headers.get('set-cookie')).toMatch(/^refresh_token=; Max-Age=0; Path=\/token/)
    expect((await refresh(body.refreshToken)).status).toBe(401)
    expect((await refresh(other.body.refreshToken)).status).toBe(200)
  })

  it('ends the sign-in of the refresh token, from body or cookie', async () => {
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

  it('is no error for who is signed out, nor with a token of somebody else that names nothing', async () => {
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
  const event = () => ({ eventId: 1_000_000 + ++nextUser, totalTickets: 1 })

  it('are given by an admin and count for tokens given out before, on every process within a second', async () => {
    const userId = await register()
    const { token } = (await login(userId)).body
    expect((await system.client(1).post('/initialize', event(), { token })).status).toBe(403)
    const given = await system.api.put(
      `/users/${userId}/role`,
      { role: 'organizer' },
      { token: await adminToken() },
    )
    expect(given).toMatchObject({ status: 200, body: { userId, role: 'organizer' } })
    expect((await system.api.post('/initialize', event(), { token })).status).toBe(201)
    await sleep(1000)
    expect((await system.client(1).post('/initialize', event(), { token })).status).toBe(201)
  })

  it('taken away are gone within a second, also from tokens that claim them', async () => {
    const userId = await register()
    const token = await adminToken()
    await system.api.put(`/users/${userId}/role`, { role: 'organizer' }, { token })
    const claims = (await login(userId)).body.token
    expect(decodeJwt(claims).role).toBe('organizer')
    expect((await system.client(1).post('/initialize', event(), { token: claims })).status).toBe(201)
    await system.api.put(`/users/${userId}/role`, { role: 'user' }, { token })
    await sleep(1000)
    expect((await system.client(1).post('/initialize', event(), { token: claims })).status).toBe(403)
  })

  it('claimed by a token count where there is no such account, and not where there is', async () => {
    const userId = await register()
    expect(
      (
        await system.api.post('/initialize', event(), {
          token: await system.token('nobody here', 'organizer'),
        })
      ).status,
    ).toBe(201)
    expect(
      (await system.api.post('/initialize', event(), { token: await system.token(userId, 'admin') })).status,
    ).toBe(403)
  })

  it('of unknown users, unknown roles and by others than admins are refused', async () => {
    const userId = await register()
    const put = async (path: string, body: unknown, role: 'user' | 'organizer' | 'admin') =>
      (await system.api.put(path, body, { token: await system.token('boss', role) })).body.code
    expect(await put('/users/nobody%20here/role', { role: 'user' }, 'admin')).toBe('user_not_found')
    expect(await put('/users/nobody%20here/disabled', { disabled: true }, 'admin')).toBe('user_not_found')
    expect(await put(`/users/${userId}/role`, { role: 'root' }, 'admin')).toBe('invalid_request')
    expect(await put(`/users/${userId}/disabled`, { disabled: 'yes' }, 'admin')).toBe('invalid_request')
    expect(await put(`/users/${userId}/role`, { role: 'admin' }, 'organizer')).toBe('forbidden')
    expect(await put(`/users/${userId}/disabled`, { disabled: true }, 'user')).toBe('forbidden')
  })
})

describe('an account that is shut out', () => {
  it('is refused everywhere within a second, and let in again as well', async () => {
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
    expect(await statusOf(token, 1)).toBe(404)
    expect((await login(userId)).status).toBe(200)
    expect((await refresh(refreshToken)).status).toBe(401)
  })
})

describe('the first admin', () => {
  it('gets the password of the environment, and a name taken by somebody else gets nothing', async () => {
    const changed = { ...adminEnv, ADMIN_PASSWORD: 'a wall of dry slate' }
    const again = await system.addApi(changed)
    const client = createClient(again.url)
    expect((await client.post('/login', { ...admin, password: changed.ADMIN_PASSWORD })).status).toBe(200)
    expect((await client.post('/login', admin)).status).toBe(401)
    await system.addApi(adminEnv)

    const userId = await register()
    await system.addApi({ ADMIN_USER: userId, ADMIN_PASSWORD: changed.ADMIN_PASSWORD })
    const answer = await login(userId)
    expect(answer.status).toBe(200)
    expect(decodeJwt(answer.body.token).role).toBe('user')
  })
})

describe('with keys of its own and those of another issuer', () => {
  it('one installation signs, the other believes it and has no accounts', async () => {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const issuer = await system.addApi({ JWT_PRIVATE_KEYS: pem, JWT_ISSUER: 'https://tickets.example' })
    const at = createClient(issuer.url)
    const userId = await register()
    const { token } = (await at.post('/login', { userId, password })).body
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'EdDSA', typ: 'JWT' })
    const published = await at.get('/.well-known/jwks.json')
    expect(published.body.keys).toHaveLength(1)
    expect(published.body.keys[0].d).toBeUndefined()

    const jwksUrl = `${issuer.url}/.well-known/jwks.json`
    const believer = createClient((await system.addApi({ JWT_JWKS_URL: jwksUrl })).url)
    expect((await believer.get('/jobs/none', { token })).status).toBe(404)
    const hs256 = await system.token('ada')
    expect((await believer.get('/jobs/none', { token: hs256 })).status).toBe(401)
    for (const path of ['/register', '/login', '/token/refresh', '/logout']) {
      expect((await believer.post(path, { userId, password })).body.code).toBe('not_found')
    }
    expect((await believer.put(`/users/${userId}/role`, { role: 'admin' }, { token })).body.code).toBe(
      'not_found',
    )
    expect((await system.api.get('/.well-known/jwks.json')).status).toBe(404)

    const both = createClient((await system.addApi({ JWT_JWKS_URL: jwksUrl, LOCAL_ACCOUNTS: 'true' })).url)
    expect((await both.get('/jobs/none', { token })).status).toBe(404)
    expect((await both.get('/jobs/none', { token: hs256 })).status).toBe(404)
    const signedIn = await both.post('/login', { userId, password })
    expect(signedIn.status).toBe(200)

    // The issuer's user of that name is somebody else, whatever becomes of the local account.
    const boss = await system.token('boss', 'admin')
    const shutOut = await both.put(`/users/${userId}/disabled`, { disabled: true }, { token: boss })
    expect(shutOut.status).toBe(200)
    expect((await both.get('/jobs/none', { token: signedIn.body.token })).status).toBe(401)
    expect((await both.get('/jobs/none', { token })).status).toBe(404)
  })
})
