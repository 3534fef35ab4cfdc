import { createTicketLine, dataOf, hasCode } from '@ticket-line/client'
import { useEffect } from 'preact/hooks'
import { useStore } from '../store.js'
import {
  createSession,
  type SessionActions,
  type SessionDeps,
  type SessionState,
  type TabMessage,
} from './session.js'

export type { Credentials, SessionActions, SessionState } from './session.js'
export type { Role } from './token.js'

const HINT = 'ticket-line.signed-in'

/** How long a form repeats a request before it shows an error, ms. The default is a minute. */
const GIVE_UP_AFTER_MS = 5000

/** A client that adds no token, so that it can be used while a token is being renewed. */
const { api } = createTicketLine({ baseUrl: location.origin, giveUpAfterMs: GIVE_UP_AFTER_MS })

const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } })

const accounts: SessionDeps['accounts'] = {
  register: async (body) => void (await dataOf(api.POST('/register', { body }))),
  login: (body) => dataOf(api.POST('/login', { body })),
  refresh: () => dataOf(api.POST('/token/refresh')),
  logout: async (token) => void (await dataOf(api.POST('/logout', bearer(token)))),
  check: async (token) =>
    void (await dataOf(
      api.GET('/me/bookings', { params: { query: { limit: 1 } }, ...bearer(token) }),
    )),
}

/** If the browser forbids the storage, a reload signs the visitor out. */
const hint: SessionDeps['hint'] = {
  get() {
    try {
      return localStorage.getItem(HINT) !== null
    } catch {
      return false
    }
  },
  set(isSignedIn) {
    try {
      if (isSignedIn) localStorage.setItem(HINT, 'yes')
      else localStorage.removeItem(HINT)
    } catch {}
  },
}

const channel = new BroadcastChannel('ticket-line.session')

const session = createSession({
  accounts,
  hint,
  // Browsers have locks only on HTTPS and localhost.
  alone: (run) =>
    navigator.locks === undefined ? run() : navigator.locks.request('ticket-line.session', run),
  tabs: {
    send: (message) => channel.postMessage(message),
    onMessage: (listener) =>
      channel.addEventListener('message', ({ data }) => listener(data as TabMessage)),
  },
  nowMs: Date.now,
})

/** The access token for the next request, if somebody is signed in. */
export const presentToken = session.token

/** The signed-in user, and the calls that sign in and out. */
export function useSession(): SessionState & SessionActions {
  const state = useStore(session.state)
  const { signIn, register, signInWithToken, signOut, restore } = session
  return { ...state, signIn, register, signInWithToken, signOut, restore }
}

/**
 * Calls a function when somebody signs in again after a call failed because the sign-in had ended.
 *
 * @param error what the call threw
 */
export function useSignedInAgain(error: unknown, again: () => void): void {
  const isSignedIn = useSession().kind === 'signedIn'
  useEffect(() => {
    if (isSignedIn && hasCode(error, 'unauthorized')) again()
  }, [isSignedIn])
}

/**
 * Makes a call. If the API does not accept the token (401), it makes the call once more with a new
 * one. If there is no new one, the session has ended, and the page shows the sign-in.
 *
 * @example await withSession(() => client.book({ eventId }))
 * @throws what the call throws
 */
export async function withSession<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (!hasCode(error, 'unauthorized') || !(await recovered())) throw error
    return call()
  }
}

/** Called after a 401. @returns whether there is a new token */
export async function recovered(): Promise<boolean> {
  return session.recover().catch((error: unknown) => {
    if (hasCode(error, 'unauthorized', 'not_found')) return false
    throw error
  })
}
