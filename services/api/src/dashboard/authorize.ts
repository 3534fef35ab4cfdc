import { AppError, isUserId } from '@ticket-line/shared'
import type { Context, MiddlewareHandler } from 'hono'
import { isPassword } from '../accounts/passwords.js'
import type { SignIn } from '../accounts/sign-in.js'
import type { AccountOverrides } from '../auth/account-overrides.js'
import type { TokenVerifier } from '../auth/verify-token.js'
import type { AppEnv } from '../http/env.js'
import type { Principal } from '../http/principal.js'
import { reply } from '../http/reply.js'
import { countOn, refuse, showLimit } from '../limits/reply.js'
import type { BoardSessions } from './session.js'

export interface AuthorizeDeps {
  verifyToken: TokenVerifier
  overrides: AccountOverrides
  /** The limit of `/login`, which all ways to sign in share. */
  limitSignIn: MiddlewareHandler<AppEnv>
  /** Both absent without local accounts: then a token is the only way in. */
  signIn?: SignIn
  sessions?: BoardSessions
}

const BASIC_OR_BEARER = 'Basic realm="ticket-line", charset="UTF-8", Bearer'

/** Lets admins through: with a session, a token, or user id and password (Basic). */
export function createAuthorize(deps: AuthorizeDeps): MiddlewareHandler<AppEnv> {
  const { sessions, overrides } = deps

  /**
   * Browsers get no challenge for Basic, because they have the form and would open a window of
   * their own over a page that polls. Over plain HTTP they send no `Sec-Fetch-Site`.
   */
  function challengeFor(c: Context<AppEnv>): string {
    const isBrowser =
      c.req.header('sec-fetch-site') !== undefined ||
      (c.req.header('user-agent') ?? '').startsWith('Mozilla/')
    return deps.signIn === undefined || isBrowser ? 'Bearer' : BASIC_OR_BEARER
  }

  async function whoseSession(c: Context<AppEnv>): Promise<Principal | undefined> {
    const session = await sessions?.read(c)
    const account = session && (await overrides.current(session.userId, session.origin))
    // A session is an admin's or nobody's: one that was taken its role away signs in again to see it.
    return account?.role === 'admin' ? account : undefined
  }

  return async function authorize(c, next) {
    const header = c.req.header('authorization')
    const found =
      (await whoseSession(c)) ??
      (header === undefined ? undefined : await whoseHeader(c, header, deps))
    if (found instanceof Response) return found
    if (found === undefined) {
      const isBrowser =
        sessions !== undefined && (c.req.header('accept') ?? '').includes('text/html')
      if (isBrowser && header === undefined)
        return reply(c, 303, null, { location: '/admin/login' })
      throw new AppError('unauthorized', 'The dashboard is for admins. Please sign in.', {
        headers: { 'WWW-Authenticate': challengeFor(c) },
      })
    }
    if (found.role !== 'admin') throw new AppError('forbidden', 'The dashboard is for admins.')
    return next()
  }
}

/** Who an `Authorization` header speaks for; a 429 if its account or address is over the limit. */
async function whoseHeader(
  c: Context<AppEnv>,
  header: string,
  { verifyToken, overrides, limitSignIn, signIn, sessions }: AuthorizeDeps,
): Promise<Principal | Response | undefined> {
  const [, scheme = '', value = ''] = /^(\w+) +(\S+) *$/.exec(header) ?? []
  if (scheme.toLowerCase() === 'bearer') {
    const claimed = await verifyToken(value)
    return claimed && overrides.apply(claimed)
  }
  const credentials = scheme.toLowerCase() === 'basic' ? readBasic(value) : undefined
  if (credentials === undefined || signIn === undefined) return undefined
  const refusal = await countOn(limitSignIn, c)
  if (refusal !== undefined) return refusal
  const result = await signIn.signIn({ ...credentials, address: c.get('clientAddress') })
  if (result.kind === 'limited') return refuse(c, result.state)
  showLimit(c, result.state)
  if (result.kind === 'failed') return undefined
  // A browser repeats its password with every request of a page; the session spares the hashes.
  if (result.value.role === 'admin') await sessions?.start(c, result.value)
  return result.value
}

/** RFC 7617; what can be no account's user id and password is not worth a hash. */
function readBasic(value: string): { userId: string; password: string } | undefined {
  const text = Buffer.from(value, 'base64').toString()
  const colon = text.indexOf(':')
  const userId = text.slice(0, Math.max(0, colon))
  const password = text.slice(colon + 1)
  return isUserId(userId) && isPassword(password) ? { userId, password } : undefined
}
