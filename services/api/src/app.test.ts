import { describe, expect, it, vi } from 'vitest'
import { MAX_BODY_BYTES } from './http/body.js'
import { problemSchema } from './http/problem.js'
import { appUnderTest, call, fakeEvents } from './testing/app-under-test.js'

describe('the order of refusals', () => {
  const unavailable = { redis: () => false, postgres: () => true }
  const app = appUnderTest({ availability: unavailable })
  const tooLarge = ' '.repeat(MAX_BODY_BYTES + 1)
  const overLimit = { 'x-over-limit': '1' }

  it('starts with 404 for unknown paths, including known ones with a trailing slash', async () => {
    for (const path of ['/nothing', '/book/', '//book', '/events/1/', '/status', '/jobs/']) {
      const answer = await call(app, `POST ${path}`, { headers: overLimit, rawBody: tooLarge })
      expect(answer).toMatchObject({ status: 404, json: { code: 'not_found' } })
    }
  })

  it('puts 429 before 404 and 405 only for clients over twice the limit', async () => {
    for (const line of ['GET /nothing', 'DELETE /book', 'OPTIONS /book']) {
      expect((await call(app, line, { headers: overLimit })).status).not.toBe(429)
      expect((await call(app, line, { headers: { 'x-far-over-limit': '1' } })).status).toBe(429)
    }
    // Load balancers may probe with any method.
    expect(
      (await call(app, 'OPTIONS /livez', { headers: { 'x-far-over-limit': '1' } })).status,
    ).toBe(204)
  })

  it('puts 405 before 401', async () => {
    const answer = await call(app, 'DELETE /book', { headers: overLimit })
    expect(answer).toMatchObject({ status: 405, json: { code: 'method_not_allowed' } })
    expect(answer.headers.get('allow')).toBe('POST, OPTIONS')
  })

  it('puts 401 before 429', async () => {
    expect(await call(app, 'POST /book', { headers: overLimit, rawBody: tooLarge })).toMatchObject({
      status: 401,
    })
  })

  it('puts 429 before 413', async () => {
    expect(
      (await call(app, 'POST /book', { as: 'ada', headers: overLimit, rawBody: tooLarge })).status,
    ).toBe(429)
  })

  it('puts 413 before 415', async () => {
    expect((await call(app, 'POST /book', { as: 'ada', rawBody: tooLarge })).status).toBe(413)
  })

  it('puts 415 before 400', async () => {
    expect((await call(app, 'POST /book', { as: 'ada', rawBody: '{' })).status).toBe(415)
  })

  it('puts 400 before 403', async () => {
    const body = { eventId: 0, userId: 'bob' }
    expect((await call(app, 'POST /book', { as: 'ada', body })).status).toBe(400)
    const badKey = { 'idempotency-key': '"' }
    const forBob = { eventId: 1, userId: 'bob' }
    expect(
      (await call(app, 'POST /book', { as: 'ada', body: forBob, headers: badKey })).status,
    ).toBe(400)
    expect((await call(app, 'POST /initialize', { as: 'ada', body: {} })).status).toBe(400)
    for (const path of ['POST /extend', 'PATCH /events/1', 'POST /events/1/grants']) {
      expect((await call(app, path, { as: 'ada', body: { eventId: 0 } })).status).toBe(400)
    }
    expect(
      (await call(app, 'POST /events/1/cancel', { as: 'ada', body: {}, headers: badKey })).status,
    ).toBe(400)
    expect((await call(app, 'GET /events/x/bookings', { as: 'ada' })).status).toBe(400)
    expect((await call(app, 'GET /events/1/bookings?after=x', { as: 'ada' })).status).toBe(400)
  })

  it('puts 403 before 404 for unknown events', async () => {
    const body = { eventId: 2, userId: 'bob' }
    expect(await call(app, 'POST /book', { as: 'ada', body })).toMatchObject({
      status: 403,
      json: { code: 'forbidden' },
    })
    expect((await call(app, 'GET /events/2/bookings', { as: 'ada' })).status).toBe(403)
  })

  it('puts 404 for unknown events before 503', async () => {
    const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 2 } })
    expect(answer).toMatchObject({ status: 404, json: { code: 'event_not_found' } })
    const known = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })
    expect(known).toMatchObject({ status: 503, json: { code: 'unavailable' } })
    expect(known.headers.get('retry-after')).toBe('1')
  })
})

