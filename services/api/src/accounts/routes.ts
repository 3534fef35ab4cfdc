import { AppError } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { AccountOverrides } from '../auth/account-overrides.js'
import { ACCESS_TOKEN_LIFETIME_S, type TokenIssuer } from '../auth/issue-token.js'
import { audit } from '../http/audit.js'
import { invalidRequest, readBody, readQuery } from '../http/body.js'
import type { AppEnv } from '../http/env.js'
import { parsePrefer, preferenceApplied } from '../http/prefer.js'
import type { Principal } from '../http/principal.js'
import { reply } from '../http/reply.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import type { KeyedLimit, Limits } from '../limits/index.js'
import { refuse, showLimit } from '../limits/reply.js'
import { isCommonPassword } from './common-passwords.js'
import { loginDocs, logoutDocs, passwordDocs, refreshDocs, registerDocs } from './docs.js'
import type { RefreshCookie } from './refresh-cookie.js'
import {
  credentialsSchema,
  passwordChangeSchema,
  refreshSchema,
  registrationSchema,
} from './schemas.js'
import { isFamilyId, type Session, type Sessions } from './sessions.js'
import type { SignIn } from './sign-in.js'

export interface AccountDeps {
  signIn: SignIn
  sessions: Sessions
  issueToken: TokenIssuer
  refreshCookie: RefreshCookie
  limits: Pick<Limits, 'renewal' | 'signOut'>
  overrides: Pick<AccountOverrides, 'changed'>
}

/** Registration, sign-in, exchange, sign-out and change of password of local accounts. */
export function accountRoutes(deps: AccountDeps): Route[] {
  return [
    defineRoute({
      method: 'POST',
      path: '/register',
      auth: 'none',
      limit: 'register',
      body: registrationSchema,
      docs: registerDocs,
      handler: (c, { body }) => register(c, body, deps),
    }),
    defineRoute({
      method: 'POST',
      path: '/login',
      auth: 'none',
      limit: 'login',
      body: credentialsSchema,
      docs: loginDocs,
      handler: (c, { body }) => login(c, body, deps),
    }),
    defineRoute({
      method: 'POST',
      path: '/token/refresh',
      auth: 'none',
      limit: 'by-handler',
      docs: refreshDocs,
      handler: (c) => refresh(c, deps),
    }),
    defineRoute({
      method: 'POST',
      path: '/logout',
      auth: 'optional',
      limit: 'by-handler',
      docs: logoutDocs,
      handler: (c) => logout(c, deps),
    }),
    defineRoute({
      method: 'PUT',
      path: '/me/password',
      auth: 'required',
      limit: 'login',
      body: passwordChangeSchema,
      docs: passwordDocs,
      handler: (c, { body }) => changePassword(c, body, deps),
    }),
  ]
}

interface Body {
  userId: string
  password: string
}

function refuseCommonPassword(password: string, pointer: string): void {
  if (!isCommonPassword(password)) return
  throw invalidRequest('This password is one of the most common ones, please choose another.', [
    { pointer, detail: 'is one of the most common passwords' },
  ])
}

async function register(
  c: Context<AppEnv>,
  body: Body,
  { signIn }: AccountDeps,
): Promise<Response> {
  refuseCommonPassword(body.password, '/password')
  const result = await signIn.register({ ...body, address: c.get('clientAddress') })
  if (result.kind === 'limited') return refuse(c, result.state)
  showLimit(c, result.state)
  if (result.kind === 'failed') throw new AppError('user_exists', 'This user id is taken.')
  return reply(c, 201, { userId: result.value.userId })
}

async function login(c: Context<AppEnv>, body: Body, deps: AccountDeps): Promise<Response> {
  const result = await deps.signIn.signIn({ ...body, address: c.get('clientAddress') })
  if (result.kind === 'limited') return refuse(c, result.state)
  showLimit(c, result.state)
  if (result.kind === 'failed') throw invalidCredentials('User id or password is wrong.')
  const session = await deps.sessions.start(result.value)
  // The account was disabled or got another password in this moment.
  if (session === undefined) throw invalidCredentials('User id or password is wrong.')
  return grant(c, result.value, session, deps)
}

function invalidCredentials(message: string): AppError {
  // RFC 9110, section 15.5.2: a 401 needs a challenge.
  return new AppError('invalid_credentials', message, { headers: { 'WWW-Authenticate': 'Bearer' } })
}

