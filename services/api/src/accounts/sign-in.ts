import type { AccountPrivileges, Accounts } from '@ticket-line/db'
import type { Passwords } from '@ticket-line/shared/passwords'
import type { Attempt, AttemptResult, SignInAttempts } from '../limits/sign-in-attempts.js'

/** Somebody at the door, from an address. */
export interface Credentials extends Attempt {
  password: string
}

export interface PasswordChange extends Credentials {
  newPassword: string
  /** The sign-in that stays. All others end. */
  keptFamilyId?: string | undefined
}

/** The ways in that count against the limits: forms, `POST /login` and Basic all use the same. */
export interface SignIn {
  /**
   * An unknown user, a disabled account and a wrong password get the same answer, count the same
   * and cost the same.
   */
  signIn(credentials: Credentials): Promise<AttemptResult<AccountPrivileges>>
  /** Fails if the name is taken. */
  register(credentials: Credentials): Promise<AttemptResult<{ userId: string }>>
  /** Fails as `signIn` does. */
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
        // If two changes are sent at once, the password of the second one is wrong by now.
        const replaces = account.passwordHash
        return accounts.setPassword(attempt.userId, { passwordHash, replaces, keptFamilyId })
      }),
  }
}