describe('query parameters', () => {
  const app = appUnderTest()

  it.each([
    ['GET /events/1/bookings?user=p5', '/user', 'is not a known parameter'],
    ['GET /events?limt=5', '/limt', 'is not a known parameter'],
    ['GET /status/1?x', '/x', 'is not a known parameter'],
    ['GET /events/1/me?a~b/c=1', '/a~0b~1c', 'is not a known parameter'],
    ['GET /events?__proto__=1', '/__proto__', 'is not a known parameter'],
    ['GET /events?limit=1&limit=1000', '/limit', 'is given more than once'],
    ['POST /book?userId=bob', '/userId', 'is not a known parameter'],
    ['GET /jobs/none?wait=5', '/wait', 'is not a known parameter'],
  ])('are refused if they are unknown, repeated or invalid: %s', async (line, pointer, detail) => {
    const body = line.startsWith('POST') ? { eventId: 1 } : undefined
    const answer = await call(app, line, { as: 'olga organizer', body })
    expect(answer).toMatchObject({
      status: 400,
      json: { code: 'invalid_request', errors: [{ pointer, detail }] },
    })
  })

  it.each([
    '/',
    '/docs',
    '/docs/start.js',
    '/e/1',
    '/box-office',
    '/openapi.json',
    '/livez',
    '/readyz',
    '/metrics',
    '/events?',
    '/events?&',
  ])('are ignored by GET %s', async (path) => {
    const line = path.includes('?') ? path : `${path}?utm_source=mail`
    expect((await call(app, `GET ${line}`)).status).toBe(200)
  })
})

describe('every response', () => {
  const app = appUnderTest()

  it('contains the security headers and the request id', async () => {
    for (const line of ['GET /livez', 'GET /nothing', 'POST /book', 'GET /docs', 'GET /e/1']) {
      const { headers } = await call(app, line, { headers: { 'x-request-id': 'abc-1' } })
      expect(headers.get('x-request-id')).toBe('abc-1')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('content-security-policy')).toContain("default-src 'none'")
    }
  })

  it('gets a new request id if the request has none or an invalid one', async () => {
    for (const given of ['', 'a b', 'x'.repeat(200), '<script>']) {
      const { headers } = await call(app, 'GET /livez', { headers: { 'x-request-id': given } })
      expect(headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/)
    }
  })

  it('contains the headers that a rate limit set', async () => {
    const { headers } = await call(app, 'GET /status/1')
    expect(headers.get('ratelimit')).toBe('limit=100, remaining=99, reset=900')
  })

  it('is not cached unless the route allows it', async () => {
    expect((await call(app, 'GET /events/1/me', { as: 'ada' })).headers.get('cache-control')).toBe(
      'no-store',
    )
    expect((await call(app, 'GET /status/1')).headers.get('cache-control')).toBe('no-cache')
  })
})

describe('every path', () => {
  const app = appUnderTest()

  it('answers HEAD like GET, without the body', async () => {
    const answer = await call(app, 'HEAD /status/1')
    expect(answer).toMatchObject({ status: 200, text: '' })
    expect(answer.headers.get('etag')).toBe('"5-0"')
    expect((await call(app, 'HEAD /book')).status).toBe(405)
  })

  it('answers OPTIONS with its methods', async () => {
    const answer = await call(app, 'OPTIONS /events')
    expect(answer).toMatchObject({ status: 204, text: '' })
    expect(answer.headers.get('allow')).toBe('GET, HEAD, POST, OPTIONS')
    expect((await call(app, 'OPTIONS /nothing')).status).toBe(404)
  })
})

describe('an unexpected error', () => {
  it('is sent as a bare 500 and logged with its request id', async () => {
    const secret = new Error('relation "events" does not exist at /srv/app.ts:1')
    const log = { error: vi.fn(), isLevelEnabled: () => false }
    const app = appUnderTest({
      log: log as never,
      events: fakeEvents({ status: async () => Promise.reject(secret) }),
    })
    const answer = await call(app, 'GET /status/1', { headers: { 'x-request-id': 'r1' } })
    expect(answer.status).toBe(500)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(problemSchema.parse(answer.json).code).toBe('internal')
    expect(answer.text).not.toMatch(/relation|srv/)
    expect(log.error).toHaveBeenCalledWith({ err: secret, requestId: 'r1' }, expect.any(String))
  })

  it('is sent as 503 if a server was unavailable', async () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), {
      code: 'ECONNREFUSED',
    })
    const app = appUnderTest({
      events: fakeEvents({ status: async () => Promise.reject(refused) }),
    })
    const answer = await call(app, 'GET /status/1')
    expect(answer).toMatchObject({ status: 503, json: { code: 'unavailable' } })
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(answer.text).not.toContain('5432')
  })
})
