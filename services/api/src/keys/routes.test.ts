import type { ApiKey } from '@ticket-line/db'
import { createLog } from '@ticket-line/shared'
import { describe, expect, it, vi } from 'vitest'
import { appUnderTest, call, fakeKeys, KEY_ID } from '../testing/app-under-test.js'
import { hashOfKey, keyIdIn } from './format.js'
import type { OwnKeys } from './routes.js'

const olga = { as: 'olga organizer' }
const stored: ApiKey = {
  keyId: KEY_ID,
  name: 'Shop',
  scopes: ['bookings:write'],
  eventIds: null,
  rateLimit: null,
  expiresAtMs: null,
  createdAtMs: 1_900_000_000_000,
  lastUsedAtMs: null,
  previousUntilMs: null,
}
const shown = {
  id: KEY_ID,
  name: 'Shop',
  scopes: ['bookings:write'],
  eventIds: null,
  expiresAt: null,
  rateLimit: { requests: 6000, windowSeconds: 60 },
  createdAt: '2030-03-17T17:46:40.000Z',
  lastUsedAt: null,
  previousKeyUntil: null,
}

function given(changes: Partial<OwnKeys> = {}) {
  const written: string[] = []
  const log = createLog('test', 'info', { write: (line: string) => void written.push(line) })
  const forget = vi.fn()
  const app = appUnderTest({ ownKeys: fakeKeys(changes), knownKeys: { forget }, log })
  const audited = () =>
    written.map((line) => JSON.parse(line)).filter((line) => line.audit !== undefined)
  return { app, forget, audited, written }
}

