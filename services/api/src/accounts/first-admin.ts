import type { Accounts } from '@ticket-line/db'
import type { Log } from '@ticket-line/shared'
import type { Passwords } from '@ticket-line/shared/passwords'

export interface FirstAdminDeps {
  accounts: Pick<Accounts, 'create' | 'find' | 'setPassword'>
  passwords: Passwords
  log: Log
}

/**
 * Creates the account of `ADMIN_USER` as an admin if it does not exist. If it is an admin with
 * another password, sets the password to `ADMIN_PASSWORD`, which revokes its earlier sign-ins. Does
 * not change an account that is disabled or not an admin: anybody may have registered the name, or
 * an admin may have disabled the account on purpose.
 */
export async function ensureFirstAdmin(
  { accounts, passwords, log }: FirstAdminDeps,
  { userId, password }: { userId: string; password: string },
): Promise<void> {
  const account = await accounts.find(userId)
  if (account === undefined) {
    const passwordHash = await passwords.hash(password)
    // False if another process has created the account in the meantime.
    const created = await accounts.create({ userId, passwordHash, role: 'admin' })
    if (created) log.info({ userId }, 'created the first admin')
    return
  }
  if (account.role !== 'admin' || account.disabled) {
    log.warn({ userId }, 'did not change the account of ADMIN_USER: it is disabled or not an admin')
    return
  }
  if (await passwords.verify(account.passwordHash, password)) return
  const passwordHash = await passwords.hash(password)
  // If another process has set the same password in the meantime, setting it again would revoke the
  // sign-ins since then. The change therefore applies only to the hash that was read.
  const changed = await accounts.setPassword(userId, {
    passwordHash,
    replaces: account.passwordHash,
  })
  if (changed === undefined) return
  log.info(
    { audit: 'password_changed', actor: null, userId },
    'set the password of ADMIN_USER to ADMIN_PASSWORD and revoked its earlier sign-ins',
  )
}
