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

describe('what accounts change about tokens', () => {
  let rows: Map<string, AccountPrivileges & { changedAt?: Date }>
  let away: boolean
  let queries: string[][]
  let overrides: AccountOverrides

  function put(userId: string, change: Partial<AccountPrivileges>, changedAt?: Date): void {
    const row = { ...fresh, userId, ...change }
    rows.set(userId, changedAt === undefined ? row : { ...row, changedAt })
  }

  beforeEach(() => {
    vi.useFakeTimers()
    rows = new Map()
    away = false
    queries = []
    overrides = createAccountOverrides({
      log,
      postgres: { availability: { postgres: () => true }, timeoutMs: 700 },
      accounts: {
        async findPrivileges(userIds) {
          queries.push(userIds)
          if (away) throw new Error('away')
          return userIds.flatMap((userId) => rows.get(userId) ?? [])
        },
        async findChangedPrivileges(after) {
          if (away) throw new Error('away')
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

  test('nothing for a user without an account, without a query', async () => {
    await overrides.start()
    expect(overrides.apply(ada)).toEqual(ada)
    expect(queries).toEqual([])
  })

  test('leaves the token of another issuer as it is, whatever the local account of that name is', async () => {
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

  test('what changed before the start counts', async () => {
    put('ada', { role: 'admin' }, new Date(0))
    put('bob', { disabled: true }, new Date(0))
    await overrides.start()
    expect(overrides.apply(ada)).toEqual({ userId: 'ada', role: 'admin' })
    expect(overrides.apply({ userId: 'bob', role: 'user' })).toBeUndefined()
  })

  test('what another process changes is felt within half a second', async () => {
    await overrides.start()
    put('ada', { disabled: true }, new Date())
    await vi.advanceTimersByTimeAsync(501)
    expect(overrides.apply(ada)).toBeUndefined()
    put('ada', { disabled: false }, new Date())
    await vi.advanceTimersByTimeAsync(501)
    expect(overrides.apply(ada)).toEqual(ada)
  })

  test('a change that commits late, with an earlier time, is not missed', async () => {
    const early = new Date()
    await overrides.start()
    put('bob', { disabled: true }, new Date(early.getTime() + 3000))
    await vi.advanceTimersByTimeAsync(3000)
    put('ada', { disabled: true }, early)
    await vi.advanceTimersByTimeAsync(501)
    expect(overrides.apply(ada)).toBeUndefined()
  })

  test('a change of this process is felt at once', async () => {
    await overrides.start()
    const claimed = { userId: 'ada', role: 'admin' } as const
    put('ada', { role: 'admin' })
    expect(await overrides.apply(claimed)).toEqual(claimed)
    put('ada', { role: 'user' })
    overrides.applyLocally({ ...fresh, userId: 'ada' })
    expect(await overrides.apply(claimed)).toEqual(ada)
  })

  test('who claims more than user is looked up, together and not again at once', async () => {
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

  test('with PostgreSQL away users stay as last known, and staff cannot be checked', async () => {
    put('ada', { disabled: true }, new Date())
    await overrides.start()
    away = true
    await vi.advanceTimersByTimeAsync(5000)
    expect(overrides.apply(ada)).toBeUndefined()
    expect(overrides.apply({ userId: 'bob', role: 'user' })).toEqual({
      userId: 'bob',
      role: 'user',
    })
    await expect(overrides.apply({ userId: 'bob', role: 'admin' })).rejects.toMatchObject({
      code: 'unavailable',
    })
    away = false
    await vi.advanceTimersByTimeAsync(501)
    expect(await overrides.apply({ userId: 'bob', role: 'admin' })).toEqual({
      userId: 'bob',
      role: 'admin',
    })
  })

  test('before anything is known nobody can be checked', async () => {
    away = true
    await overrides.start()
    expect(() => overrides.apply(ada)).toThrow(expect.objectContaining({ code: 'unavailable' }))
    away = false
    await vi.advanceTimersByTimeAsync(501)
    expect(overrides.apply(ada)).toEqual(ada)
  })

  test('a session is of an account that exists and is not shut out', async () => {
    put('ada', { role: 'admin' })
    put('bob', { role: 'admin', disabled: true })
    await overrides.start()
    expect(await overrides.current('ada', {})).toMatchObject({ userId: 'ada', role: 'admin' })
    expect(await overrides.current('bob', {})).toBeUndefined()
    expect(await overrides.current('eve', {})).toBeUndefined()
  })

  describe('after a change of password or a disabling', () => {
    const since = new Date('2030-01-31T18:00:00.500Z')
    const sinceS = Math.floor(since.getTime() / 1000)
    const changed = { generation: 2, generationSince: since, keptFamilyId: 'kept' }

    test.each([
      ['of the new generation', { generation: 2, familyId: 'new' }],
      ['of the sign-in that changed the password', { generation: 1, familyId: 'kept' }],
      ['without a generation that was made in a later second', { issuedAtS: sinceS + 1 }],
    ])('accepts a token %s', async (_which, origin) => {
      put('ada', changed, since)
      await overrides.start()

      for (const role of ['user', 'organizer'] as const) {
        expect(await overrides.apply({ userId: 'ada', role, origin })).toEqual({ ...ada, origin })
      }
      expect(await overrides.current('ada', origin)).toEqual({ ...ada, origin })
    })

    test.each([
      ['of the generation before', { generation: 1, familyId: 'other' }],
      ['of the generation before that was made later', { generation: 1, issuedAtS: sinceS + 60 }],
      ['of a generation that never was', { generation: 3 }],
      ['without a generation that was made in the same second', { issuedAtS: sinceS }],
      ['without a generation that was made before', { issuedAtS: sinceS - 1 }],
      ['that says nothing of where it comes from', undefined],
    ])('refuses a token %s', async (_which, origin) => {
      put('ada', changed, since)
      await overrides.start()

      for (const role of ['user', 'organizer'] as const) {
        const principal = { userId: 'ada', role, ...(origin !== undefined && { origin }) }
        expect(await overrides.apply(principal)).toBeUndefined()
      }
      expect(await overrides.current('ada', origin ?? {})).toBeUndefined()
    })

    test('accepts any token of an account whose password never changed', async () => {
      put('ada', { role: 'organizer' }, since)
      await overrides.start()

      expect(overrides.apply(ada)).toEqual({ userId: 'ada', role: 'organizer' })
    })
  })
})
