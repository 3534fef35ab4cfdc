import { randomBytes } from 'node:crypto'
import { type Accounts, createAccounts, type ListedAccount } from '@ticket-line/db'
import { ROLES, type Role } from '@ticket-line/shared'
import { hashPassword } from '@ticket-line/shared/passwords'
import { type ParsedArguments, readUserId, readWord, UsageError } from '../arguments.js'
import type { Context } from '../context.js'
import { EXIT, type Report, table } from '../report.js'

const ACTIONS = ['list', 'promote', 'role', 'reset-password', 'disable', 'enable'] as const

/** Random bytes in a password that is made here. */
const PASSWORD_BYTES = 18

export type UserArguments =
  | { action: 'list'; prefix: string; role: Role | undefined; limit: number }
  | { action: 'role'; userId: string; role: Role }
  | { action: 'disabled'; userId: string; disabled: boolean }
  | { action: 'reset-password'; userId: string }

/** @throws UsageError naming what is wrong */
export function readUserArguments(args: ParsedArguments): UserArguments {
  const [word, first, second] = args.positionals
  const action = readWord('the action', word, ACTIONS)
  if (args.positionals.length > (action === 'role' ? 3 : 2)) {
    throw new UsageError(`"${args.positionals.at(-1)}" is one word too many`)
  }
  switch (action) {
    case 'list':
      return {
        action,
        prefix: first ?? '',
        role: args.oneOf('role', ROLES),
        limit: args.number('limit', 100, { min: 1, max: 1_000_000 }),
      }
    case 'promote':
      return { action: 'role', userId: readUserId(first), role: 'admin' }
    case 'role':
      return { action, userId: readUserId(first), role: readWord('the role', second, ROLES) }
    case 'disable':
    case 'enable':
      return { action: 'disabled', userId: readUserId(first), disabled: action === 'disable' }
    case 'reset-password':
      return { action, userId: readUserId(first) }
  }
}

/**
 * Lists local accounts and changes them, for operators who cannot or need not sign in as an admin.
 */
export async function manageUser(context: Context, args: UserArguments): Promise<Report> {
  const accounts = createAccounts(context.db())
  switch (args.action) {
    case 'list':
      return listUsers(accounts, args)
    case 'role': {
      const { userId, role } = args
      const change = await accounts.setRole(userId, role)
      if (change.kind !== 'changed') return refused(userId, change.kind)
      return done(
        { userId, role },
        `${userId} has the role ${role} now; it was ${change.before.role}.`,
      )
    }
    case 'disabled': {
      const { userId, disabled } = args
      const change = await accounts.setDisabled(userId, disabled)
      if (change.kind !== 'changed') return refused(userId, change.kind)
      const effect = disabled ? 'disabled now, and all its sign-ins have ended' : 'enabled now'
      return done({ userId, disabled }, `${userId} is ${effect}.`)
    }
    case 'reset-password':
      return resetPassword(accounts, args.userId)
  }
}

async function listUsers(
  accounts: Accounts,
  { prefix, role, limit }: Extract<UserArguments, { action: 'list' }>,
): Promise<Report> {
  const found = await accounts.list({ prefix, after: '', role, limit: limit + 1 })
  const users = found.slice(0, limit)
  const more = found.length > limit
  const row = ({ userId, role, disabled, createdAt }: ListedAccount): string[] => [
    userId,
    role,
    disabled ? 'disabled' : '',
    createdAt.toISOString(),
  ]
  const lines = users.length === 0 ? ['There is no such account.'] : table(users.map(row))
  if (more)
    lines.push(`There are more than these ${limit}: see --limit, or give the beginning of the id.`)
  return { exitCode: EXIT.fine, data: { ok: true, users, more }, lines }
}

async function resetPassword(accounts: Accounts, userId: string): Promise<Report> {
  const password = randomBytes(PASSWORD_BYTES).toString('base64url')
  const account = await accounts.setPassword(userId, { passwordHash: await hashPassword(password) })
  if (account === undefined) return refused(userId, 'user_not_found')
  const report = done({ userId, password }, `The password of ${userId} is now ${password}`)
  report.lines.push(
    'All earlier sign-ins have ended. The user can change it with PUT /me/password.',
  )
  if (account.disabled) report.lines.push('The account is disabled: see "user enable".')
  return report
}

function done(data: Record<string, unknown>, line: string): Report {
  return { exitCode: EXIT.fine, data: { ok: true, ...data }, lines: [line] }
}

function refused(userId: string, error: 'user_not_found' | 'last_admin'): Report {
  const line =
    error === 'last_admin'
      ? `${userId} is the last admin and stays one: make somebody else an admin first.`
      : `There is no local account ${userId}.`
  return { exitCode: EXIT.found, data: { ok: false, userId, error }, lines: [line] }
}
