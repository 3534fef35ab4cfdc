import { NoAnswerError, TicketLineError } from '@ticket-line/client'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { createSession, type TabMessage } from './session.js'
import { readToken } from './token.js'

const START_MS = 1_900_000_000_000
const LIFETIME_S = 900

/** A token as the API issues it. Nobody here verifies its signature. */
function tokenOf(claims: object): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  return `${encode({ alg: 'HS256' })}.${encode(claims)}.c2lnbmF0dXJl`
}

const problem = (status: number, code: 'unauthorized' | 'not_found' | 'invalid_credentials') =>
  new TicketLineError({ type: '', title: '', status, code, message: code, detail: code })
const refused = problem(401, 'unauthorized')
const noAccounts = problem(404, 'not_found')

const ada = { userId: 'ada', password: 'tall ferns by the river' }
const signedInAsAda = { kind: 'signedIn', userId: 'ada', role: 'user' }

/** A page, in a browser that may have signed in before. */
function pageOf({ hasSignedIn = false } = {}) {
  let count = 0
  let nowMs = START_MS
  const grant = async () => ({
    token: tokenOf({ sub: 'ada', role: 'user', exp: 2_000_000_000, count: ++count }),
    expiresIn: LIFETIME_S,
  })
  const accounts = {
    register: vi.fn(async () => undefined),
    login: vi.fn(grant),
    refresh: vi.fn(grant),
    logout: vi.fn(async () => undefined),
    check: vi.fn(async () => undefined),
  }
  const hint = {
    get: () => hasSignedIn,
    set(isSignedIn: boolean) {
      hasSignedIn = isSignedIn
    },
  }
  const sent: TabMessage[] = []
  let hear: (message: TabMessage) => void = () => undefined
  let locks = 0
  const session = createSession({
    accounts,
    hint,
    alone(run) {
      locks += 1
      return run()
    },
    tabs: {
      send: (message) => void sent.push(message),
      onMessage: (listener) => {
        hear = listener
      },
    },
    nowMs: () => nowMs,
  })
  return {
    session,
    accounts,
    locks: () => locks,
    sent,
    hear: (message: TabMessage) => hear(message),
    state: () => session.state.get(),
    hasHint: () => hasSignedIn,
    pass: (seconds: number) => {
      nowMs += seconds * 1000
    },
  }
}

describe('the session of a page', () => {
  it('makes no request if this browser never signed in', async () => {
    const { session, accounts, state } = pageOf()
    expect(state()).toEqual({ kind: 'signedOut' })
    expect(await session.token()).toBeUndefined()
    expect(accounts.refresh).not.toHaveBeenCalled()
  })

  it('gets a token with the refresh cookie if this browser signed in', async () => {
    const { session, state } = pageOf({ hasSignedIn: true })
    expect(state()).toEqual({ kind: 'loading' })
    // A call that is made meanwhile waits for it.
    expect(await session.token()).toBeDefined()
    expect(state()).toEqual(signedInAsAda)
  })

  it('has ended if the API does not accept the refresh cookie', async () => {
    const { session, accounts, state, hasHint } = pageOf()
    accounts.refresh.mockRejectedValue(refused)
    await session.restore()
    expect(state()).toEqual({ kind: 'signedOut', reason: 'ended' })
    expect(hasHint()).toBe(false)
  })

  it('can be restored later if the API does not answer', async () => {
    const { session, accounts, state, hasHint } = pageOf({ hasSignedIn: true })
    await session.token()
    accounts.refresh.mockRejectedValueOnce(new NoAnswerError('no'))
    await session.restore()
    expect(state()).toEqual({ kind: 'signedOut', reason: 'unreachable' })
    expect(hasHint()).toBe(true)
    await session.restore()
    expect(state()).toEqual(signedInAsAda)
  })
})

describe('signing in', () => {
  it('keeps the token in memory and tells other tabs', async () => {
    const { session, state, sent, hasHint } = pageOf()
    await session.signIn(ada)
    expect(state()).toEqual(signedInAsAda)
    expect(hasHint()).toBe(true)
    expect(sent).toEqual(['signedIn'])
  })

  it('changes nothing if the password is wrong', async () => {
    const { session, accounts, state, hasHint } = pageOf()
    accounts.login.mockRejectedValue(problem(401, 'invalid_credentials'))
    await expect(session.signIn(ada)).rejects.toMatchObject({ code: 'invalid_credentials' })
    expect(state()).toEqual({ kind: 'signedOut' })
    expect(hasHint()).toBe(false)
  })

  it('follows a registration', async () => {
    const { session, accounts, state } = pageOf()
    await session.register(ada)
    expect(accounts.register).toHaveBeenCalledWith(ada)
    expect(state()).toEqual(signedInAsAda)
  })

  it('in another tab signs in this one, too', async () => {
    const { hear, state } = pageOf()
    hear('signedIn')
    await vi.waitFor(() => expect(state()).toEqual(signedInAsAda))
  })
})

