import type { AccountPrivileges, Accounts } from '@ticket-line/db'
import type { Attempt, AttemptResult, SignInAttempts } from '../limits/sign-in-attempts.js'
import type { Passwords } from './passwords.js'

/** Somebody at the door, from an address. */
export interface Credentials extends Attempt {
  password: string
}

/** The ways in that count against the limits: forms, `POST /login` and Basic all use the same. */
export interface SignIn {
  /** Unknown, shut out and wrong password fail alike, in what is said, in what is counted and in what it costs. */
  signIn(credentials: Credentials): Promise<AttemptResult<AccountPrivileges>>
  /** Fails where the name is taken. */
  register(credentials: Credentials): Promise<AttemptResult<AccountPrivileges>>
}

export interface SignInDeps {
  accounts: Pick<Accounts, 'find' | 'create'>
  passwords: Passwords
  attempts: SignInAttempts
}

export function createSignIn({ accounts, passwords, attempts }: SignInDeps): SignIn {
  return {
    signIn: ({ password, ...attempt }) =>
      attempts.run(attempt, async () => {
        const account = await accounts.find(attempt.userId)
        const matches = await passwords.verify(account?.passwordHash, password)
        return matches && account?.disabled === false ? account : undefined
      }),
    register: ({ password, ...attempt }) =>
      attempts.run(attempt, async () => {
        const { userId } = attempt
        const passwordHash = await passwords.hash(password)
        const created = await accounts.create({ userId, passwordHash, role: 'user' })
        return created ? { userId, role: 'user', disabled: false } : undefined
      }),
  }
}
