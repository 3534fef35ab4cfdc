import { randomUUID } from 'node:crypto'
import {
  type Accounts,
  createAccounts,
  createDatabase,
  createRefreshTokens,
  type Database,
} from '@ticket-line/db'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createBase } from '../stack/system.ts'

let base: Awaited<ReturnType<typeof createBase>>
let database: Database
let accounts: Accounts

beforeAll(async () => {
  base = await createBase()
  database = createDatabase({
    url: base.databaseUrl,
    poolSize: 8,
    applicationName: 'accounts test',
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 30_000,
    idleInTransactionTimeoutMs: 30_000,
    onIdleError: () => undefined,
  })
  accounts = createAccounts(database.db)
})
afterAll(async () => {
  await database?.close()
  await base?.remove()
})
beforeEach(async () => {
  await database.pool.query('TRUNCATE users')
})

const createAccount = (userId: string, role: 'user' | 'organizer' | 'admin') =>
  accounts.create({ userId, passwordHash: 'no hash', role })

async function activeAdmins(): Promise<string[]> {
  const { rows } = await database.pool.query(
    `SELECT user_id FROM users WHERE role = 'admin' AND NOT disabled ORDER BY user_id`,
  )
  return rows.map((row) => row.user_id)
}

describe('the last admin', () => {
  it('refuses to demote or disable the last admin who is not disabled', async () => {
    await createAccount('root', 'admin')
    await createAccount('disabled-root', 'admin')
    await createAccount('olga', 'organizer')
    expect((await accounts.setDisabled('disabled-root', true)).kind).toBe('changed')

    expect(await accounts.setRole('root', 'organizer')).toEqual({ kind: 'last_admin' })
    expect(await accounts.setRole('root', 'user')).toEqual({ kind: 'last_admin' })
    expect(await accounts.setDisabled('root', true)).toEqual({ kind: 'last_admin' })
    expect(await accounts.find('root')).toMatchObject({
      role: 'admin',
      disabled: false,
      generation: 0,
    })

    // Changes that do not remove the last active admin are applied.
    expect((await accounts.setRole('root', 'admin')).kind).toBe('changed')
    expect((await accounts.setDisabled('root', false)).kind).toBe('changed')
    expect((await accounts.setRole('disabled-root', 'user')).kind).toBe('changed')
    expect((await accounts.setDisabled('olga', true)).kind).toBe('changed')
    expect(await accounts.setRole('nobody', 'user')).toEqual({ kind: 'user_not_found' })
    expect(await activeAdmins()).toEqual(['root'])
  })

  it('keeps one admin when all admins demote or disable each other at the same time', async () => {
    for (let round = 0; round < 10; round++) {
      await database.pool.query('TRUNCATE users')
      const admins = ['ada', 'bob', 'cyd', 'dan']
      for (const userId of admins) await createAccount(userId, 'admin')

      const changes = await Promise.all(
        admins.map((userId, n) =>
          (n + round) % 2 === 0
            ? accounts.setRole(userId, 'user')
            : accounts.setDisabled(userId, true),
        ),
      )

      expect(changes.map(({ kind }) => kind).sort()).toEqual([
        'changed',
        'changed',
        'changed',
        'last_admin',
      ])
      expect(await activeAdmins()).toHaveLength(1)
    }
  })
})

describe('sign-ins during a change of the account', () => {
  it.each([
    ['a password change', () => accounts.setPassword('ada', { passwordHash: 'another hash' })],
    ['the disabling of the account', () => accounts.setDisabled('ada', true)],
  ])('ends sign-ins that start during %s', async (_what, change) => {
    const refreshTokens = createRefreshTokens(database.db)
    for (let round = 0; round < 10; round++) {
      await database.pool.query('TRUNCATE users, refresh_tokens')
      await createAccount('ada', 'user')
      // A sign-in whose password was verified before the change.
      const start = () =>
        refreshTokens.start({
          familyId: randomUUID(),
          userId: 'ada',
          generation: 0,
          tokenHash: randomUUID(),
          lifetimeMs: 60_000,
        })

      await Promise.all([start(), start(), start(), change(), start(), start(), start()])

      expect(await start()).toBe(false)
      const { rows } = await database.pool.query(
        'SELECT count(*)::int AS families FROM refresh_tokens',
      )
      expect(rows).toEqual([{ families: 0 }])
    }
  })
})

describe('a search by user id prefix', () => {
  it('searches accounts by user id prefix through the index', async () => {
    await database.pool.query(
      `INSERT INTO users (user_id, password_hash) SELECT 'user-' || n, 'no hash' FROM generate_series(1, 20000) AS n`,
    )
    await database.pool.query('ANALYZE users')
    const { rows } = await database.pool.query(
      `EXPLAIN (ANALYZE, FORMAT JSON) SELECT user_id FROM users
       WHERE user_id > $1 AND starts_with(user_id, $2) ORDER BY user_id LIMIT 51`,
      ['', 'user-1999'],
    )
    const [{ Plan: plan }] = rows[0]['QUERY PLAN']
    expect(JSON.stringify(plan)).toContain('Index Cond')
    expect(plan['Plans'][0]['Rows Removed by Filter'] ?? 0).toBeLessThan(100)
  })
})
