import { createAccounts, createDatabase, createRefreshTokens, type Database } from '@ticket-line/db'
import { createPasswords } from '@ticket-line/shared/passwords'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { parseCommandLine } from '../../services/ops/src/arguments.ts'
import { manageUser, readUserArguments } from '../../services/ops/src/commands/user.ts'
import type { Context } from '../../services/ops/src/context.ts'
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

interface Shown {
  exitCode: number
  // biome-ignore lint/suspicious/noExplicitAny: reports of every shape
  data: any
  text: string
}

/** What `npm run ops -- user …` does, without the time that a process takes to start. */
async function user(...args: string[]): Promise<Shown> {
  const context = { db: () => database.db } as Context
  const { exitCode, data, lines } = await manageUser(
    context,
    readUserArguments(parseCommandLine(['user', ...args])),
  )
  return { exitCode, data, text: lines.join('\n') }
}

const account = (userId: string) => createAccounts(database.db).find(userId)

it('lists accounts by the beginning of their id and by role, without hashes', async () => {
  const all = await user('list')
  expect(all.exitCode).toBe(0)
  expect(all.data.users.map((row: { userId: string }) => row.userId)).toEqual([
    '..',
    'ada',
    'olga',
    'root',
  ])
  expect(all.data.more).toBe(false)
  expect(JSON.stringify(all)).not.toContain('no hash')

  const admins = await user('list', '--role', 'admin')
  expect(admins.text).toMatch(/^root +admin +\d{4}-/)
  expect((await user('list', 'ol')).data.users).toMatchObject([{ userId: 'olga' }])
  expect((await user('list', '--limit', '1')).text).toContain('There are more')
})

it('promotes a user to admin and gives any role', async () => {
  expect(await user('promote', 'ada')).toMatchObject({ exitCode: 0 })
  expect(await account('ada')).toMatchObject({ role: 'admin' })
  expect((await user('role', 'root', 'user')).data).toEqual({
    ok: true,
    userId: 'root',
    role: 'user',
  })
  expect(await account('root')).toMatchObject({ role: 'user' })
})

it('sets a password that works and ends all sign-ins', async () => {
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
  expect((await user('reset-password', 'ada')).text).toMatch(
    /^The password of ada is now [\w-]{24}$/m,
  )
})

it('disables and enables an account, one that no path can name as well', async () => {
  expect((await user('disable', '..')).text).toContain('.. is disabled now')
  expect(await account('..')).toMatchObject({ disabled: true, generation: 1 })
  expect((await user('enable', '..')).exitCode).toBe(0)
  expect(await account('..')).toMatchObject({ disabled: false, generation: 1 })
})

it('leaves the last admin alone, and says who is unknown', async () => {
  for (const args of [
    ['role', 'root', 'organizer'],
    ['disable', 'root'],
  ]) {
    const refused = await user(...args)
    expect(refused.exitCode).toBe(1)
    expect(refused.text).toContain('root is the last admin')
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
  [['promote'], 'say which user'],
  [['role', 'ada'], 'the role must be'],
  [['role', 'ada', 'owner'], 'the role must be'],
  [['disable', 'ada', 'bob'], 'one word too many'],
  [['list', '--role', 'owner'], '--role must be'],
])('refuses the command line %j', async (args, message) => {
  await expect(user(...args)).rejects.toThrow(message)
})

it('is a command of the tool', async () => {
  const { exitCode, data } = await runOps(['user', 'list', '--role', 'admin', '--json'], {
    DATABASE_URL: base.databaseUrl,
  })

  expect(exitCode).toBe(0)
  expect(data).toMatchObject({
    ok: true,
    users: [{ userId: 'root', role: 'admin', disabled: false }],
  })
})
