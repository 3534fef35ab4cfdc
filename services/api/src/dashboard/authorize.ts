import { AppError, isUserId } from '@ticket-line/shared'
import type { Context, MiddlewareHandler } from 'hono'
import { isPassword } from '../accounts/passwords.js'
import type { SignIn } from '../accounts/sign-in.js'
import type { AccountOverrides } from '../auth/account-overrides.js'
import type { TokenVerifier } from '../auth/verify-token.js'
import type { AppEnv } from '../http/env.js'
import type { Principal } from '../http/principal.js'
import { redirect } from '../http/reply.js'
import { insufficientScope, KEYS_MAY_NOT } from '../http/route.js'
import { looksLikeKey } from '../keys/format.js'
import type { KnownKeys } from '../keys/known-keys.js'
import { countOn, refuse, showLimit } from '../limits/reply.js'
import type { DashboardSessions } from './session.js'

export interface AuthorizeDeps {
  verifyToken: TokenVerifier
  overrides: AccountOverrides
  keys: Pick<KnownKeys, 'verify'>
  /** The rate limit of `/login`. All ways to sign in share it. */
  limitSignIn: MiddlewareHandler<AppEnv>
  /** Both are absent without local accounts. Then only tokens are accepted. */
  signIn?: SignIn | undefined
  sessions?: DashboardSessions | undefined
}

const BASIC_OR_BEARER = 'Basic realm="ticket-line", charset="UTF-8", Bearer'

/** Admits admins. They have a session, or send a token, or their user id and password (Basic). */
export function createAuthorize(deps: AuthorizeDeps): MiddlewareHandler<AppEnv> {
  const { sessions, overrides } = deps

  /**
   * Browsers get no challenge for Basic: they have the sign-in form, and would open a dialog over a
   * page that polls. Over plain HTTP they do not send `Sec-Fetch-Site`, so `User-Agent` identifies
   * them as well.
   */
  function challengeFor(c: Context<AppEnv>): string {
    const isBrowser =
      c.req.header('sec-fetch-site') !== undefined ||
      (c.req.header('user-agent') ?? '').startsWith('Mozilla/')
    return deps.signIn === undefined || isBrowser ? 'Bearer' : BASIC_OR_BEARER
  }

  async function principalOfSession(c: Context<AppEnv>): Promise<Principal | undefined> {
    const session = await sessions?.read(c)
    const account = session && (await overrides.current(session.userId, session.origin))
    // A session of a former admin counts as none, so that the browser shows the sign-in form.
    return account?.role === 'admin' ? account : undefined
  }

  return async function authorize(c, next) {
    const header = c.req.header('authorization')
    const found =
      (await principalOfSession(c)) ??
      (header === undefined ? undefined : await principalOfHeader(c, header, deps))
    if (found instanceof Response) return found
    if (found === undefined) {
      const canShowForm =
        sessions !== undefined && (c.req.header('accept') ?? '').includes('text/html')
      if (canShowForm && header === undefined) return redirect(c, 303, '/admin/login')
      throw new AppError('unauthorized', 'Sign in as an admin to use the dashboard.', {
        headers: { 'WWW-Authenticate': challengeFor(c) },
      })
    }
    if (found.role !== 'admin')
      throw new AppError('forbidden', 'Only admins may use the dashboard.')
    return next()
  }
}

/**
 * Reads the principal of an `Authorization` header.
 *
 * @returns `undefined` if the header is not valid; a 429 if the account or address is over its
 * limit
 * @throws AppError `insufficient_scope` for a valid API key, even for that of an admin
 */
async function principalOfHeader(
  c: Context<AppEnv>,
  header: string,
  { verifyToken, overrides, keys, limitSignIn, signIn, sessions }: AuthorizeDeps,
): Promise<Principal | Response | undefined> {
  const [, scheme = '', value = ''] = /^(\w+) +(\S+) *$/.exec(header) ?? []
  if (scheme.toLowerCase() === 'bearer') {
    if (looksLikeKey(value)) {
      if ((await keys.verify(value)) === undefined) return undefined
      throw insufficientScope(KEYS_MAY_NOT, [])
    }
    const claimed = await verifyToken(value)
    return claimed && overrides.apply(claimed)
  }
  const credentials = scheme.toLowerCase() === 'basic' ? readBasic(value) : undefined
  if (credentials === undefined || signIn === undefined) return undefined
  const refusal = await countOn(limitSignIn, c)
  if (refusal !== undefined) return refusal
  const result = await signIn.signIn({ ...credentials, address: c.get('clientAddress') })
  if (result.kind === 'limited') return refuse(c, result.state, 'sign_in')
  showLimit(c, result.state)
  if (result.kind === 'failed') return undefined
  // A browser sends Basic credentials with every request. The session avoids hashing each time.
  if (result.value.role === 'admin') await sessions?.start(c, result.value)
  return result.value
}

/** Reads Basic credentials (RFC 7617). Credentials that no account can have are not hashed. */
function readBasic(value: string): { userId: string; password: string } | undefined {
  const text = Buffer.from(value, 'base64').toString()
  const colon = text.indexOf(':')
  const userId = text.slice(0, Math.max(0, colon))
  const password = text.slice(colon + 1)
  return isUserId(userId) && isPassword(password) ? { userId, password } : undefined
}
