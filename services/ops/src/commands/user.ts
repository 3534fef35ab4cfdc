import { randomBytes } from 'node:crypto'
import { type Accounts, createAccounts, type ListedAccount } from '@ticket-line/db'
import { ROLES, type Role } from '@ticket-line/shared'
import { hashPassword } from '@ticket-line/shared/passwords'
import { type Arguments, readUserId, readWord, UsageError } from '../arguments.js'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { EXIT, type Report, table } from '../report.js'

const ACTIONS = ['list', 'promote', 'role', 'reset-password', 'disable', 'enable'] as const

export const user: Command = {
  name: 'user',
  summary: 'list accounts, change roles, reset passwords, disable and enable',
  usage: `user <action> [options] [--json]

  user list [<prefix>]          list accounts, or only those whose id starts with this
    --role <role>               only accounts with this role
    --limit <n>                 at most n accounts (default 100)
  user promote <id>             make a user an admin
  user role <id> <role>         give a user a role: user, organizer or admin
  user reset-password <id>      set a random password and print it
  user disable <id>             end all sign-ins of an account and refuse new ones
  user enable <id>              let the account sign in again

Needs only DATABASE_URL and no admin's password: whoever may write to the database may use
it. Running processes apply a change within a second. Like any change of a password,
resetting one ends all sign-ins of the account. The last admin can be neither demoted nor
disabled. Put "--" before an id that starts with "-".

Exit code 1: the account does not exist, or it is the last admin.`,
  options: { role: { type: 'string' }, limit: { type: 'string' } },
  takesWords: true,
  run: (context, args) => manageUser(context, readUserArguments(args)),
}

/** Random bytes in a generated password. */
const PASSWORD_BYTES = 18

type UserArguments =
  | { action: 'list'; prefix: string; role: Role | undefined; limit: number }
  | { action: 'role'; userId: string; role: Role }
  | { action: 'disabled'; userId: string; disabled: boolean }
  | { action: 'reset-password'; userId: string }

/** @throws UsageError naming what is wrong */
function readUserArguments(args: Arguments): UserArguments {
  const [word, first, second] = args.words
  const action = readWord('the action', word, ACTIONS)
  if (args.words.length > (action === 'role' ? 3 : 2)) {
    throw new UsageError(`"${args.words.at(-1)}" is one word too many`)
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

async function manageUser(context: Context, args: UserArguments): Promise<Report> {
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
  const text = users.length === 0 ? ['There is no such account.'] : table(users.map(row))
  if (more)
    text.push(`There are more than these ${limit}: raise --limit, or give the start of the id.`)
  return { exitCode: EXIT.fine, data: { ok: true, users, more }, text }
}

async function resetPassword(accounts: Accounts, userId: string): Promise<Report> {
  const password = randomBytes(PASSWORD_BYTES).toString('base64url')
  const account = await accounts.setPassword(userId, { passwordHash: await hashPassword(password) })
  if (account === undefined) return refused(userId, 'user_not_found')
  const report = done({ userId, password }, `The password of ${userId} is now ${password}`)
  report.text.push('All earlier sign-ins have ended. The user can change it with PUT /me/password.')
  if (account.disabled) report.text.push('The account is disabled: see "user enable".')
  return report
}

function done(data: Record<string, unknown>, line: string): Report {
  return { exitCode: EXIT.fine, data: { ok: true, ...data }, text: [line] }
}

function refused(userId: string, error: 'user_not_found' | 'last_admin'): Report {
  const line =
    error === 'last_admin'
      ? `${userId} is the last admin. Make somebody else an admin first.`
      : `There is no local account ${userId}.`
  return { exitCode: EXIT.found, data: { ok: false, userId, error }, text: [line] }
}
