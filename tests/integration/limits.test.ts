import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import type { Reply, RequestOptions } from '../stack/client.ts'
import { metricIn, readMetrics } from '../stack/metrics.ts'
import { type Servers, startServers } from '../stack/servers.ts'
import { type System, startSystem } from '../stack/system.ts'

const password = 'tall ferns by the river'
const tooManyRequests = '{"message":"Too many requests from this IP, please try again later."}'

let nextAddress = 0
/** A client address without any counted request. */
const newAddress = () => `198.51.${++nextAddress >> 8}.${nextAddress & 255}`
const from = (address: string): RequestOptions => ({ headers: { 'x-forwarded-for': address } })

/** Logged when a process begins to count alone, and when it no longer does. */
const COUNTS_ALONE = /rate limits count in this process only/
const IS_SHARED_AGAIN = /rate limits are shared between processes again/

const count = (answers: Reply[], status: number) =>
  answers.filter((answer) => answer.status === status).length

function remainingOf({ headers }: Reply): number {
  return Number(/remaining=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1])
}

describe('limits shared by all processes', () => {
  let system: System
  beforeAll(async () => {
    const env = {
      RATE_LIMIT: '50',
      POLL_RATE_LIMIT: '60',
      LOGIN_RATE_LIMIT: '20',
      TRUST_PROXY_HOPS: '1',
      INITIALIZE_OPEN: 'true',
    }
    system = await startSystem({ apis: 2, workers: 0, env })
  })
  afterAll(() => system?.stop())

  const get = (path: string, options: RequestOptions, n = 0) =>
    system.client(n % 2).get(path, options)
  const times = (count: number, send: (n: number) => Promise<Reply>) =>
    Promise.all(Array.from({ length: count }, (_, n) => send(n)))

  /** How often processes have begun to count alone, or have ended that. */
  const changes = (of: RegExp) =>
    system.apis.flatMap(({ logs }) => logs).filter(({ msg }) => of.test(String(msg))).length

  /**
   * Sends requests again if Redis did not answer a process in time, because this machine is busy.
   * Each process then counts alone for a while.
   */
  async function counted(send: () => Promise<Reply[]>): Promise<Reply[]> {
    for (;;) {
      const [alone, shared] = [changes(COUNTS_ALONE), changes(IS_SHARED_AGAIN)]
      const answers = await send()
      if (changes(COUNTS_ALONE) === alone) return answers
      const isShared = async () => {
        await times(2, (n) => get('/events', from(newAddress()), n))
        return changes(COUNTS_ALONE) - alone === changes(IS_SHARED_AGAIN) - shared
      }
      expect(await until(isShared, { timeoutMs: 10_000, everyMs: 100 })).toBe(true)
    }
  }

  async function createKey(maker: string, settings: object): Promise<string> {
    const token = await system.token(maker, 'organizer')
    const options = { ...from(newAddress()), token }
    const created = await system.api.post('/api-keys', { name: 'Shop', ...settings }, options)
    expect(created.status).toBe(201)
    return created.body.key
  }

  it('admits exactly the allowed number of 200 concurrent requests', async () => {
    const answers = await counted(() => {
      const options = from(newAddress())
      return times(200, (n) => get('/events', options, n))
    })
    expect(count(answers, 429)).toBe(150)
  })

  it('sends RateLimit headers with every response and Retry-After with a refusal', async () => {
    const options = from(newAddress())
    const first = await get('/events', options)
    expect(first.headers.get('ratelimit-policy')).toBe('50;w=900')
    expect(first.headers.get('ratelimit')).toMatch(/^limit=50, remaining=49, reset=\d+$/)
    expect(first.headers.get('retry-after')).toBeNull()
    expect(remainingOf(await get('/status/0', options))).toBe(48)
    expect(remainingOf(await get('/status/1', options))).toBe(47)
    await times(47, () => get('/events', options))
    const refused = await fetch(`${system.apis[0]?.url}/events`, { headers: options.headers ?? {} })
    expect(refused.status).toBe(429)
    expect(await refused.text()).toBe(tooManyRequests)
    expect(refused.headers.get('content-type')).toBe('application/json')
    expect(refused.headers.get('ratelimit')).toMatch(/^limit=50, remaining=0, reset=\d+$/)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(800)
  })

  it('counts a verified user by user id, whatever the address', async () => {
    const address = newAddress()
    const [ada, bob] = [await system.token('ada'), await system.token('bob')]
    const asAda = (at: string) => ({ ...from(at), token: ada })
    const answers = await times(60, (n) =>
      get('/events/7/me', asAda(n % 3 === 0 ? newAddress() : address), n),
    )
    expect(count(answers, 429)).toBe(10)
    expect((await get('/events/7/me', { ...from(address), token: bob })).status).toBe(404)
    expect(remainingOf(await get('/events', from(address)))).toBe(49)
    expect(remainingOf(await get('/events', asAda(address)))).toBe(0)
  })

  it('counts a request with an API key by the key, with the limit of the key', async () => {
    const rateLimit = { requests: 8, windowSeconds: 2 }
    const key = await createKey('key-maker-1', { scopes: ['events:read'], rateLimit })
    const answers = await times(20, (n) => get('/events', { ...from(newAddress()), token: key }, n))
    expect(count(answers, 429)).toBe(12)
    const refused = await get('/events', { ...from(newAddress()), token: key })
    expect(refused.status).toBe(429)
    expect(refused.headers.get('ratelimit-policy')).toBe('8;w=2')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    const maker = await system.token('key-maker-1', 'organizer')
    expect(remainingOf(await get('/events', { ...from(newAddress()), token: maker }))).toBe(48)
    const next = () => get('/events', { ...from(newAddress()), token: key })
    await expect.poll(async () => (await next()).status, { timeout: 5000 }).toBe(200)
  })

  it('also counts valid requests of a key by user, and shows the limit with fewer left', async () => {
    const key = await createKey('key-maker-2', { scopes: ['bookings:write'] })
    const post = (body: object, n = 0) =>
      system.client(n % 2).post('/book', body, { ...from(newAddress()), token: key })
    const first = await post({ eventId: 404, userId: 'ada' })
    expect(first).toMatchObject({ status: 404, body: { code: 'event_not_found' } })
    expect(first.headers.get('ratelimit-policy')).toBe('50;w=900')
    expect(remainingOf(first)).toBe(49)
    const invalid = await times(60, (n) => post({ eventId: 0, userId: 'ada' }, n))
    expect(count(invalid, 400)).toBe(60)
    expect(invalid[0]?.headers.get('ratelimit-policy')).toBe('6000;w=60')
    const answers = await times(60, (n) => post({ eventId: 404, userId: 'ada' }, n))
    expect(count(answers, 429)).toBe(11)
    const refused = await post({ eventId: 404, userId: 'ada' })
    expect(refused.headers.get('ratelimit-policy')).toBe('50;w=900')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(800)
    expect((await post({ eventId: 404, userId: 'bob' })).status).toBe(404)
    expect((await post({ eventId: 404 })).status).toBe(400)
  })

  it('limits the polls of a key by its own limit if that is higher', async () => {
    const token = await createKey('key-maker-3', { scopes: ['bookings:write'] })
    const rateLimit = { requests: 2, windowSeconds: 60 }
    const slow = await createKey('key-maker-3', { scopes: ['bookings:write'], rateLimit })
    const poll = (credential: string) =>
      get('/jobs/none', { ...from(newAddress()), token: credential })
    expect((await poll(token)).headers.get('ratelimit-policy')).toBe('6000;w=60')
    expect((await poll(slow)).headers.get('ratelimit-policy')).toBe('60;w=900')
  })

  it('counts a key that is not valid by address', async () => {
    const key = await createKey('key-maker-4', { scopes: ['events:read'] })
    const mistyped = { ...from(newAddress()), token: key.slice(0, -1) }
    const answers = await times(60, (n) => get('/events/1/me', mistyped, n))
    expect([count(answers, 401), count(answers, 429)]).toEqual([50, 10])
  })

  it('counts /initialize with INITIALIZE_OPEN by address, with or without a token', async () => {
    const address = newAddress()
    const [ada, bob] = [await system.token('maker-1'), await system.token('maker-2')]
    const options = [
      from(address),
      { ...from(address), token: ada },
      { ...from(address), token: bob },
    ]
    const event = { eventId: 71, totalTickets: 0 }
    const answers = await times(60, (n) =>
      system.client(n % 2).post('/initialize', event, options[n % 3]),
    )
    expect(count(answers, 429)).toBe(10)
    expect(remainingOf(await get('/events', { ...from(address), token: ada }))).toBe(49)
  })

  it('names the limit of each refusal in the metrics', async () => {
    /** Refusals of a limit, in all processes. */
    async function refusals(limit: string): Promise<number> {
      const series = `ticket_line_refusals_total{limit="${limit}"}`
      const pages = await Promise.all(system.apis.map(({ url }) => readMetrics(url)))
      return pages.reduce((sum, page) => sum + metricIn(page, series), 0)
    }
    const key = await createKey('mara', {
      scopes: ['events:read'],
      rateLimit: { requests: 3, windowSeconds: 60 },
    })
    const cases: [limit: string, requests: number, path: string, options: RequestOptions][] = [
      ['requests', 53, '/events', from(newAddress())],
      ['polls', 63, '/jobs/none', { ...from(newAddress()), token: await system.token('paul') }],
      ['unknown_path', 103, '/nothing', from(newAddress())],
      ['key', 6, '/events', { ...from(newAddress()), token: key }],
    ]
    // The API serves the same page of metrics for a second.
    await sleep(1100)
    for (const [limit, requests, path, options] of cases) {
      const before = await refusals(limit)
      const answers = await times(requests, (n) => get(path, options, n))
      const refused = count(answers, 429)
      expect(refused, limit).toBeGreaterThan(0)
      await expect.poll(() => refusals(limit), { timeout: 10_000 }).toBe(before + refused)
    }
  })

  it('counts polls of jobs separately from other requests', async () => {
    const options = { ...from(newAddress()), token: await system.token('polly') }
    const answers = await times(70, (n) => get('/jobs/none', options, n))
    expect(count(answers, 404)).toBe(60)
    expect(answers[0]?.headers.get('ratelimit-policy')).toBe('60;w=900')
    expect(remainingOf(await get('/events', options))).toBe(49)
  })

  it('counts a failed token by address, with 401 within the limit and 429 over it', async () => {
    const address = newAddress()
    const options = { ...from(address), token: 'forged' }
    const answers = await times(60, (n) => get('/jobs/none', options, n))
    expect(count(answers, 401)).toBe(50)
    expect(count(answers, 429)).toBe(10)
    expect((await get('/events', from(address))).status).toBe(429)
  })

  it('counts a missing token by address and always answers 401', async () => {
    const options = from(newAddress())
    const answers = await times(60, (n) =>
      system.client(n % 2).post('/book', { eventId: 1 }, options),
    )
    expect(count(answers, 401)).toBe(60)
    expect(
      answers.every(({ headers }) => headers.has('ratelimit') && !headers.has('retry-after')),
    ).toBe(true)
    expect((await get('/events', options)).status).toBe(429)
  })

  it('treats a failed token as anonymous on a public route', async () => {
    const options = { ...from(newAddress()), token: 'forged' }
    expect(await get('/events', options)).toMatchObject({ status: 200 })
    expect(remainingOf(await get('/events', options))).toBe(48)
  })

  it('counts an IPv6 client by its /64', async () => {
    const net = `2001:db8:0:${(++nextAddress).toString(16)}`
    await times(50, (n) => get('/events', from(`${net}::${n + 1}`), n))
    expect((await get('/events', from(`${net}:ffff::1`))).status).toBe(429)
    expect((await get('/events', from('2001:db8:1::1'))).status).toBe(200)
  })

  it('trusts as many proxies as TRUST_PROXY_HOPS says', async () => {
    const address = newAddress()
    expect(remainingOf(await get('/events', from(`10.9.9.9, ${address}`)))).toBe(49)
    expect(remainingOf(await get('/events', from(`10.8.8.8, ${address}`)))).toBe(48)
  })

  it('counts unknown paths and methods by address and limits them at twice the limit', async () => {
    const options = from(newAddress())
    const send = (n: number) =>
      n % 2 === 0
        ? get('/nothing', options, n)
        : system.client((n % 3) & 1).request('PUT', '/book', {}, options)
    const first = await get('/nothing', options)
    expect(first.headers.get('ratelimit')).toMatch(/^limit=50, remaining=49, reset=\d+$/)
    const answers = await times(119, send)
    expect(count(answers, 404) + count(answers, 405)).toBe(99)
    expect(count(answers, 429)).toBe(20)
    const refused = await system.api.request('OPTIONS', '/book', undefined, options)
    expect(refused).toMatchObject({ status: 429, body: JSON.parse(tooManyRequests) })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(800)
    expect((await get('/events', options)).status).toBe(429)
    expect((await get('/livez', options)).status).toBe(200)
  })

  it('serves probes, metrics, the dashboard, /docs and the pages to a client that used up its limit', async () => {
    const address = newAddress()
    await times(50, () => get('/events', from(address)))
    for (const path of ['/livez', '/readyz', '/metrics']) {
      const answer = await get(path, from(address))
      expect(answer).toMatchObject({ status: 200 })
      expect(answer.headers.has('ratelimit')).toBe(false)
    }
    expect((await get('/admin/login', from(address))).status).toBe(200)
    for (const path of ['/docs', '/', '/e/1', '/box-office'])
      expect((await get(path, from(address))).status).toBe(200)
  })

  describe('for sign-ins', () => {
    let nextUser = 0
    const login = (userId: string, secret: string, address: string, n = 0) =>
      system.client(n % 2).post('/login', { userId, password: secret }, from(address))

    async function register(): Promise<string> {
      const userId = `login-${++nextUser}`
      const answer = await system.api.post('/register', { userId, password }, from(newAddress()))
      expect(answer.status).toBe(201)
      return userId
    }

    it('locks an account after twenty failures except for addresses that signed in before', async () => {
      const owner = newAddress()
      const userId = await register()
      expect((await login(userId, password, owner)).status).toBe(200)
      const guesses = []
      for (let n = 0; n < 20; n++)
        guesses.push(await login(userId, `wrong guess ${n}`, newAddress(), n))
      expect(count(guesses, 401)).toBe(20)
      expect(guesses.map(remainingOf)).toEqual(Array.from({ length: 20 }, (_, n) => 19 - n))
      const refused = await login(userId, password, newAddress())
      expect(refused).toMatchObject({ status: 429, body: JSON.parse(tooManyRequests) })
      expect(refused.headers.get('ratelimit-policy')).toBe('20;w=900')
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
      expect((await login(userId, password, owner)).status).toBe(200)
    })

    it('remembers the last twenty addresses of an account in one key', async () => {
      const userId = await register()
      const addresses = Array.from({ length: 22 }, newAddress)
      for (const address of addresses)
        expect((await login(userId, password, address)).status).toBe(200)
      const redis = new Redis(system.redisUrl)
      onTestFinished(() => redis.disconnect())
      const account = createHash('sha256').update(userId).digest('base64url')
      const keys = await redis.keys(`*known:u:${account}*`)
      expect(keys).toHaveLength(1)
      expect(await redis.zcard(keys[0] ?? '')).toBe(20)
      expect(await redis.pttl(keys[0] ?? '')).toBeGreaterThan(29 * 24 * 3_600_000)

      await times(20, (n) => login(userId, `wrong guess ${n}`, newAddress(), n))
      // The registration came from an address of its own, and the account knows it, too. Only the
      // last twenty of all addresses are let in.
      const statuses = []
      for (const address of addresses)
        statuses.push((await login(userId, password, address)).status)
      expect(statuses).toEqual([429, 429, ...Array<number>(20).fill(200)])
    })

    it('allows no more concurrent guesses than sequential ones', async () => {
      const userId = await register()
      const answers = await times(100, (n) => login(userId, `wrong guess ${n}`, newAddress(), n))
      expect(count(answers, 401)).toBe(20)
      expect(count(answers, 200)).toBe(0)
      expect((await login(userId, password, newAddress())).status).toBe(429)
    })

    it('locks all accounts for an address after twenty failures', async () => {
      const address = newAddress()
      const userId = await register()
      expect((await login(userId, password, address)).status).toBe(200)
      const answers = await times(30, (n) => login(`nobody-${n}`, password, address, n))
      expect(count(answers, 401)).toBe(20)
      expect((await login(userId, password, address)).status).toBe(429)
      const taken = await system.api.post(
        '/register',
        { userId: `fresh-${++nextUser}`, password },
        from(address),
      )
      expect(taken.status).toBe(429)
      expect((await login(userId, password, newAddress())).status).toBe(200)
    })

    it('does not count successful sign-ins and malformed requests as failures', async () => {
      const address = newAddress()
      const userId = await register()
      const good = await times(25, (n) => login(userId, password, address, n))
      expect(count(good, 200)).toBe(25)
      const malformed = await times(20, () => system.api.post('/login', { userId }, from(address)))
      expect(count(malformed, 400)).toBe(20)
      expect(remainingOf(await login(userId, 'wrong password', address))).toBe(19)
    })

    it('counts the registration of an existing user id as a failure', async () => {
      const address = newAddress()
      const userId = await register()
      const answers = await times(25, (n) =>
        system
          .client(n % 2)
          .post('/register', { userId, password: `${password} ${n}` }, from(address)),
      )
      expect(count(answers, 409)).toBe(20)
      expect(count(answers, 429)).toBe(5)
    })

    it('counts failures at /login, /register, the dashboard form and Basic together', async () => {
      const address = newAddress()
      const byForm = () =>
        system.api.request('POST', '/admin/login', undefined, {
          rawBody: 'userId=&password=',
          headers: {
            'x-forwarded-for': address,
            'content-type': 'application/x-www-form-urlencoded',
          },
        })
      const byBasic = (secret: string) =>
        system.api.get('/admin/queues', {
          headers: {
            'x-forwarded-for': address,
            authorization: `Basic ${Buffer.from(`nobody:${secret}`).toString('base64')}`,
          },
        })
      expect((await byBasic('a wrong password')).status).toBe(401)
      const forms = await times(49, byForm)
      expect(count(forms, 401)).toBe(49)
      for (const answer of [
        await byForm(),
        await byBasic('another wrong one'),
        await login('nobody', password, address),
        await system.api.post('/register', { userId: `late-${address}`, password }, from(address)),
      ]) {
        expect(answer).toMatchObject({ status: 429, body: JSON.parse(tooManyRequests) })
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      }
      expect((await login('nobody', password, newAddress())).status).toBe(401)
    })

    it('refuses a sign-in over the limit before its body is read', async () => {
      const address = newAddress()
      await times(20, (n) => login(`nobody-${n}`, password, address, n))
      const answer = await system.api.request('POST', '/login', undefined, {
        ...from(address),
        rawBody: 'x'.repeat(20_000),
      })
      expect(answer.status).toBe(429)
    })
  })

  describe('for renewals and sign-outs', () => {
    let nextUser = 0

    async function signIn(address: string) {
      const who = { userId: `renewal-${++nextUser}`, password }
      expect((await system.api.post('/register', who, from(newAddress()))).status).toBe(201)
      const options = { headers: { ...from(address).headers, prefer: 'return=representation' } }
      return (await system.api.post('/login', who, options)).body as {
        token: string
        refreshToken: string
      }
    }

    async function refresh(refreshToken: string, address: string, n = 0): Promise<Reply> {
      const options = { headers: { ...from(address).headers, prefer: 'return=representation' } }
      return system.client(n % 2).post('/token/refresh', { refreshToken }, options)
    }

    it('renews and signs out users from an address that is over its limits', async () => {
      const address = newAddress()
      const [ada, bob, eve] = [await signIn(address), await signIn(address), await signIn(address)]
      await times(50, (n) => get('/events', from(address), n))
      const unknownToken = `${crypto.randomUUID()}.${'A'.repeat(43)}`
      const renewals = await times(60, (n) => refresh(unknownToken, address, n))
      expect([count(renewals, 401), count(renewals, 429)]).toEqual([50, 10])
      const signOuts = await times(60, (n) =>
        system.client(n % 2).request('POST', '/logout', undefined, from(address)),
      )
      expect([count(signOuts, 204), count(signOuts, 429)]).toEqual([50, 10])
      expect((await get('/events', from(address))).status).toBe(429)

      const renewed = await refresh(ada.refreshToken, address)
      expect(renewed.status).toBe(200)
      const headers = { 'x-forwarded-for': address }
      const cookie = { ...headers, cookie: `refresh_token=${renewed.body.refreshToken}` }
      expect(
        (await system.api.request('POST', '/token/refresh', undefined, { headers: cookie })).status,
      ).toBe(200)
      expect(
        (await system.api.post('/logout', { refreshToken: bob.refreshToken }, { headers })).status,
      ).toBe(204)
      const signedOut = await system.api.request('POST', '/logout', undefined, {
        headers,
        token: eve.token,
      })
      expect(signedOut.status).toBe(204)
      expect((await refresh(bob.refreshToken, newAddress())).status).toBe(401)
      expect((await refresh(eve.refreshToken, newAddress())).status).toBe(401)
    })

    it('counts a renewal with an unknown query parameter and answers 429 before 400', async () => {
      const address = newAddress()
      const send = (n: number) =>
        system.client(n % 2).request('POST', '/token/refresh?x=1', undefined, from(address))
      const answers = await times(60, send)
      expect([count(answers, 400), count(answers, 429)]).toEqual([50, 10])
    })

    it('counts renewals by sign-in, whatever the address', async () => {
      const [ada, bob] = [await signIn(newAddress()), await signIn(newAddress())]
      let { refreshToken } = ada
      for (let n = 0; n < 50; n++) {
        const answer = await refresh(refreshToken, newAddress(), n)
        expect(answer.status).toBe(200)
        expect(remainingOf(answer)).toBe(49 - n)
        refreshToken = answer.body.refreshToken
      }
      const refused = await refresh(refreshToken, newAddress())
      expect(refused).toMatchObject({ status: 429, body: JSON.parse(tooManyRequests) })
      expect((await refresh(bob.refreshToken, newAddress())).status).toBe(200)
      expect((await system.api.post('/logout', { refreshToken }, from(newAddress()))).status).toBe(
        204,
      )
    })
  })
})

