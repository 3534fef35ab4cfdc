import type { Accounts, PrivilegeChange } from '@ticket-line/db'
import { AppError } from '@ticket-line/shared'
import type { AccountOverrides } from '../auth/account-overrides.js'
import { audit } from '../http/audit.js'
import { cutPage, nextLink } from '../http/paging.js'
import { defineRoute, type Route } from '../http/route.js'
import {
  disabledAnswer,
  disabledBody,
  roleAnswer,
  roleBody,
  userParams,
  usersPageSchema,
  usersQuery,
} from './schemas.js'

export interface UserDeps {
  accounts: Pick<Accounts, 'list' | 'setRole' | 'setDisabled'>
  overrides: Pick<AccountOverrides, 'applyLocally'>
}

/** Routes with which admins list and change local accounts. */
export function userRoutes(deps: UserDeps): Route[] {
  return [usersRoute(deps), roleRoute(deps), disabledRoute(deps)]
}

function usersRoute({ accounts }: UserDeps): Route {
  return defineRoute({
    method: 'GET',
    path: '/users',
    auth: 'required',
    limit: 'general',
    role: 'admin',
    query: usersQuery,
    docs: {
      operationId: 'listUsers',
      tag: 'Accounts',
      summary: 'List accounts, in order of user id',
      problems: ['unavailable'],
    },
    responses: {
      200: { description: 'A page of accounts.', schema: usersPageSchema, headers: ['Link'] },
    },
    async handler(c, { query: { q, limit, after } }, reply) {
      const rows = await accounts.list({ prefix: q, after, limit: limit + 1 })
      const { page, next } = cutPage('users', rows, limit, (account) => account.userId)
      const users = page.map(({ createdAt, ...account }) => ({
        ...account,
        createdAt: createdAt.toISOString(),
      }))
      return reply(c, 200, { users, next }, nextLink(c, next))
    },
  })
}

function roleRoute({ accounts, overrides }: UserDeps): Route {
  return defineRoute({
    method: 'PUT',
    path: '/users/:userId/role',
    auth: 'required',
    limit: 'administration',
    role: 'admin',
    params: userParams,
    body: roleBody,
    docs: {
      operationId: 'setUserRole',
      tag: 'Accounts',
      summary: 'Set the role of a user',
      description:
        'Within one second, the role also applies to tokens that were issued earlier. The last admin must remain an admin.',
      problems: ['user_not_found', 'last_admin', 'unavailable', 'unknown'],
    },
    responses: { 200: { description: 'The new role.', schema: roleAnswer } },
    async handler(c, { params: { userId }, body: { role } }, reply) {
      const { before, account } = applied(await accounts.setRole(userId, role))
      overrides.applyLocally(account)
      if (before.role !== role) audit(c, 'role_changed', { userId, from: before.role, to: role })
      return reply(c, 200, { userId, role })
    },
  })
}

function disabledRoute({ accounts, overrides }: UserDeps): Route {
  return defineRoute({
    method: 'PUT',
    path: '/users/:userId/disabled',
    auth: 'required',
    limit: 'administration',
    role: 'admin',
    params: userParams,
    body: disabledBody,
    docs: {
      operationId: 'setUserDisabled',
      tag: 'Accounts',
      summary: 'Disable or enable an account',
      description:
        'Disabling an account revokes all its access tokens, refresh tokens and dashboard sessions within one second. Enabling it restores none of them: the user has to sign in again. The last admin cannot be disabled.',
      problems: ['user_not_found', 'last_admin', 'unavailable', 'unknown'],
    },
    responses: {
      200: { description: 'The new state of the account.', schema: disabledAnswer },
    },
    async handler(c, { params: { userId }, body: { disabled } }, reply) {
      const { before, account } = applied(await accounts.setDisabled(userId, disabled))
      overrides.applyLocally(account)
      if (before.disabled !== disabled)
        audit(c, disabled ? 'user_disabled' : 'user_enabled', { userId })
      return reply(c, 200, { userId, disabled })
    },
  })
}

/** Message of `user_not_found`. */
export const USER_NOT_FOUND = 'There is no such local account.'
/** Message of `last_admin`. */
export const LAST_ADMIN = 'This is the last admin. Make another user an admin first.'

/** @throws AppError `user_not_found` or `last_admin` if the change was refused */
function applied(change: PrivilegeChange) {
  if (change.kind === 'user_not_found') {
    throw new AppError('user_not_found', USER_NOT_FOUND)
  }
  if (change.kind === 'last_admin') {
    throw new AppError('last_admin', LAST_ADMIN)
  }
  return change
}
