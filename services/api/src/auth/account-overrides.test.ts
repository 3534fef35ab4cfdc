import type { AccountPrivileges, ChangedPrivileges } from '@ticket-line/db'
import { createLog } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type AccountOverrides, createAccountOverrides } from './account-overrides.js'

const log = createLog('test', 'silent')
const fresh = {
  role: 'user' as const,
  disabled: false,
  generation: 0,
  generationSince: null,
  keptFamilyId: null,
}
const ada = { userId: 'ada', role: 'user' } as const

describe('account overrides', () => {
  let rows: Map<string, AccountPrivileges & { changedAt?: Date }>
  let isDown: boolean
  let queries: string[][]
  let overrides: AccountOverrides

  function put(userId: string, change: Partial<AccountPrivileges>, changedAt?: Date): void {
    const row = { ...fresh, userId, ...change }
    rows.set(userId, changedAt === undefined ? row : { ...row, changedAt })
  }

  beforeEach(() => {
    vi.useFakeTimers()
    rows = new Map()
    isDown = false
    queries = []
    overrides = createAccountOverrides({
      log,
      postgres: { availability: { postgres: () => true }, timeoutMs: 700 },
      accounts: {
        async findPrivileges(userIds) {
          queries.push(userIds)
          if (isDown) throw new Error('unavailable')
          return userIds.flatMap((userId) => rows.get(userId) ?? [])
        },
        async findChangedPrivileges(after) {
          if (isDown) throw new Error('unavailable')
          return [...rows.values()].filter(
            (row): row is ChangedPrivileges =>
              row.changedAt !== undefined && (!after || row.changedAt > after),
          )
        },
      },
    })
  })

  afterEach(() => {
    overrides.stop()
    vi.useRealTimers()
  })

  test('leave the token of a user without an account unchanged, without a query', async () => {
    await overrides.start()
    expect(overrides.apply(ada)).toEqual(ada)
    expect(queries).toEqual([])
  })

  test('tell once of each account that is disabled or whose password changes', async () => {
    const changed: string[] = []
    overrides.onChange((userId) => changed.push(userId))
    put('bob', { role: 'organizer' }, new Date(0))
    await overrides.start()
    changed.length = 0
    put('ada', { disabled: true }, new Date(1000))
    await vi.advanceTimersByTimeAsync(5000)
    expect(changed).toEqual(['ada'])
    expect(overrides.endOf(ada)).toBe('disabled')
    overrides.applyLocally({ ...fresh, userId: 'bob', role: 'organizer', generation: 1 })
    expect(changed).toEqual(['ada', 'bob'])
    const bob = { userId: 'bob', role: 'organizer' } as const
    expect(overrides.endOf({ ...bob, origin: { generation: 0 } })).toBe('expired')
    expect(overrides.endOf({ ...bob, origin: { generation: 1 } })).toBeUndefined()
    expect(overrides.endOf({ ...ada, external: true })).toBeUndefined()
    expect(queries).toEqual([])
  })

  test('leave the token of another issuer unchanged, whatever the local account of that name', async () => {
    put('ada', { role: 'admin' }, new Date(0))
    put('bob', { role: 'user', disabled: true }, new Date(0))
    await overrides.start()
    for (const principal of [
      { userId: 'ada', role: 'user', external: true } as const,
      { userId: 'bob', role: 'admin', external: true } as const,
    ]) {
      expect(await overrides.apply(principal)).toEqual(principal)
    }
    expect(queries).toEqual([])
  })

  test('apply changes from before the start', async () => {
    put('ada', { role: 'admin' }, new Date(0))
    put('bob', { disabled: true }, new Date(0))
    await overrides.start()
    expect(overrides.apply(ada)).toEqual({ userId: 'ada', role: 'admin' })
    expect(overrides.apply({ userId: 'bob', role: 'user' })).toBeUndefined()
  })

  test('apply a change by another process within half a second', async () => {
    await overrides.start()
    put('ada', { disabled: true }, new Date())
    await vi.advanceTimersByTimeAsync(501)
    expect(overrides.apply(ada)).toBeUndefined()
    put('ada', { disabled: false }, new Date())
    await vi.advanceTimersByTimeAsync(501)
    expect(overrides.apply(ada)).toEqual(ada)
  })

  test('do not miss a change that commits after a later one', async () => {
    const early = new Date()
    await overrides.start()
    put('bob', { disabled: true }, new Date(early.getTime() + 3000))
    await vi.advanceTimersByTimeAsync(3000)
    put('ada', { disabled: true }, early)
    await vi.advanceTimersByTimeAsync(501)
    expect(overrides.apply(ada)).toBeUndefined()
  })

  test('apply a change by this process at once', async () => {
    await overrides.start()
    const claimed = { userId: 'ada', role: 'admin' } as const
    put('ada', { role: 'admin' })
    expect(await overrides.apply(claimed)).toEqual(claimed)
    put('ada', { role: 'user' })
    overrides.applyLocally({ ...fresh, userId: 'ada' })
    expect(await overrides.apply(claimed)).toEqual(ada)
  })

  test('read the rows of organizers and admins in one query, and reuse them for a moment', async () => {
    put('ada', { role: 'user' })
    await overrides.start()
    const claims = ['ada', 'bob', 'ada'].map((userId) => ({ userId, role: 'admin' as const }))
    const applied = await Promise.all(claims.map((claim) => overrides.apply(claim)))
    expect(applied.map((principal) => principal?.role)).toEqual(['user', 'admin', 'user'])
    expect(queries).toEqual([['ada', 'bob']])
    await overrides.apply({ userId: 'ada', role: 'admin' })
    expect(queries).toHaveLength(1)
    vi.advanceTimersByTime(500)
    await overrides.apply({ userId: 'ada', role: 'admin' })
    expect(queries).toHaveLength(2)
  })

  test('apply the last known state to users while PostgreSQL is unavailable, and refuse staff', async () => {
    put('ada', { disabled: true }, new Date())
    await overrides.start()
    isDown = true
    await vi.advanceTimersByTimeAsync(5000)
    expect(overrides.apply(ada)).toBeUndefined()
    expect(overrides.apply({ userId: 'bob', role: 'user' })).toEqual({
      userId: 'bob',
      role: 'user',
    })
    await expect(overrides.apply({ userId: 'bob', role: 'admin' })).rejects.toMatchObject({
      code: 'unavailable',
    })
    isDown = false
    await vi.advanceTimersByTimeAsync(501)
    expect(await overrides.apply({ userId: 'bob', role: 'admin' })).toEqual({
      userId: 'bob',
      role: 'admin',
    })
  })

  test('refuse all tokens until the first poll has succeeded', async () => {
    isDown = true
    await overrides.start()
    expect(() => overrides.apply(ada)).toThrow(expect.objectContaining({ code: 'unavailable' }))
    isDown = false
    await vi.advanceTimersByTimeAsync(501)
    expect(overrides.apply(ada)).toEqual(ada)
  })

  test('accept a session only if its account exists and is not disabled', async () => {
    put('ada', { role: 'admin' })
    put('bob', { role: 'admin', disabled: true })
    await overrides.start()
    expect(await overrides.current('ada', {})).toMatchObject({ userId: 'ada', role: 'admin' })
    expect(await overrides.current('bob', {})).toBeUndefined()
    expect(await overrides.current('eve', {})).toBeUndefined()
  })

  describe('after the password was changed or the account disabled', () => {
    const since = new Date('2030-01-31T18:00:00.500Z')
    const sinceS = Math.floor(since.getTime() / 1000)
    const changed = { generation: 2, generationSince: since, keptFamilyId: 'kept' }

    test.each([
      ['of the new generation', { generation: 2, familyId: 'new' }],
      ['of the sign-in that changed the password', { generation: 1, familyId: 'kept' }],
      ['without a generation, issued in a later second', { issuedAtS: sinceS + 1 }],
    ])('accept a token %s', async (_which, origin) => {
      put('ada', changed, since)
      await overrides.start()

      for (const role of ['user', 'organizer'] as const) {
        expect(await overrides.apply({ userId: 'ada', role, origin })).toEqual({ ...ada, origin })
      }
      expect(await overrides.current('ada', origin)).toEqual({ ...ada, origin })
    })

    test.each([
      ['of the previous generation', { generation: 1, familyId: 'other' }],
      ['of the previous generation, issued later', { generation: 1, issuedAtS: sinceS + 60 }],
      ['of an unknown generation', { generation: 3 }],
      ['without a generation, issued in the same second', { issuedAtS: sinceS }],
      ['without a generation, issued before', { issuedAtS: sinceS - 1 }],
      ['without an origin', undefined],
    ])('refuse a token %s', async (_which, origin) => {
      put('ada', changed, since)
      await overrides.start()

      for (const role of ['user', 'organizer'] as const) {
        const principal = { userId: 'ada', role, ...(origin !== undefined && { origin }) }
        expect(await overrides.apply(principal)).toBeUndefined()
      }
      expect(await overrides.current('ada', origin ?? {})).toBeUndefined()
    })

    test('accept any token of an account whose password never changed', async () => {
      put('ada', { role: 'organizer' }, since)
      await overrides.start()

      expect(overrides.apply(ada)).toEqual({ userId: 'ada', role: 'organizer' })
    })
  })
})
