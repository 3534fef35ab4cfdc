import type { AccountPrivileges, ChangedPrivileges } from '@ticket-line/db'
import { createLog } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type AccountOverrides, createAccountOverrides } from './account-overrides.js'

const log = createLog('test', 'silent')
const ada = { userId: 'ada', role: 'user' } as const

describe('what accounts change about tokens', () => {
  let rows: Map<string, AccountPrivileges & { changedAt?: Date }>
  let away: boolean
  let queries: string[][]
  let overrides: AccountOverrides

  function put(userId: string, change: Partial<AccountPrivileges>, changedAt?: Date): void {
    const row = { userId, role: 'user' as const, disabled: false, ...change }
    rows.set(userId, changedAt === undefined ? row : { ...row, changedAt })
  }

  beforeEach(() => {
    vi.useFakeTimers()
    rows = new Map()
    away = false
    queries = []
    overrides = createAccountOverrides({
      log,
      reach: { availability: { postgres: () => true }, timeoutMs: 700 },
      nowMs: () => Date.now(),
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
    overrides.changed({ userId: 'ada', role: 'user', disabled: false })
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
    expect(overrides.apply({ userId: 'bob', role: 'user' })).toEqual({ userId: 'bob', role: 'user' })
    await expect(overrides.apply({ userId: 'bob', role: 'admin' })).rejects.toMatchObject({
      code: 'unavailable',
    })
    away = false
    await vi.advanceTimersByTimeAsync(501)
    expect(await overrides.apply({ userId: 'bob', role: 'admin' })).toEqual({ userId: 'bob', role: 'admin' })
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
    expect(await overrides.current('ada')).toEqual({ userId: 'ada', role: 'admin' })
    expect(await overrides.current('bob')).toBeUndefined()
    expect(await overrides.current('eve')).toBeUndefined()
  })
})
