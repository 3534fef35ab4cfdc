import type { Account, NewPassword } from '@ticket-line/db'
import { createLog } from '@ticket-line/shared'
import { beforeEach, describe, expect, it } from 'vitest'
import { ensureFirstAdmin } from './first-admin.js'

const log = createLog('test', 'silent')
const passwords = {
  hash: async (password: string) => `hash of ${password}`,
  verify: async (hash: string | undefined, password: string) => hash === `hash of ${password}`,
}

let account: Account | undefined
let set: NewPassword[]
let created: unknown[]
const start = (password: string) =>
  ensureFirstAdmin(
    {
      log,
      passwords,
      accounts: {
        find: async () => account,
        async create(made) {
          created.push(made)
          return true
        },
        async setPassword(_userId, password) {
          set.push(password)
          return account
        },
      },
    },
    { userId: 'root', password },
  )

describe('ensureFirstAdmin', () => {
  beforeEach(() => {
    set = []
    created = []
    account = {
      userId: 'root',
      role: 'admin',
      disabled: false,
      generation: 0,
      generationSince: null,
      keptFamilyId: null,
      passwordHash: 'hash of the old one',
    }
  })

  it('revokes no sign-in if the account already has the password of ADMIN_PASSWORD', async () => {
    await start('the old one')

    expect(set).toEqual([])
  })

  it('replaces the password unless another process has replaced it', async () => {
    await start('the new one')

    expect(set).toEqual([{ passwordHash: 'hash of the new one', replaces: 'hash of the old one' }])
  })

  it.each([{ role: 'user' as const }, { disabled: true }])(
    'does not change an account that is %j',
    async (state) => {
      Object.assign(account as Account, state)

      await start('the new one')

      expect(set).toEqual([])
    },
  )

  it('creates the account if it does not exist', async () => {
    account = undefined

    await start('the new one')

    expect(created).toEqual([
      { userId: 'root', passwordHash: 'hash of the new one', role: 'admin' },
    ])
  })
})
