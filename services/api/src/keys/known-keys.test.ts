import type { KeyRecord } from '@ticket-line/db'
import { createLog, type Role } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { hashOfKey, newKey } from './format.js'
import { createKnownKeys, effectiveRateLimit, type KnownKeys } from './known-keys.js'

const ID = 'Zx81kQ4fWm2Rb7Yp'
const OTHER_ID = 'Aa81kQ4fWm2Rb7Yp'

describe('known API keys', () => {
  let rows: Map<string, KeyRecord>
  let roles: Map<string, Role | undefined>
  let isDown: boolean
  let isAvailable: boolean
  let queries: string[][]
  let uses: [string, number][]
  let polls: number
  let keys: KnownKeys
  const key = newKey(ID)

  /** Writes the row of a key. A process sees the change with its next poll. */
  function put(text: string, change: Partial<KeyRecord> = {}, keyId = ID): void {
    rows.set(keyId, {
      keyId,
      userId: 'olga',
      external: false,
      role: 'organizer',
      name: 'Shop',
      scopes: ['bookings:write'],
      eventIds: null,
      rateLimit: null,
      expiresAtMs: null,
      keyHash: hashOfKey(text),
      previousKeyHash: null,
      previousUntilMs: null,
      isDeleted: false,
      ...change,
    })
  }

  beforeEach(async () => {
    vi.useFakeTimers()
    rows = new Map()
    roles = new Map()
    isDown = false
    isAvailable = true
    queries = []
    uses = []
    polls = 0
    put(key)
    keys = createKnownKeys({
      store: {
        async read(keyIds) {
          queries.push(keyIds)
          if (isDown) throw new Error('unavailable')
          return new Map(keyIds.flatMap((id) => (rows.has(id) ? [[id, rows.get(id)]] : [])) as [])
        },
        async readChanged() {
          polls++
          if (isDown) throw new Error('unavailable')
          return { keys: [...rows.values()], nowMs: Date.now() }
        },
        async recordUse(recorded) {
          if (isDown) throw new Error('unavailable')
          uses.push(...recorded)
        },
      },
      overrides: { roleOf: (userId, role) => (roles.has(userId) ? roles.get(userId) : role) },
      postgres: { availability: { postgres: () => isAvailable }, timeoutMs: 700 },
      maxRequestsPerMinute: 60_000,
      log: createLog('test', 'silent'),
    })
    await keys.start()
  })

  afterEach(() => {
    keys.stop()
    vi.useRealTimers()
  })

  it('act for the person who made them, with their scopes, events and limit', async () => {
    put(key, {
      eventIds: [7],
      expiresAtMs: Date.now() + 5000,
      rateLimit: { requests: 9, windowSeconds: 3 },
    })
    expect(await keys.verify(key)).toEqual({
      userId: 'olga',
      role: 'organizer',
      expiresAtMs: Date.now() + 5000,
      key: {
        id: ID,
        caller: `key\u0001${ID}`,
        scopes: new Set(['bookings:write']),
        eventIds: new Set([7]),
        rateLimit: { requests: 9, windowMs: 3000 },
      },
    })
  })

  it('cost one query for all first requests, and none later', async () => {
    const first = await Promise.all([keys.verify(key), keys.verify(key), keys.verify(key)])
    expect(first.map((principal) => principal?.userId)).toEqual(['olga', 'olga', 'olga'])
    expect(keys.verify(key)).toMatchObject({ userId: 'olga' })
    expect(queries).toEqual([[ID]])
    expect(keys.count()).toBe(1)
  })

  it('are refused without a query if they are mistyped', () => {
    expect(keys.verify(`${key.slice(0, -1)}${key.endsWith('x') ? 'y' : 'x'}`)).toBeUndefined()
    expect(keys.verify('tlk_')).toBeUndefined()
    expect(queries).toEqual([])
  })

  it('are refused with another secret', async () => {
    const other = newKey(ID)
    expect(await keys.verify(other)).toBeUndefined()
    expect(keys.verify(other)).toBeUndefined()
    expect(queries).toHaveLength(1)
    expect(await keys.verify(newKey(ID))).toBeUndefined()
    expect(await keys.verify(key)).toBeDefined()
  })

  it('are remembered as unknown for 10 s, or until they are made', async () => {
    const other = newKey(OTHER_ID)
    expect(await keys.verify(other)).toBeUndefined()
    expect(await keys.verify(other)).toBeUndefined()
    expect(queries).toEqual([[OTHER_ID]])
    put(other, {}, OTHER_ID)
    await vi.advanceTimersByTimeAsync(500)
    expect(await keys.verify(other)).toBeDefined()

    rows.delete(ID)
    expect(await keys.verify(key)).toBeUndefined()
    await vi.advanceTimersByTimeAsync(10_000)
    put(key)
    expect(await keys.verify(key)).toBeDefined()
  })

  it('are refused within a second after another process deleted them', async () => {
    expect(await keys.verify(key)).toBeDefined()
    const owners: string[] = []
    keys.onDeleted((userId) => owners.push(userId))
    put(key, { isDeleted: true })
    await vi.advanceTimersByTimeAsync(500)
    expect(await keys.verify(key)).toBeUndefined()
    expect(keys.count()).toBe(0)
    await vi.advanceTimersByTimeAsync(500)
    expect(owners).toEqual(['olga'])
  })

  it('are read again after this process has changed them', async () => {
    expect(await keys.verify(key)).toBeDefined()
    put(key, { isDeleted: true })
    keys.forget(ID)
    expect(await keys.verify(key)).toBeUndefined()
  })

  it('work with the secret before a rotation until it ends', async () => {
    expect(await keys.verify(key)).toBeDefined()
    const next = newKey(ID)
    put(next, { previousKeyHash: hashOfKey(key), previousUntilMs: Date.now() + 60_000 })
    await vi.advanceTimersByTimeAsync(500)
    expect(keys.verify(next)).toBeDefined()
    expect(keys.verify(key)).toBeDefined()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(keys.verify(next)).toBeDefined()
    expect(await keys.verify(key)).toBeUndefined()
  })

  it('work with a new secret at once, before the next poll', async () => {
    expect(await keys.verify(key)).toBeDefined()
    const next = newKey(ID)
    put(next, { previousKeyHash: hashOfKey(key), previousUntilMs: Date.now() + 60_000 })
    expect(await keys.verify(next)).toMatchObject({ userId: 'olga' })
    expect(keys.verify(next)).toMatchObject({ userId: 'olga' })
    expect(keys.verify(key)).toMatchObject({ userId: 'olga' })
  })

  it('are refused from the moment at which they expire', async () => {
    put(key, { expiresAtMs: Date.now() + 1000 })
    expect(await keys.verify(key)).toBeDefined()
    await vi.advanceTimersByTimeAsync(1000)
    expect(keys.verify(key)).toBeUndefined()
    expect(await keys.recheck(ID)).toBeUndefined()
  })

  it('have the present role of their person, and none while the account is disabled', async () => {
    expect(await keys.verify(key)).toMatchObject({ role: 'organizer' })
    roles.set('olga', 'user')
    expect(keys.verify(key)).toMatchObject({ role: 'user' })
    roles.set('olga', undefined)
    expect(keys.verify(key)).toBeUndefined()
    expect(await keys.recheck(ID)).toBeUndefined()
    roles.delete('olga')
    expect(await keys.recheck(ID)).toMatchObject({ role: 'organizer' })
  })

  it('keep the role that another issuer gave, whatever local account has the same id', async () => {
    put(key, { external: true })
    roles.set('olga', undefined)
    expect(await keys.verify(key)).toMatchObject({ role: 'organizer', external: true })
  })

  it('go on working while PostgreSQL is unavailable, and unknown ones get 503', async () => {
    expect(await keys.verify(key)).toBeDefined()
    isDown = true
    await vi.advanceTimersByTimeAsync(2000)
    expect(keys.verify(key)).toBeDefined()
    const other = newKey(OTHER_ID)
    await expect(keys.verify(other)).rejects.toMatchObject({ code: 'unavailable' })
    isAvailable = false
    await expect(keys.verify(other)).rejects.toMatchObject({ code: 'unavailable' })
    expect(queries).toEqual([[ID], [OTHER_ID]])
    isDown = false
    isAvailable = true
    expect(await keys.verify(other)).toBeUndefined()
  })

  it('record their use once a minute, and again if recording failed', async () => {
    const startMs = Date.now()
    isDown = false
    await keys.verify(key)
    keys.verify(key)
    isDown = true
    await vi.advanceTimersByTimeAsync(500)
    expect(uses).toEqual([])
    isDown = false
    await vi.advanceTimersByTimeAsync(500)
    expect(uses).toEqual([[ID, startMs]])
    keys.verify(key)
    await vi.advanceTimersByTimeAsync(59_000)
    keys.verify(key)
    await vi.advanceTimersByTimeAsync(500)
    expect(uses).toEqual([
      [ID, startMs],
      [ID, startMs + 60_000],
    ])
    expect(polls).toBeGreaterThan(100)
  })
})

it('caps the rate limit of a key by the most that any key may have', () => {
  expect(effectiveRateLimit(null, 60_000)).toEqual({ requests: 6000, windowSeconds: 60 })
  expect(effectiveRateLimit(null, 100)).toEqual({ requests: 100, windowSeconds: 60 })
  const slow = { requests: 5000, windowSeconds: 3600 }
  expect(effectiveRateLimit(slow, 60)).toEqual({ requests: 3600, windowSeconds: 3600 })
  expect(effectiveRateLimit({ requests: 5, windowSeconds: 1 }, 30).requests).toBe(1)
})