describe('limits without trusted proxies', () => {
  it('ignores X-Forwarded-For without trusted proxies', async () => {
    const system = await startSystem({ workers: 0, env: { RATE_LIMIT: '3' } })
    onTestFinished(() => system.stop())
    for (let n = 0; n < 3; n++)
      expect((await system.api.get('/events', from(newAddress()))).status).toBe(200)
    expect((await system.api.get('/events', from(newAddress()))).status).toBe(429)
  })
})

describe('limits during an outage', () => {
  let servers: Servers
  let system: System
  const admin = { userId: 'root', password: 'a wall of wet slate' }

  beforeAll(async () => {
    servers = await startServers()
    const env = {
      RATE_LIMIT: '30',
      LOGIN_RATE_LIMIT: '20',
      TRUST_PROXY_HOPS: '1',
      ADMIN_USER: admin.userId,
      ADMIN_PASSWORD: admin.password,
    }
    system = await startSystem({ servers, workers: 0, env })
  })
  afterAll(async () => {
    await servers?.redis.resume().catch(() => undefined)
    await system?.stop()
    await servers?.stop()
  })

  async function timed(send: () => Promise<Reply>): Promise<Reply & { ms: number }> {
    const startedAt = performance.now()
    const answer = await send()
    return { ...answer, ms: performance.now() - startedAt }
  }

  it('keeps counts of failed sign-ins, but not of requests, through a restart of Redis', async () => {
    const someone = from(newAddress())
    const fail = () => system.api.post('/login', { userId: 'nobody', password }, someone)
    const send = () => system.api.get('/events', someone)
    for (let n = 0; n < 3; n++) expect(remainingOf(await fail())).toBe(19 - n)
    for (let n = 0; n < 3; n++) expect(remainingOf(await send())).toBe(29 - n)

    await servers.redis.kill()
    await servers.redis.restart()
    await expect
      .poll(async () => (await system.api.post('/login', admin)).status, { timeout: 10_000 })
      .toBe(200)

    expect(remainingOf(await fail())).toBe(16)
    expect(remainingOf(await send())).toBe(29)
  })

  it('writes counts of failed sign-ins, but not of requests, to the append-only file', async () => {
    const redis = new Redis(servers.redis.url)
    onTestFinished(() => redis.disconnect())
    const logged = async () =>
      Number(/aof_current_size:(\d+)/.exec(await redis.info('persistence'))?.[1])
    const someone = from(newAddress())
    async function growthBy(requests: number): Promise<number> {
      const before = await logged()
      for (let n = 0; n < requests; n++) await system.api.get('/events', someone)
      return (await logged()) - before
    }

    // The processes also write from time to time that they are alive.
    expect(await until(async () => (await growthBy(5)) === 0, { timeoutMs: 5000 })).toBe(true)
    const before = await logged()
    await system.api.post('/login', { userId: 'nobody', password }, someone)
    expect(await logged()).toBeGreaterThan(before)
  })

  it.each([
    ['dead', () => servers.redis.kill(), () => servers.redis.restart()],
    ['frozen', () => servers.redis.pause(), () => servers.redis.resume()],
  ])(
    'refuses sign-ins and administration, and limits reads in each process, while Redis is %s',
    async (_name, takeDown, bringBack) => {
      const { token } = (await system.api.post('/login', admin)).body
      await system.api.get('/events')
      await takeDown()
      try {
        const closed = [
          await timed(() => system.api.post('/login', admin)),
          await timed(() => system.api.post('/register', { userId: 'late', password })),
          await timed(() => system.api.request('POST', '/token/refresh')),
          await timed(() => system.api.put('/users/root/role', { role: 'admin' }, { token })),
          await timed(() => system.api.get('/admin/queues', { token })),
        ]
        for (const answer of closed) {
          expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable' } })
          expect(answer.headers.get('retry-after')).toBe('1')
          expect(answer.ms).toBeLessThan(1000)
        }
        const reader = from(newAddress())
        const reads = await Promise.all(
          Array.from({ length: 60 }, () => system.api.get('/status/0', reader)),
        )
        expect(count(reads, 429)).toBe(30)
        expect(count(reads, 400)).toBe(30)
      } finally {
        await bringBack()
      }
      await expect
        .poll(async () => (await system.api.post('/login', admin)).status, { timeout: 10_000 })
        .toBe(200)
    },
  )

  it.each([
    ['dead', () => servers.postgres.kill(), () => servers.postgres.restart()],
    ['frozen', () => servers.postgres.pause(), () => servers.postgres.resume()],
  ])(
    'refuses account calls within a second, but accepts tokens, while PostgreSQL is %s',
    async (name, takeDown, bringBack) => {
      const { token } = (await system.api.post('/login', admin)).body
      const late = { userId: `late-${name}`, password }
      const user = await system.token('ada')
      await takeDown()
      try {
        await expect
          .poll(async () => (await system.api.get('/readyz')).status, { timeout: 5000 })
          .toBe(503)
        const closed = [
          await timed(() => system.api.post('/login', admin)),
          await timed(() => system.api.post('/register', late)),
          await timed(() => system.api.put('/users/root/role', { role: 'admin' }, { token })),
          await timed(() => system.api.get('/admin/queues', { token })),
        ]
        for (const answer of closed) {
          expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable' } })
          expect(answer.ms).toBeLessThan(1000)
        }
        expect((await system.api.post('/book', {}, { token: user })).status).toBe(400)
      } finally {
        await bringBack()
      }
      await expect
        .poll(async () => (await system.api.post('/login', admin)).status, { timeout: 10_000 })
        .toBe(200)
      expect((await system.api.post('/register', late)).status).toBe(201)
    },
  )
})
