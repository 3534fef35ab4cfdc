import { hasCode } from '@ticket-line/client'
import { createStore, type Store } from '../store.js'
import { type Role, readToken } from './token.js'

/**
 * Whether somebody is signed in.
 *
 * - `loading`: this browser signed in before, and the page is getting an access token.
 * - `signedOut`: `reason` is `ended` if there was a sign-in that the API does not accept any more,
 *   and `unreachable` if the API did not answer.
 * - `signedIn`: the page has an access token. `role` is what the token says, for display only.
 */
export type SessionState =
  | { kind: 'loading' }
  | { kind: 'signedOut'; reason?: 'ended' | 'unreachable' }
  | { kind: 'signedIn'; userId: string; role: Role }

export interface Credentials {
  userId: string
  password: string
}

/** The calls of the API that concern sign-ins. The browser adds the refresh cookie. */
export interface AccountCalls {
  register(credentials: Credentials): Promise<void>
  login(credentials: Credentials): Promise<{ token: string; expiresIn: number }>
  refresh(): Promise<{ token: string; expiresIn: number }>
  logout(token: string): Promise<void>
  /** @throws TicketLineError `unauthorized` if the API does not accept the token */
  check(token: string): Promise<void>
}

/** What one tab tells the others. */
export type TabMessage = 'signedIn' | 'signedOut'

export interface SessionDeps {
  accounts: AccountCalls
  /**
   * Whether this browser has signed in. It saves visitors who never did the request for an access
   * token.
   */
  hint: { get(): boolean; set(isSignedIn: boolean): void }
  /** Runs a function while no other tab of this origin runs one. */
  alone: <T>(run: () => Promise<T>) => Promise<T>
  tabs: {
    send(message: TabMessage): void
    onMessage(listener: (message: TabMessage) => void): void
  }
  nowMs(): number
}

export interface SessionActions {
  /** @throws TicketLineError `invalid_credentials`; `not_found` if there are no local accounts */
  signIn(credentials: Credentials): Promise<void>
  /** Creates an account and signs in. @throws TicketLineError, for example `user_exists` */
  register(credentials: Credentials): Promise<void>
  /**
   * Signs in with a token of the installation's issuer. It is kept until the page is closed.
   *
   * @throws TicketLineError `unauthorized`, or an Error if the text is no token
   */
  signInWithToken(token: string): Promise<void>
  signOut(): Promise<void>
  /** Tries again to get an access token, after `unreachable`. */
  restore(): Promise<void>
}

export interface Session extends SessionActions {
  state: Pick<Store<SessionState>, 'get' | 'subscribe'>
  /** The access token for the next request. It is renewed a minute before it expires. */
  token(): Promise<string | undefined>
  /**
   * Called after a 401. Renews the token.
   *
   * @returns true if the request should be sent again
   */
  recover(): Promise<boolean>
}

/** A token is renewed this long before it expires, so that it is valid when a call arrives, ms. */
const RENEW_BEFORE_MS = 60_000

interface Access {
  token: string
  expiresAtMs: number
  /** False for a token that the user pasted, because it has no refresh cookie. */
  isRenewable: boolean
}

/**
 * Keeps the access token of this page in memory, and gets new ones with the refresh cookie, which
 * no script can read.
 */
export function createSession({ accounts, hint, alone, tabs, nowMs }: SessionDeps): Session {
  const state = createStore<SessionState>({ kind: 'signedOut' })
  let access: Access | undefined
  let renewal: Promise<void> | undefined

  function accept(token: string, expiresAtMs: number, isRenewable: boolean): void {
    const { userId, role } = readToken(token)
    access = { token, expiresAtMs, isRenewable }
    const shown = state.get()
    if (shown.kind !== 'signedIn' || shown.userId !== userId || shown.role !== role)
      state.set({ kind: 'signedIn', userId, role })
  }

  function end(reason?: 'ended' | 'unreachable'): void {
    access = undefined
    if (reason !== 'unreachable') hint.set(false)
    state.set(reason === undefined ? { kind: 'signedOut' } : { kind: 'signedOut', reason })
  }

  async function exchange(): Promise<void> {
    try {
      const { token, expiresIn } = await accounts.refresh()
      accept(token, nowMs() + expiresIn * 1000, true)
    } catch (error) {
      if (hasCode(error, 'unauthorized')) end('ended')
      // The installation has no local accounts any more.
      else if (hasCode(error, 'not_found')) end()
      throw error
    }
  }

  /**
   * A refresh token can be exchanged once. If two tabs exchanged the same one, the API would treat
   * it as stolen and end the sign-in. So only one tab renews at a time.
   */
  function renew(): Promise<void> {
    renewal ??= alone(exchange).finally(() => {
      renewal = undefined
    })
    return renewal
  }

  async function restore(): Promise<void> {
    state.set({ kind: 'loading' })
    await renew().catch(() => {
      if (state.get().kind === 'loading') end('unreachable')
    })
  }

  async function signIn(credentials: Credentials): Promise<void> {
    const { token, expiresIn } = await accounts.login(credentials)
    hint.set(true)
    accept(token, nowMs() + expiresIn * 1000, true)
    tabs.send('signedIn')
  }

  tabs.onMessage((message) => {
    if (message === 'signedOut') end()
    else if (state.get().kind === 'signedOut') void restore()
  })
  async function token(): Promise<string | undefined> {
    if (state.get().kind === 'loading') await renewal?.catch(() => undefined)
    if (access === undefined) return undefined
    const leftMs = access.expiresAtMs - nowMs()
    if (access.isRenewable && leftMs < RENEW_BEFORE_MS) await renew().catch(() => undefined)
    return access?.token
  }

  if (hint.get()) void restore()

  return {
    state,
    token,
    restore,
    signIn,
    async register(credentials) {
      await accounts.register(credentials)
      await signIn(credentials)
    },
    async signInWithToken(token) {
      const { expiresAtMs } = readToken(token)
      await accounts.check(token)
      accept(token, expiresAtMs, false)
    },
    async signOut() {
      // `/logout` ends the sign-in that the token names, but only if the token is still valid.
      const present = await token()
      if (present !== undefined) await accounts.logout(present)
      end()
      tabs.send('signedOut')
    },
    async recover() {
      if (access?.isRenewable) await renew()
      else if (access !== undefined) end('ended')
      return access !== undefined
    },
  }
}
