import { createAccounts, createDatabase, createRefreshTokens, type Database } from '@ticket-line/db'
import { createPasswords } from '@ticket-line/shared/passwords'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createBase } from '../stack/system.ts'
import { runOps } from './run-ops.ts'

let base: Awaited<ReturnType<typeof createBase>>
let database: Database

beforeAll(async () => {
  base = await createBase()
  database = createDatabase({
    url: base.databaseUrl,
    poolSize: 2,
    applicationName: 'ops user test',
    connectTimeoutMs: 10_000,
    statementTimeoutMs: 30_000,
    idleInTransactionTimeoutMs: 30_000,
    onIdleError: () => undefined,
  })
})
afterAll(async () => {
  await database?.close()
  await base?.remove()
})
beforeEach(async () => {
  await database.pool.query('TRUNCATE users, refresh_tokens')
  const accounts = createAccounts(database.db)
  for (const [userId, role] of [
    ['root', 'admin'],
    ['olga', 'organizer'],
    ['ada', 'user'],
    ['..', 'user'],
  ] as const) {
    await accounts.create({ userId, passwordHash: 'no hash', role })
  }
})

const url = () => ({ DATABASE_URL: base.databaseUrl })

/** Runs `user …` and returns its report as data. */
const user = (...args: string[]) => runOps(['user', ...args, '--json'], url())

/** Runs `user …` and returns what it prints for a person. */
const shown = async (...args: string[]) => (await runOps(['user', ...args], url())).stdout

const account = (userId: string) => createAccounts(database.db).find(userId)

it('lists accounts by the start of their id and by role, without password hashes', async () => {
  const all = await user('list')
  expect(all.exitCode).toBe(0)
  expect(all.data.users.map((row: { userId: string }) => row.userId)).toEqual([
    '..',
    'ada',
    'olga',
    'root',
  ])
  expect(all.data.more).toBe(false)
  expect(all.stdout).not.toContain('no hash')

  const admins = await user('list', '--role', 'admin')
  expect(admins.data).toMatchObject({
    ok: true,
    users: [{ userId: 'root', role: 'admin', disabled: false }],
  })
  expect(await shown('list', '--role', 'admin')).toMatch(/^root +admin +\d{4}-/)
  expect((await user('list', 'ol')).data.users).toMatchObject([{ userId: 'olga' }])
  expect(await shown('list', '--limit', '1')).toContain('There are more')
})

it('promotes a user to admin, and gives a user any role', async () => {
  expect(await user('promote', 'ada')).toMatchObject({ exitCode: 0 })
  expect(await account('ada')).toMatchObject({ role: 'admin' })
  expect((await user('role', 'root', 'user')).data).toEqual({
    ok: true,
    userId: 'root',
    role: 'user',
  })
  expect(await account('root')).toMatchObject({ role: 'user' })
})

it('resets a password to one that works and ends all sign-ins of the account', async () => {
  const sessions = createRefreshTokens(database.db)
  const familyId = '00000000-0000-4000-8000-000000000000'
  await sessions.start({
    familyId,
    userId: 'ada',
    generation: 0,
    tokenHash: 'h',
    lifetimeMs: 60_000,
  })

  const { exitCode, data } = await user('reset-password', 'ada')

  expect(exitCode).toBe(0)
  const ada = await account('ada')
  expect(await (await createPasswords()).verify(ada?.passwordHash, data.password)).toBe(true)
  expect(ada?.generation).toBe(1)
  expect((await database.pool.query('SELECT 1 FROM refresh_tokens')).rowCount).toBe(0)
  expect(await shown('reset-password', 'ada')).toMatch(/^The password of ada is now [\w-]{24}$/m)
})

it('disables and enables an account, even one whose id cannot be part of a path', async () => {
  expect(await shown('disable', '..')).toContain('.. is disabled now')
  expect(await account('..')).toMatchObject({ disabled: true, generation: 1 })
  expect((await user('enable', '..')).exitCode).toBe(0)
  expect(await account('..')).toMatchObject({ disabled: false, generation: 1 })
})

it('neither demotes nor disables the last admin, and reports an unknown account', async () => {
  for (const args of [
    ['role', 'root', 'organizer'],
    ['disable', 'root'],
  ]) {
    expect(await user(...args)).toMatchObject({
      exitCode: 1,
      data: { ok: false, error: 'last_admin' },
    })
    expect(await shown(...args)).toContain('root is the last admin')
  }
  expect((await user('promote', 'nobody')).data).toMatchObject({
    ok: false,
    error: 'user_not_found',
  })
  expect((await user('reset-password', 'nobody')).exitCode).toBe(1)
})

it.each([
  [[], 'the action must be'],
  [['delete', 'ada'], 'the action must be'],
  [['promote'], 'a user id has 1 to 128 characters'],
  [['role', 'ada'], 'the role must be'],
  [['role', 'ada', 'owner'], 'the role must be'],
  [['disable', 'ada', 'bob'], 'one word too many'],
  [['list', '--role', 'owner'], '--role must be'],
])('refuses the arguments %j of the command user', async (args, message) => {
  const { exitCode, data } = await user(...args)
  expect(exitCode).toBe(2)
  expect(data).toMatchObject({ ok: false, error: expect.stringContaining(message) })
})
