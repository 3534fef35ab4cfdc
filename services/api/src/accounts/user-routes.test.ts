import type { AccountPrivileges, PrivilegeChange } from '@ticket-line/db'
import { createLog, isRegistrableUserId } from '@ticket-line/shared'
import { beforeEach, describe, expect, it } from 'vitest'
import type { AppDeps } from '../app.js'
import { appUnderTest, call } from '../testing/app-under-test.js'
import type { UserDeps } from './user-routes.js'

const fresh = { generation: 0, generationSince: null, keptFamilyId: null }
const as = 'root admin'

let written: string[]
let changed: AccountPrivileges[]
let answer: (userId: string) => PrivilegeChange

/** Makes every change of an account succeed. */
function succeed(change: Partial<AccountPrivileges>): void {
  answer = (userId) => ({
    kind: 'changed',
    account: { ...fresh, userId, role: 'user', disabled: false, ...change },
    before: { role: 'user', disabled: false },
  })
}

const appWith = (level: string) =>
  appUnderTest({
    log: createLog('test', level, { write: (line: string) => void written.push(line) }),
    accounts: {
      accounts: {
        list: async () => [],
        setRole: async (userId) => answer(userId),
        setDisabled: async (userId) => answer(userId),
      },
      overrides: { applyLocally: (account) => void changed.push(account) },
    } satisfies UserDeps as unknown as AppDeps['accounts'],
  })
const app = appWith('info')

const audited = () =>
  written.map((line) => JSON.parse(line)).filter((line) => line.audit !== undefined)

beforeEach(() => {
  written = []
  changed = []
})

describe('the user id in a path', () => {
  const odd = [...'/\\%?#;:@&=+$,!*()[]{}|^`~<>"\' .-_']

  it.each([
    ...odd.map((character) => `a${character}b`),
    ...odd.filter((character) => character !== ' ' && character !== '.'),
    ...[
      '%2F',
      '%2e',
      '%',
      '%25',
      '...',
      'a/../b',
      'a/./b',
      '//',
      ':userId',
      'role',
      'disabled',
      'é',
      '👩🏽‍🚀',
    ],
  ])('is that of the account registered as %j', async (userId) => {
    succeed({ disabled: true })
    expect(isRegistrableUserId(userId)).toBe(true)

    const path = `PUT /users/${encodeURIComponent(userId)}/disabled`
    const { status, json } = await call(app, path, { as, body: { disabled: true } })

    expect({ status, json }).toEqual({ status: 200, json: { userId, disabled: true } })
    expect(changed.map((account) => account.userId)).toEqual([userId])
  })
})

describe('an audit line', () => {
  it('contains the actor, the user, both roles and the address', async () => {
    succeed({ role: 'organizer' })

    await call(app, 'PUT /users/ada/role', {
      as,
      body: { role: 'organizer' },
      headers: { 'x-request-id': 'r-1' },
    })

    expect(audited()).toEqual([
      expect.objectContaining({
        level: 'info',
        audit: 'role_changed',
        actor: 'root',
        actorRole: 'admin',
        userId: 'ada',
        from: 'user',
        to: 'organizer',
        requestId: 'r-1',
      }),
    ])
  })

  it.each([
    [true, 'user_disabled'],
    [false, 'user_enabled'],
  ])('is written when `disabled` is set to %j', async (disabled, action) => {
    answer = (userId) => ({
      kind: 'changed',
      account: { ...fresh, userId, role: 'user', disabled },
      before: { role: 'user', disabled: !disabled },
    })

    await call(app, 'PUT /users/ada/disabled', { as, body: { disabled } })

    expect(audited()).toMatchObject([{ audit: action, actor: 'root', userId: 'ada' }])
  })

  it.each(['warn', 'error', 'fatal'])('is written even if LOG_LEVEL is %s', async (level) => {
    succeed({ role: 'organizer' })

    await call(appWith(level), 'PUT /users/ada/role', { as, body: { role: 'organizer' } })

    expect(audited()).toMatchObject([{ audit: 'role_changed' }])
  })

  it('is not written if nothing changes', async () => {
    succeed({})

    await call(app, 'PUT /users/ada/role', { as, body: { role: 'user' } })
    await call(app, 'PUT /users/ada/disabled', { as, body: { disabled: false } })
    answer = () => ({ kind: 'last_admin' })
    await call(app, 'PUT /users/ada/role', { as, body: { role: 'user' } })

    expect(audited()).toEqual([])
  })
})

describe('the last admin', () => {
  it.each([
    ['role', { role: 'user' }],
    ['disabled', { disabled: true }],
  ])('cannot be changed by PUT /users/:userId/%s', async (what, body) => {
    answer = () => ({ kind: 'last_admin' })

    const { status, json } = await call(app, `PUT /users/root/${what}`, { as, body })

    expect(status).toBe(409)
    expect(json).toMatchObject({ code: 'last_admin', status: 409 })
    expect(changed).toEqual([])
  })
})
