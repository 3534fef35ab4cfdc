import type { AccountPrivileges, Accounts } from '@ticket-line/db'
import type { Passwords } from '@ticket-line/shared/passwords'
import type { Attempt, AttemptResult, SignInAttempts } from '../limits/sign-in-attempts.js'

export interface Credentials extends Attempt {
  password: string
}

export interface PasswordChange extends Credentials {
  newPassword: string
  /** The sign-in that stays valid. All others are revoked. */
  keptFamilyId?: string | undefined
}

/**
 * Everything that hashes a password. The dashboard's form, `POST /login` and Basic authentication
 * use it, so all of them share the limits of {@link SignInAttempts}.
 */
export interface SignIn {
  /** Unknown users, disabled accounts and wrong passwords give the same result at the same cost. */
  signIn(credentials: Credentials): Promise<AttemptResult<AccountPrivileges>>
  /** Fails if the user id is taken. */
  register(credentials: Credentials): Promise<AttemptResult<{ userId: string }>>
  /** Fails like `signIn`. */
  changePassword(change: PasswordChange): Promise<AttemptResult<AccountPrivileges>>
}

export interface SignInDeps {
  accounts: Pick<Accounts, 'find' | 'create' | 'setPassword'>
  passwords: Passwords
  attempts: SignInAttempts
}

export function createSignIn({ accounts, passwords, attempts }: SignInDeps): SignIn {
  async function findByPassword(userId: string, password: string) {
    const account = await accounts.find(userId)
    const matches = await passwords.verify(account?.passwordHash, password)
    return matches && account?.disabled === false ? account : undefined
  }

  return {
    signIn: ({ password, ...attempt }) =>
      attempts.run(attempt, () => findByPassword(attempt.userId, password)),
    register: ({ password, ...attempt }) =>
      attempts.run(attempt, async () => {
        const { userId } = attempt
        const passwordHash = await passwords.hash(password)
        const created = await accounts.create({ userId, passwordHash, role: 'user' })
        return created ? { userId } : undefined
      }),
    changePassword: ({ password, newPassword, keptFamilyId, ...attempt }) =>
      attempts.run(attempt, async () => {
        const account = await findByPassword(attempt.userId, password)
        if (account === undefined) return undefined
        const passwordHash = await passwords.hash(newPassword)
        // If another request has changed the password in the meantime, this one fails as if its
        // password were wrong.
        const replaces = account.passwordHash
        return accounts.setPassword(attempt.userId, { passwordHash, replaces, keptFamilyId })
      }),
  }
}
