import { AppError } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { AccountOverrides } from '../auth/account-overrides.js'
import { ACCESS_TOKEN_LIFETIME_S, type TokenIssuer } from '../auth/issue-token.js'
import { audit } from '../http/audit.js'
import { readBody } from '../http/body.js'
import type { AppEnv } from '../http/env.js'
import { invalidRequest, readQuery } from '../http/input.js'
import { parsePrefer, preferenceApplied } from '../http/prefer.js'
import type { Principal } from '../http/principal.js'
import { defineRoute, principalOf, type Reply, type Route } from '../http/route.js'
import type { KeyedLimit, Limits } from '../limits/index.js'
import { refuse, showLimit } from '../limits/reply.js'
import { isCommonPassword } from './passwords.js'
import type { RefreshCookie } from './refresh-cookie.js'
import {
  credentialsSchema,
  passwordChangeSchema,
  refreshSchema,
  registeredSchema,
  registrationSchema,
  tokenSchema,
} from './schemas.js'
import { isFamilyId, type Session, type Sessions } from './sessions.js'
import type { SignIn } from './sign-in.js'

export interface AccountDeps {
  signIn: SignIn
  sessions: Sessions
  issueToken: TokenIssuer
  refreshCookie: RefreshCookie
  limits: Pick<Limits, 'renewal' | 'signOut'>
  overrides: Pick<AccountOverrides, 'applyLocally'>
}

/** Registration, sign-in, token refresh, sign-out and password change of local accounts. */
export function accountRoutes(deps: AccountDeps): Route[] {
  return [
    registerRoute(deps),
    loginRoute(deps),
    refreshRoute(deps),
    logoutRoute(deps),
    passwordRoute(deps),
  ]
}

/** Message of `user_exists`. */
export const USER_EXISTS = 'This user id is taken.'

function registerRoute({ signIn }: AccountDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/register',
    auth: 'none',
    limit: 'register',
    body: registrationSchema,
    docs: {
      operationId: 'register',
      tag: 'Accounts',
      summary: 'Create an account',
      description:
        'Refuses the 3,000 most common passwords. Refuses user ids that can look like others: ids with invisible characters, with white space at the start or end, or not in NFC.',
      problems: ['user_exists', 'busy', 'unavailable', 'unknown'],
    },
    responses: { 201: { description: 'The account was created.', schema: registeredSchema } },
    async handler(c, { body }, reply) {
      refuseCommonPassword(body.password, '/password')
      const result = await signIn.register({ ...body, address: c.get('clientAddress') })
      if (result.kind === 'limited') return refuse(c, result.state, 'sign_in')
      showLimit(c, result.state)
      if (result.kind === 'failed') throw new AppError('user_exists', USER_EXISTS)
      return reply(c, 201, { userId: result.value.userId })
    },
  })
}

const prefer = {
  Prefer: '`return=representation` also returns the refresh token in the body (RFC 7240).',
}
const granted = {
  200: {
    description: 'The tokens.',
    schema: tokenSchema,
    headers: ['Set-Cookie', 'Preference-Applied'],
  },
} as const

function loginRoute(deps: AccountDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/login',
    auth: 'none',
    limit: 'login',
    body: credentialsSchema,
    docs: {
      operationId: 'login',
      tag: 'Accounts',
      summary: 'Sign in with a password',
      description: 'An unknown user and a wrong password give the same response in the same time.',
      requestHeaders: prefer,
      problems: ['invalid_credentials', 'busy', 'unavailable', 'unknown'],
    },
    responses: granted,
    async handler(c, { body }, reply) {
      const result = await deps.signIn.signIn({ ...body, address: c.get('clientAddress') })
      if (result.kind === 'limited') return refuse(c, result.state, 'sign_in')
      showLimit(c, result.state)
      if (result.kind === 'failed') throw invalidCredentials(WRONG_CREDENTIALS)
      const session = await deps.sessions.start(result.value)
      // The account was disabled, or its password was changed, after the password was checked.
      if (session === undefined) throw invalidCredentials(WRONG_CREDENTIALS)
      return grant(c, result.value, session, deps, reply)
    },
  })
}

function refreshRoute(deps: AccountDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/token/refresh',
    auth: 'none',
    limit: 'by-handler',
    docs: {
      operationId: 'refreshToken',
      tag: 'Accounts',
      summary: 'Exchange a refresh token for new tokens',
      description:
        'Reads the refresh token from the body if there is one, otherwise from the cookie. A refresh token can be exchanged once. If it is sent again, all refresh tokens of its sign-in are revoked.',
      optionalBody: refreshSchema,
      requestHeaders: prefer,
      problems: ['invalid_request', 'unauthorized', 'unavailable', 'unknown'],
    },
    responses: granted,
    async handler(c, _input, reply) {
      const counted = await readCounted(c, deps, deps.limits.renewal)
      if (counted.kind === 'limited') return counted.refusal
      const { refreshToken } = counted
      const exchanged =
        refreshToken === undefined ? undefined : await deps.sessions.exchange(refreshToken)
      if (exchanged === undefined) {
        deps.refreshCookie.clear(c)
        throw new AppError(
          'unauthorized',
          'The refresh token is missing or no longer valid. Please sign in again.',
          { headers: { 'WWW-Authenticate': 'Bearer' } },
        )
      }
      return grant(c, exchanged.principal, exchanged.session, deps, reply)
    },
  })
}