describe('POST /api-keys', () => {
  const body = { name: 'Shop', scopes: ['bookings:write'] }

  it('returns the key once, and stores only its hash', async () => {
    const create = vi.fn<OwnKeys['create']>(async (made) => ({ ...stored, keyId: made.keyId }))
    const { app, audited, written } = given({ create })
    const answer = await call(app, 'POST /api-keys', { ...olga, body })
    const [made] = create.mock.calls[0] ?? []
    const { key, ...rest } = answer.json
    expect(answer.status).toBe(201)
    expect(rest).toEqual({ ...shown, id: made?.keyId })
    expect(keyIdIn(key)).toBe(made?.keyId)
    expect(made).toEqual({
      userId: 'olga',
      role: 'organizer',
      external: false,
      name: 'Shop',
      scopes: ['bookings:write'],
      eventIds: null,
      rateLimit: null,
      expiresAtMs: null,
      keyId: made?.keyId,
      keyHash: hashOfKey(key),
    })
    expect(audited()).toMatchObject([{ audit: 'api_key_created', actor: 'olga', name: 'Shop' }])
    expect(written.join('')).not.toContain(key.slice(-38))
  })

  it('drops repeated scopes and events, and takes an expiry and a rate limit', async () => {
    const create = vi.fn<OwnKeys['create']>(async () => stored)
    const { app } = given({ create })
    const sent = {
      name: 'Shop',
      scopes: ['changes:read', 'events:read', 'changes:read'],
      eventIds: [7, 3, 7],
      expiresAt: '2130-01-31T20:00:00+02:00',
      rateLimit: { requests: 60_000, windowSeconds: 60 },
    }
    expect((await call(app, 'POST /api-keys', { ...olga, body: sent })).status).toBe(201)
    expect(create.mock.calls[0]?.[0]).toMatchObject({
      scopes: ['changes:read', 'events:read'],
      eventIds: [7, 3],
      expiresAtMs: Date.parse('2130-01-31T18:00:00Z'),
      rateLimit: { requests: 60_000, windowSeconds: 60 },
    })
  })

  it.each([
    ['/name', { name: '' }],
    ['/name', { name: 'x'.repeat(101) }],
    ['/name', { name: undefined }],
    ['/scopes', { scopes: [] }],
    ['/scopes', { scopes: undefined }],
    ['/scopes/0', { scopes: ['admin'] }],
    ['/eventIds', { eventIds: [] }],
    ['/eventIds', { eventIds: Array.from({ length: 101 }, (_, i) => i + 1) }],
    ['/eventIds/0', { eventIds: [0] }],
    ['/expiresAt', { expiresAt: '2130-01-31' }],
    ['/expiresAt', { expiresAt: '2020-01-31T18:00:00Z' }],
    ['/rateLimit/requests', { rateLimit: { requests: 0, windowSeconds: 60 } }],
    ['/rateLimit/requests', { rateLimit: { requests: 60_001, windowSeconds: 60 } }],
    ['/rateLimit/requests', { rateLimit: { requests: 1001, windowSeconds: 1 } }],
    ['/rateLimit/windowSeconds', { rateLimit: { requests: 1, windowSeconds: 0 } }],
    ['/rateLimit/windowSeconds', { rateLimit: { requests: 1, windowSeconds: 86_401 } }],
    ['/rateLimit/windowSeconds', { rateLimit: { requests: 1 } }],
    ['/role', { role: 'admin' }],
  ])('refuses %s', async (pointer, change) => {
    const { app } = given()
    const answer = await call(app, 'POST /api-keys', { ...olga, body: { ...body, ...change } })
    expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_request' } })
    expect(answer.json.errors[0].pointer).toBe(pointer)
  })

  it('is refused to users, and to API keys', async () => {
    const { app } = given()
    expect(await call(app, 'POST /api-keys', { as: 'ada', body })).toMatchObject({
      status: 403,
      json: { code: 'forbidden' },
    })
    const byKey = await call(app, 'POST /api-keys', { as: 'olga organizer events:write', body })
    expect(byKey).toMatchObject({ status: 403, json: { code: 'insufficient_scope' } })
    expect(byKey.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope"')
  })

  it('answers 409 if the caller has 100 keys', async () => {
    const { app, audited } = given()
    expect(await call(app, 'POST /api-keys', { ...olga, body })).toMatchObject({
      status: 409,
      json: { code: 'too_many_api_keys' },
    })
    expect(audited()).toEqual([])
  })
})

it('GET /api-keys lists the keys of the caller without their secrets', async () => {
  const list = vi.fn<OwnKeys['list']>(async () => [
    { ...stored, rateLimit: { requests: 9, windowSeconds: 3 }, lastUsedAtMs: 0, eventIds: [7] },
  ])
  const answer = await call(given({ list }).app, 'GET /api-keys', olga)
  expect(answer.status).toBe(200)
  expect(answer.json).toEqual({
    keys: [
      {
        ...shown,
        eventIds: [7],
        rateLimit: { requests: 9, windowSeconds: 3 },
        lastUsedAt: '1970-01-01T00:00:00.000Z',
      },
    ],
  })
  expect(list).toHaveBeenCalledWith({ userId: 'olga', role: 'organizer', external: false })
})

describe('DELETE /api-keys/:id', () => {
  it('takes effect in this process at once, and is logged', async () => {
    const { app, forget, audited } = given({ remove: async (_owner, id) => id === KEY_ID })
    expect((await call(app, `DELETE /api-keys/${KEY_ID}`, olga)).status).toBe(204)
    expect(forget).toHaveBeenCalledWith(KEY_ID)
    expect(audited()).toMatchObject([{ audit: 'api_key_deleted', keyId: KEY_ID }])
  })

  it('answers 404 for a key that the caller does not have', async () => {
    const remove = vi.fn<OwnKeys['remove']>(async () => false)
    const { app } = given({ remove })
    for (const id of ['Aa81kQ4fWm2Rb7Yp', 'x', '%00'])
      expect(await call(app, `DELETE /api-keys/${id}`, olga)).toMatchObject({
        status: 404,
        json: { code: 'api_key_not_found' },
      })
    expect(remove).toHaveBeenCalledTimes(1)
  })
})

describe('POST /api-keys/:id/rotate', () => {
  it('returns a new secret of the same key', async () => {
    const rotate = vi.fn<OwnKeys['rotate']>(async () => ({
      ...stored,
      previousUntilMs: 1_900_000_000_000,
    }))
    const { app, forget, audited } = given({ rotate })
    const answer = await call(app, `POST /api-keys/${KEY_ID}/rotate`, olga)
    const { key, ...rest } = answer.json
    expect(answer.status).toBe(200)
    expect(rest).toEqual({ ...shown, previousKeyUntil: '2030-03-17T17:46:40.000Z' })
    expect(keyIdIn(key)).toBe(KEY_ID)
    expect(rotate.mock.calls[0]?.slice(1)).toEqual([KEY_ID, hashOfKey(key)])
    expect(forget).toHaveBeenCalledWith(KEY_ID)
    expect(audited()).toMatchObject([{ audit: 'api_key_rotated', keyId: KEY_ID }])
  })

  it('answers 404 for a key that the caller does not have', async () => {
    const { app } = given()
    expect(await call(app, `POST /api-keys/${KEY_ID}/rotate`, olga)).toMatchObject({
      status: 404,
      json: { code: 'api_key_not_found' },
    })
  })
})