describe('signing out', () => {
  it('ends the sign-in of the token and tells other tabs', async () => {
    const { session, accounts, state, sent, hasHint } = pageOf()
    await session.signIn(ada)
    const token = await session.token()
    await session.signOut()
    expect(accounts.logout).toHaveBeenCalledWith(token)
    expect(state()).toEqual({ kind: 'signedOut' })
    expect(hasHint()).toBe(false)
    expect(sent).toEqual(['signedIn', 'signedOut'])
  })

  it('first renews an expired token, because an invalid one names no sign-in', async () => {
    const { session, accounts, pass } = pageOf()
    await session.signIn(ada)
    const old = await session.token()
    pass(LIFETIME_S + 1)
    await session.signOut()
    expect(accounts.logout).toHaveBeenCalledOnce()
    expect(accounts.logout).not.toHaveBeenCalledWith(old)
  })

  it('in another tab signs out this one, too', async () => {
    const { session, hear, state } = pageOf()
    await session.signIn(ada)
    hear('signedOut')
    expect(state()).toEqual({ kind: 'signedOut' })
    expect(await session.token()).toBeUndefined()
  })

  it('keeps the sign-in if the API does not answer', async () => {
    const { session, accounts, state } = pageOf()
    await session.signIn(ada)
    accounts.logout.mockRejectedValue(new NoAnswerError('no'))
    await expect(session.signOut()).rejects.toThrow('no')
    expect(state()).toEqual(signedInAsAda)
  })
})

describe('a token', () => {
  let page: ReturnType<typeof pageOf>
  beforeEach(async () => {
    page = pageOf()
    await page.session.signIn(ada)
  })

  it('is used until a minute before it expires', async () => {
    const { session, accounts, pass } = page
    const first = await session.token()
    pass(LIFETIME_S - 60)
    expect(await session.token()).toBe(first)
    expect(accounts.refresh).not.toHaveBeenCalled()
    pass(1)
    expect(await session.token()).not.toBe(first)
  })

  it('is renewed once, however many calls need it, and by one tab at a time', async () => {
    const { session, accounts, locks, pass } = page
    pass(LIFETIME_S)
    const tokens = await Promise.all([session.token(), session.token(), session.recover()])
    expect(tokens[0]).toBe(tokens[1])
    expect(accounts.refresh).toHaveBeenCalledOnce()
    expect(locks()).toBe(1)
  })

  it('is used until it expires if the renewal gets no answer', async () => {
    const { session, accounts, state, pass } = page
    const first = await session.token()
    accounts.refresh.mockRejectedValue(new NoAnswerError('no'))
    pass(LIFETIME_S - 30)
    expect(await session.token()).toBe(first)
    expect(state()).toEqual(signedInAsAda)
  })

  it('is renewed after the API refused it', async () => {
    const first = await page.session.token()
    expect(await page.session.recover()).toBe(true)
    expect(await page.session.token()).not.toBe(first)
  })

  it('that cannot be renewed ends the session', async () => {
    const { session, accounts, state } = page
    accounts.refresh.mockRejectedValue(refused)
    await expect(session.recover()).rejects.toBe(refused)
    expect(state()).toEqual({ kind: 'signedOut', reason: 'ended' })
    expect(await session.token()).toBeUndefined()
    expect(await session.recover()).toBe(false)
  })

  it('of an installation that has no accounts any more ends the session', async () => {
    const { session, accounts, state } = page
    accounts.refresh.mockRejectedValue(noAccounts)
    await expect(session.recover()).rejects.toBe(noAccounts)
    expect(state()).toEqual({ kind: 'signedOut' })
  })
})

describe('a token of another issuer', () => {
  const token = tokenOf({ sub: 'zoë', role: 'organizer', exp: START_MS / 1000 + 60 })

  it('signs in only this page, until it expires', async () => {
    const { session, accounts, state, sent, hasHint } = pageOf()
    await session.signInWithToken(token)
    expect(accounts.check).toHaveBeenCalledWith(token)
    expect(state()).toEqual({ kind: 'signedIn', userId: 'zoë', role: 'organizer' })
    expect(await session.token()).toBe(token)
    expect({ sent, hasHint: hasHint() }).toEqual({ sent: [], hasHint: false })

    expect(await session.recover()).toBe(false)
    expect(state()).toEqual({ kind: 'signedOut', reason: 'ended' })
    expect(accounts.refresh).not.toHaveBeenCalled()
  })

  it('is refused if the API does not accept it', async () => {
    const { session, accounts, state } = pageOf()
    accounts.check.mockRejectedValue(refused)
    await expect(session.signInWithToken(token)).rejects.toBe(refused)
    expect(state()).toEqual({ kind: 'signedOut' })
  })

  it('is not sent to the API if it is not an access token', async () => {
    const { session, accounts } = pageOf()
    for (const text of ['', 'tlk_x_y', 'a.b.c', `a.${Buffer.from('null').toString('base64')}.c`])
      await expect(session.signInWithToken(text)).rejects.toThrow('not an access token')
    expect(accounts.check).not.toHaveBeenCalled()
  })
})

it('reads the user and the role of a token, and reads an unknown role as user', () => {
  expect(readToken(tokenOf({ sub: 'ada', exp: 5, role: 'king' }))).toEqual({
    userId: 'ada',
    role: 'user',
    expiresAtMs: 5000,
  })
})