function logoutRoute(deps: AccountDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/logout',
    auth: 'optional',
    limit: 'by-handler',
    docs: {
      operationId: 'logout',
      tag: 'Accounts',
      summary: 'Sign out',
      description:
        'Ends the sign-in of the access token, and that of the refresh token in the body or the cookie. Access tokens stay valid until they expire.',
      optionalBody: refreshSchema,
      problems: ['invalid_request', 'unavailable', 'unknown'],
    },
    responses: {
      204: {
        description: 'The sign-in has ended, and the cookie is cleared.',
        headers: ['Set-Cookie'],
      },
    },
    async handler(c, _input, reply) {
      const counted = await readCounted(c, deps, deps.limits.signOut)
      if (counted.kind === 'limited') return counted.refusal
      const { sessions, refreshCookie } = deps
      if (counted.refreshToken !== undefined) await sessions.end(counted.refreshToken)
      // Browsers send the cookie only to `/token`. They sign out with their access token, which
      // names its sign-in. Tokens of other issuers have no origin.
      const familyId = c.get('principal')?.origin?.familyId
      if (familyId !== undefined) await sessions.endFamily(familyId)
      refreshCookie.clear(c)
      return reply(c, 204, null)
    },
  })
}

function passwordRoute({ signIn, overrides }: AccountDeps): Route {
  return defineRoute({
    method: 'PUT',
    path: '/me/password',
    auth: 'required',
    limit: 'login',
    body: passwordChangeSchema,
    docs: {
      operationId: 'changePassword',
      tag: 'Accounts',
      summary: 'Change my password',
      description:
        'Revokes all other sign-ins of the account within one second: their access tokens, refresh tokens and dashboard sessions. The sign-in that the access token of this request comes from stays valid. A wrong password counts as a failed sign-in. `newPassword` must not be one of the 3,000 most common passwords.',
      problems: ['invalid_credentials', 'busy', 'unavailable', 'unknown'],
    },
    responses: { 204: { description: 'The password was changed.' } },
    async handler(c, { body: { password, newPassword } }, reply) {
      refuseCommonPassword(newPassword, '/newPassword')
      const { userId, external, origin } = principalOf(c)
      // A local account with the same name belongs to somebody else.
      if (external) throw invalidCredentials('You have no local account.')
      const familyId = origin?.familyId
      const keptFamilyId = familyId !== undefined && isFamilyId(familyId) ? familyId : undefined
      const address = c.get('clientAddress')
      const change = { userId, password, newPassword, address, keptFamilyId }
      const result = await signIn.changePassword(change)
      if (result.kind === 'limited') return refuse(c, result.state, 'sign_in')
      showLimit(c, result.state)
      if (result.kind === 'failed') throw invalidCredentials('The password is wrong.')
      overrides.applyLocally(result.value)
      audit(c, 'password_changed', { userId })
      return reply(c, 204, null)
    },
  })
}

function refuseCommonPassword(password: string, pointer: string): void {
  if (!isCommonPassword(password)) return
  throw invalidRequest('This password is one of the most common ones. Please choose another.', [
    { pointer, detail: 'is one of the most common passwords' },
  ])
}

/** Message of a failed sign-in, for an unknown user as well as for a wrong password. */
export const WRONG_CREDENTIALS = 'The user id or password is wrong.'

function invalidCredentials(message: string): AppError {
  // A 401 needs a challenge (RFC 9110, section 15.5.2).
  return new AppError('invalid_credentials', message, { headers: { 'WWW-Authenticate': 'Bearer' } })
}

type Counted =
  | { kind: 'limited'; refusal: Response }
  | { kind: 'within'; refreshToken: string | undefined }

/**
 * Reads the refresh token and counts the request by the sign-in of the token, so that other clients
 * at the same address cannot use up its limit. A request without a refresh token of this
 * installation counts by user or address.
 */
async function readCounted(
  c: Context<AppEnv>,
  { sessions, refreshCookie }: AccountDeps,
  limit: KeyedLimit,
): Promise<Counted> {
  let refreshToken: string | undefined
  let malformed: unknown
  try {
    refreshToken = await readRefreshToken(c, refreshCookie)
    readQuery(c, undefined)
  } catch (error) {
    malformed = error
  }
  const familyId = refreshToken === undefined ? undefined : sessions.familyOf(refreshToken)
  const refusal = await limit(c, familyId === undefined ? undefined : `f:${familyId}`)
  // 429 comes before 400.
  if (refusal !== undefined) return { kind: 'limited', refusal }
  if (malformed !== undefined) throw malformed
  return { kind: 'within', refreshToken }
}

/** Reads the refresh token from the body if there is one, otherwise from the cookie. */
async function readRefreshToken(
  c: Context<AppEnv>,
  cookie: RefreshCookie,
): Promise<string | undefined> {
  if (hasBody(c)) return (await readBody(c, refreshSchema)).refreshToken
  return cookie.read(c)
}

/** Looks at the length headers, because many clients send a media type even without a body. */
function hasBody(c: Context<AppEnv>): boolean {
  const length = c.req.header('content-length')
  if (length !== undefined) return Number(length) > 0
  return c.env?.incoming === undefined
    ? c.req.raw.body !== null
    : c.req.header('transfer-encoding') !== undefined
}

/** Sends an access token in the body and the refresh token as a cookie. */
async function grant(
  c: Context<AppEnv>,
  principal: Pick<Principal, 'userId' | 'role'>,
  session: Session,
  { issueToken, refreshCookie }: AccountDeps,
  reply: Reply<typeof granted>,
): Promise<Response> {
  const token = await issueToken(principal, session)
  refreshCookie.set(c, session)
  const body = { token, tokenType: 'Bearer' as const, expiresIn: ACCESS_TOKEN_LIFETIME_S }
  const preferences = parsePrefer(c.req.header('prefer'))
  if (preferences.return !== 'representation') return reply(c, 200, body)
  const applied = preferenceApplied({ return: 'representation' }) ?? ''
  return reply(
    c,
    200,
    { ...body, refreshToken: session.refreshToken },
    { 'preference-applied': applied },
  )
}