/** Ends all sign-ins of the caller except the one that this request's token comes from. */
async function changePassword(
  c: Context<AppEnv>,
  { password, newPassword }: { password: string; newPassword: string },
  { signIn, overrides }: AccountDeps,
): Promise<Response> {
  refuseCommonPassword(newPassword, '/newPassword')
  const { userId, external, origin } = principalOf(c)
  // The local account of that name belongs to somebody else.
  if (external) throw invalidCredentials('There is no local account of yours.')
  const familyId = origin?.familyId
  const keptFamilyId = familyId !== undefined && isFamilyId(familyId) ? familyId : undefined
  const address = c.get('clientAddress')
  const result = await signIn.changePassword({
    userId,
    password,
    newPassword,
    address,
    keptFamilyId,
  })
  if (result.kind === 'limited') return refuse(c, result.state)
  showLimit(c, result.state)
  if (result.kind === 'failed') throw invalidCredentials('The password is wrong.')
  overrides.changed(result.value)
  audit(c, 'password_changed', { userId })
  return reply(c, 204, null)
}

async function refresh(c: Context<AppEnv>, deps: AccountDeps): Promise<Response> {
  const counted = await readCounted(c, deps, deps.limits.renewal)
  if (counted.kind === 'limited') return counted.refusal
  const { refreshToken } = counted
  const exchanged =
    refreshToken === undefined ? undefined : await deps.sessions.exchange(refreshToken)
  if (exchanged === undefined) {
    deps.refreshCookie.clear(c)
    throw new AppError(
      'unauthorized',
      'There is no good refresh token here. Please sign in again.',
      {
        headers: { 'WWW-Authenticate': 'Bearer' },
      },
    )
  }
  return grant(c, exchanged.principal, exchanged.session, deps)
}

/**
 * Ends the sign-in that the refresh token or the access token comes from. Whoever sends neither is
 * signed out already.
 */
async function logout(c: Context<AppEnv>, deps: AccountDeps): Promise<Response> {
  const counted = await readCounted(c, deps, deps.limits.signOut)
  if (counted.kind === 'limited') return counted.refusal
  const { sessions, refreshCookie } = deps
  if (counted.refreshToken !== undefined) await sessions.end(counted.refreshToken)
  const familyId = familyOfVerifiedToken(c)
  if (familyId !== undefined) await sessions.endFamily(familyId)
  refreshCookie.clear(c)
  return reply(c, 204, null)
}

type Counted =
  | { kind: 'limited'; refusal: Response }
  | { kind: 'within'; refreshToken: string | undefined }

/**
 * Reads the refresh token and counts the request on its sign-in, so that other clients at the same
 * address cannot use up its limit. A request without a token of ours counts on its user or address.
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

/** From the body if there is one (clients without cookies), else from the cookie. */
async function readRefreshToken(
  c: Context<AppEnv>,
  cookie: RefreshCookie,
): Promise<string | undefined> {
  if (hasBody(c)) return (await readBody(c, refreshSchema)).refreshToken
  return cookie.read(c)
}

/** Not told by the media type, which many clients send with every POST. */
function hasBody(c: Context<AppEnv>): boolean {
  const length = c.req.header('content-length')
  if (length !== undefined) return Number(length) > 0
  return c.env?.incoming === undefined
    ? c.req.raw.body !== null
    : c.req.header('transfer-encoding') !== undefined
}

/**
 * The cookie is sent to `/token` only, so a browser signs out with its access token, which names
 * its sign-in. In a token of another issuer `sid` has another meaning.
 */
function familyOfVerifiedToken(c: Context<AppEnv>): string | undefined {
  return c.get('principal')?.origin?.familyId
}

async function grant(
  c: Context<AppEnv>,
  principal: Pick<Principal, 'userId' | 'role'>,
  session: Session,
  { issueToken, refreshCookie }: AccountDeps,
): Promise<Response> {
  const body = {
    token: await issueToken(principal, session),
    tokenType: 'Bearer',
    expiresIn: ACCESS_TOKEN_LIFETIME_S,
  }
  refreshCookie.set(c, session)
  const { return: wanted } = parsePrefer(c.req.header('prefer'))
  if (wanted !== 'representation') return reply(c, 200, body)
  const applied = preferenceApplied({ return: wanted }) ?? ''
  return reply(
    c,
    200,
    { ...body, refreshToken: session.refreshToken },
    { 'preference-applied': applied },
  )
}
