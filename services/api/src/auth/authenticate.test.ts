import { AppError, callerOfKey } from '@ticket-line/shared'
import type { MiddlewareHandler } from 'hono'
import { beforeEach, describe, expect, test } from 'vitest'
import type { AppEnv } from '../http/env.js'
import type { Principal, PrincipalKey } from '../http/principal.js'
import { sendJson } from '../http/reply.js'
import { appUnderTest, call, guards, KEY_ID } from '../testing/app-under-test.js'
import { noOverrides } from './account-overrides.js'
import { createAuthenticate } from './authenticate.js'

const ada: Principal = { userId: 'ada', role: 'user' }
const key: PrincipalKey = {
  id: KEY_ID,
  caller: callerOfKey(KEY_ID),
  scopes: new Set(['bookings:write']),
  rateLimit: { requests: 6000, windowMs: 60_000 },
}

describe('authenticate', () => {
  let counted: number
  let overLimit: boolean
  let shutOut: boolean

  const countRefused: MiddlewareHandler<AppEnv> = async (c, next) => {
    counted++
    c.header('RateLimit', 'limit=1, remaining=0, reset=9')
    if (!overLimit) return next()
    c.header('Retry-After', '9')
    return sendJson(c, 429, { message: 'Too many' })
  }
  const authenticate = createAuthenticate({
    async verifyToken(token) {
      if (token === 'unverifiable')
        throw new AppError('unavailable', 'The issuer cannot be reached.')
      return token === 'good' ? ada : undefined
    },
    overrides: { ...noOverrides, apply: (principal) => (shutOut ? undefined : principal) },
    keys: {
      verify(text) {
        if (text === 'tlk_new')
          throw new AppError('unavailable', 'Your API key cannot be checked right now.')
        return text === 'tlk_good' ? { userId: 'olga', role: 'organizer', key } : undefined
      },
    },
    countRefused,
  })
  const app = appUnderTest({ guards: { ...guards, authenticate } })
  const book = (authorization?: string) =>
    call(app, 'POST /book', {
      body: { eventId: 1 },
      headers: authorization === undefined ? {} : { authorization },
    })

  beforeEach(() => {
    counted = 0
    overLimit = false
    shutOut = false
  })

  test.each(['Bearer good', 'bearer good', 'BEARER   good', 'Bearer good '])(
    'accepts the header "%s"',
    async (header) => {
      expect((await book(header)).status).toBe(200)
      expect(counted).toBe(0)
    },
  )

  test.each([
    'Bearer',
    'Bearer ',
    'Bearer bad',
    'Bearer good good',
    'Basic good',
    'good',
    'Bearer good,good',
    'Bearer "good"',
  ])('refuses and counts the header "%s"', async (header) => {
    const answer = await book(header)
    expect(answer).toMatchObject({ status: 401, json: { code: 'unauthorized' } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    expect(answer.headers.get('ratelimit')).toBe('limit=1, remaining=0, reset=9')
    expect(counted).toBe(1)
  })

  test('accepts an API key without asking the verifier of tokens, and refuses others', async () => {
    const bookFor = (authorization: string) =>
      call(app, 'POST /book', {
        body: { eventId: 1, userId: 'bob' },
        headers: { authorization },
      })
    expect((await bookFor('Bearer tlk_good')).status).toBe(200)
    const refused = await bookFor('Bearer tlk_bad')
    expect(refused).toMatchObject({ status: 401, json: { code: 'unauthorized' } })
    expect(refused.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    expect(counted).toBe(1)
    expect(await bookFor('Bearer tlk_new')).toMatchObject({
      status: 503,
      json: { code: 'unavailable' },
    })
  })

  test('answers a request without a token with a challenge and no error code', async () => {
    const answer = await book()
    expect(answer).toMatchObject({ status: 401, json: { code: 'unauthorized' } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    expect(counted).toBe(1)
  })

  test('answers an invalid token over the limit with 429, but a missing token with 401', async () => {
    overLimit = true
    const failed = await book('Bearer bad')
    expect(failed.status).toBe(429)
    expect(failed.headers.get('retry-after')).toBe('9')
    const missing = await book()
    expect(missing.status).toBe(401)
    expect(missing.headers.get('retry-after')).toBeNull()
    expect(missing.headers.get('content-type')).toBe('application/problem+json')
  })

  test('refuses an invalid token even if the call needs none', async () => {
    const open = appUnderTest({ guards: { ...guards, authenticate }, initializeOpen: true })
    const initialize = (authorization?: string) =>
      call(open, 'POST /initialize', {
        body: { eventId: 1, totalTickets: 10 },
        headers: authorization === undefined ? {} : { authorization },
      })
    expect((await initialize()).status).toBe(201)
    expect((await initialize('Bearer good')).status).toBe(201)
    expect(counted).toBe(0)
    for (const bad of ['Bearer bad', 'Basic good']) {
      expect(await initialize(bad)).toMatchObject({ status: 401, json: { code: 'unauthorized' } })
    }
    expect(counted).toBe(2)
    overLimit = true
    expect((await initialize('Bearer bad')).status).toBe(429)
  })

  test('refuses the token of a disabled account', async () => {
    shutOut = true
    expect((await book('Bearer good')).status).toBe(401)
  })

  test('answers 503 and counts nothing if the issuer is unavailable', async () => {
    expect(await book('Bearer unverifiable')).toMatchObject({
      status: 503,
      json: { code: 'unavailable' },
    })
    expect(counted).toBe(0)
  })
})
