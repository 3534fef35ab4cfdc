import { ConfigError, readEnv } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { createConcurrencyLimit } from '../limits/concurrency.js'
import { appUnderTest, call } from '../testing/app-under-test.js'
import { createCors, readAllowedOrigins } from './cors.js'

const origin = 'https://shop.example'
const cors = createCors(new Set([origin, 'http://localhost:5173']))
const preflight = {
  origin,
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization,content-type,idempotency-key',
}
const allowed = ['allow-origin', 'allow-credentials', 'expose-headers'].map(
  (name) => `access-control-${name}`,
)
const corsHeadersOf = ({ headers }: { headers: Headers }) =>
  allowed.map((name) => headers.get(name))

describe('responses to an allowed origin', () => {
  const app = appUnderTest({ cors })

  it.each([
    ['GET /status/1', 200, {}],
    ['POST /book', 401, {}],
    ['POST /book', 415, { as: 'ada' }],
    ['POST /book', 400, { as: 'ada', body: {} }],
    ['POST /events', 403, { as: 'ada', body: { totalTickets: 1 } }],
    ['GET /status/2', 404, {}],
    ['GET /nothing', 404, {}],
    ['DELETE /book', 405, {}],
    ['POST /book', 429, { as: 'ada', headers: { 'x-over-limit': '1' } }],
    ['GET /nothing', 429, { headers: { 'x-far-over-limit': '1' } }],
    ['GET /livez', 200, {}],
  ] as const)('let its pages read %s with status %d', async (path, status, sent) => {
    const headers = { ...('headers' in sent ? sent.headers : {}), origin }
    const answer = await call(app, path, { ...sent, headers })
    expect(answer.status).toBe(status)
    expect(corsHeadersOf(answer)).toEqual([
      origin,
      null,
      'Location, Retry-After, RateLimit, RateLimit-Policy, ETag, Link, Preference-Applied, Idempotency-Replayed, X-Request-Id',
    ])
    expect(answer.headers.get('vary')).toBe('Origin')
  })

  it('let its pages read the 503 of a process that is overloaded', async () => {
    const busy = appUnderTest({ cors, requests: createConcurrencyLimit(0) })
    const answer = await call(busy, 'GET /events', { headers: { origin } })
    expect(answer.status).toBe(503)
    expect(corsHeadersOf(answer)[0]).toBe(origin)
  })

  it('let its pages read an unexpected error', async () => {
    const failing = appUnderTest({
      cors,
      longPolls: undefined as never,
      events: undefined as never,
    })
    const answer = await call(failing, 'GET /status/1', { headers: { origin } })
    expect(answer.status).toBe(500)
    expect(corsHeadersOf(answer)[0]).toBe(origin)
  })

  it('keep the other values of `Vary`', async () => {
    const answer = await call(app, 'GET /', { headers: { origin } })
    expect(answer.headers.get('vary')).toBe('Origin, Accept')
  })
})

it.each([
  'https://other.example',
  'http://shop.example',
  'https://shop.example:8443',
  'https://shop.example.evil.example',
  'null',
  undefined,
])('lets no page of the origin %s read a response, and tells caches so', async (other) => {
  const app = appUnderTest({ cors })
  const headers: Record<string, string> = other === undefined ? {} : { origin: other }
  const answer = await call(app, 'GET /status/1', { headers })
  expect(answer.status).toBe(200)
  expect(corsHeadersOf(answer)).toEqual([null, null, null])
  expect(answer.headers.get('vary')).toBe('Origin')
  const asked = await call(app, 'OPTIONS /book', { headers: { ...preflight, ...headers } })
  if (other !== undefined) {
    expect(asked.status).toBe(204)
    expect([...asked.headers.keys()].join()).not.toContain('access-control')
  }
})

it('adds no header if no origin is allowed', async () => {
  expect(createCors(new Set())).toBeUndefined()
  const answer = await call(appUnderTest(), 'GET /status/1', { headers: { origin } })
  expect(corsHeadersOf(answer)).toEqual([null, null, null])
  expect(answer.headers.get('vary')).toBeNull()
})

it('lets pages of every origin read responses if any is allowed, and never with cookies', async () => {
  const app = appUnderTest({ cors: createCors('any') })
  for (const headers of [{}, { origin: 'null' }, { origin: 'https://anywhere.example' }]) {
    const answer = await call(app, 'GET /status/1', { headers })
    expect(corsHeadersOf(answer).slice(0, 2)).toEqual(['*', null])
    expect(answer.headers.get('vary')).toBeNull()
  }
})

describe('a preflight', () => {
  it.each(['/book', '/events/1', '/nothing', '/livez', '/docs'])(
    'of an allowed origin is answered for %s without a token or a count',
    async (path) => {
      const app = appUnderTest({ cors, requests: createConcurrencyLimit(0) })
      const headers = { ...preflight, 'x-far-over-limit': '1' }
      const answer = await call(app, `OPTIONS ${path}`, { headers })
      expect(answer).toMatchObject({ status: 204, text: '' })
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
        'access-control-allow-headers': preflight['access-control-request-headers'],
        'access-control-max-age': '7200',
        vary: 'Origin, Access-Control-Request-Headers',
      })
      expect(answer.headers.has('access-control-allow-credentials')).toBe(false)
    },
  )

  it('is an OPTIONS request that names a method; others get the methods of the path', async () => {
    const answer = await call(appUnderTest({ cors }), 'OPTIONS /book', { headers: { origin } })
    expect(answer.status).toBe(204)
    expect(answer.headers.get('allow')).toBe('POST, OPTIONS')
    expect(answer.headers.has('access-control-allow-methods')).toBe(false)
  })
})

describe('CORS_ORIGINS', () => {
  const read = (value: string, production = true) =>
    readAllowedOrigins(readEnv({ CORS_ORIGINS: value }), production)

  it('allows no origin by default', () => {
    expect(readAllowedOrigins(readEnv({}), true)).toEqual(new Set())
    expect(read(' ')).toEqual(new Set())
  })

  it.each([
    ['https://shop.example', ['https://shop.example']],
    ['https://Shop.Example:443/, http://localhost:5173', [origin, 'http://localhost:5173']],
    ['https://a.example\nhttps://b.example', ['https://a.example', 'https://b.example']],
    ['https://münchen.example', ['https://xn--mnchen-3ya.example']],
    ['http://[::1]:8080', ['http://[::1]:8080']],
    ['capacitor://localhost', ['capacitor://localhost']],
  ])('reads %j as browsers write origins', (value, expected) => {
    expect(read(value)).toEqual(new Set(expected))
  })

  it.each([
    'shop.example',
    'https://shop.example/app',
    'https://shop.example?x',
    'https://user@shop.example',
    'https://*.shop.example',
    'null',
    'https://',
    'https://shop.example:99999',
  ])('refuses %s, which is not an origin', (entry) => {
    expect(() => read(`${origin}, ${entry}`)).toThrow(
      new ConfigError(
        `CORS_ORIGINS must be a list of origins such as "https://shop.example, http://localhost:5173", not "${entry}"`,
      ),
    )
  })

  it('allows * outside of production only', () => {
    expect(read('*', false)).toBe('any')
    expect(read(`${origin}, *`, false)).toBe('any')
    expect(() => read(`${origin} *`)).toThrow(
      new ConfigError('CORS_ORIGINS must not be * in production: list the origins'),
    )
  })
})
