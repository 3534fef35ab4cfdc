import type { Accounts } from '@ticket-line/db'
import type { Log } from '@ticket-line/shared'
import type { Passwords } from '@ticket-line/shared/passwords'

export interface FirstAdminDeps {
  accounts: Pick<Accounts, 'create' | 'find' | 'setPassword'>
  passwords: Passwords
  log: Log
}

/**
 * Makes the admin of `ADMIN_USER` if there is no such account. An admin of that name gets the
 * password of `ADMIN_PASSWORD`, which ends all earlier sign-ins. An account of that name that is no
 * admin, or is disabled, stays as it is: anybody may have registered the name, and an admin may
 * have disabled it on purpose.
 */
export async function ensureFirstAdmin(
  { accounts, passwords, log }: FirstAdminDeps,
  { userId, password }: { userId: string; password: string },
): Promise<void> {
  const account = await accounts.find(userId)
  if (account === undefined) {
    const passwordHash = await passwords.hash(password)
    // Another process may have been faster; then it did the same.
    const created = await accounts.create({ userId, passwordHash, role: 'admin' })
    if (created) log.info({ userId }, 'first admin made')
    return
  }
  if (account.role !== 'admin' || account.disabled) {
    log.warn(
      { userId },
      'ADMIN_USER names an account that is no admin or is disabled; it stays as it is',
    )
    return
  }
  if (await passwords.verify(account.passwordHash, password)) return
  const passwordHash = await passwords.hash(password)
  // Another process may have done the same meanwhile. Its change must not be repeated, which would
  // end sign-ins since then.
  const changed = await accounts.setPassword(userId, {
    passwordHash,
    replaces: account.passwordHash,
  })
  if (changed === undefined) return
  log.info(
    { audit: 'password_changed', actor: null, userId },
    'ADMIN_USER has the password of ADMIN_PASSWORD now; all earlier sign-ins have ended',
  )
}
