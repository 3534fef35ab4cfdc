import type { Accounts, PrivilegeChange } from '@ticket-line/db'
import { AppError } from '@ticket-line/shared'
import type { AccountOverrides } from '../auth/account-overrides.js'
import { audit } from '../http/audit.js'
import { cutPage } from '../http/paging.js'
import { reply } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import { disabledDocs, roleDocs, usersDocs } from './docs.js'
import { disabledBody, roleBody, userParams, usersQuery } from './schemas.js'

export interface UserDeps {
  accounts: Pick<Accounts, 'list' | 'setRole' | 'setDisabled'>
  overrides: Pick<AccountOverrides, 'changed'>
}

/**
 * Lets admins list and change local accounts: `GET /users`, `PUT /users/:userId/role` and
 * `/disabled`.
 */
export function userRoutes({ accounts, overrides }: UserDeps): Route[] {
  /** Applies a change in this process at once; the others see it when they next look. */
  function applied(change: PrivilegeChange) {
    if (change.kind === 'user_not_found') {
      throw new AppError('user_not_found', 'There is no such local account.')
    }
    if (change.kind === 'last_admin') {
      throw new AppError(
        'last_admin',
        'This is the last admin. Please make somebody else an admin first.',
      )
    }
    overrides.changed(change.account)
    return change
  }

  return [
    defineRoute({
      method: 'GET',
      path: '/users',
      auth: 'required',
      limit: 'general',
      role: 'admin',
      query: usersQuery,
      docs: usersDocs,
      async handler(c, { query: { q, limit, after } }) {
        const rows = await accounts.list({ prefix: q, after, limit: limit + 1 })
        const { page, next } = cutPage('users', rows, limit, (account) => account.userId)
        const users = page.map(({ createdAt, ...account }) => ({
          ...account,
          createdAt: createdAt.toISOString(),
        }))
        return reply(c, 200, { users, next })
      },
    }),
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
        const { before } = applied(await accounts.setRole(userId, role))
        if (before.role !== role) audit(c, 'role_changed', { userId, from: before.role, to: role })
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
        const { before } = applied(await accounts.setDisabled(userId, disabled))
        if (before.disabled !== disabled)
          audit(c, disabled ? 'user_disabled' : 'user_enabled', { userId })
        return reply(c, 200, { userId, disabled })
      },
    }),
  ]
}
