import type { AccountPrivileges, Accounts } from '@ticket-line/db'
import { AppError } from '@ticket-line/shared'
import { reply } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import type { AccountOverrides } from '../identity/account-overrides.js'
import { disabledDocs, roleDocs } from './account-docs.js'
import { disabledBody, roleBody, userParams } from './account-schemas.js'

export interface UserDeps {
  accounts: Pick<Accounts, 'setRole' | 'setDisabled'>
  overrides: Pick<AccountOverrides, 'changed'>
}

/** What admins change about local accounts: `PUT /users/:userId/role` and `/disabled`. */
export function userRoutes({ accounts, overrides }: UserDeps): Route[] {
  /** Makes a change felt in this process at once; the others see it with their next look. */
  function felt(account: AccountPrivileges | undefined): void {
    if (account === undefined) throw new AppError('user_not_found', 'There is no such local account.')
    overrides.changed(account)
  }

  return [
    defineRoute({
      method: 'PUT',
      path: '/users/:userId/role',
      auth: 'required',
      limit: 'administration',
      role: 'admin',
      params: userParams,
      body: roleBody,
      docs: roleDocs,
      async handler(c, { params: { userId }, body: { role } }) {
        felt(await accounts.setRole(userId, role))
        return reply(c, 200, { userId, role })
      },
    }),
    defineRoute({
      method: 'PUT',
      path: '/users/:userId/disabled',
      auth: 'required',
      limit: 'administration',
      role: 'admin',
      params: userParams,
      body: disabledBody,
      docs: disabledDocs,
      async handler(c, { params: { userId }, body: { disabled } }) {
        felt(await accounts.setDisabled(userId, disabled))
        return reply(c, 200, { userId, disabled })
      },
    }),
  ]
}
