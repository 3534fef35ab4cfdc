import { AppError } from '@ticket-line/shared'
import type { Context, MiddlewareHandler } from 'hono'
import type { AppEnv } from '../http/env.js'
import { countOn } from '../limits/reply.js'
import type { AccountOverrides } from './account-overrides.js'
import type { TokenVerifier } from './verify-token.js'

/** RFC 6750, section 2.1. */
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*) *$/i

export interface AuthenticateDeps {
  verifyToken: TokenVerifier
  overrides: AccountOverrides
  /** Counts a request without a verified token on its address: the general limit. */
  countRefused: MiddlewareHandler<AppEnv>
}

/** All set `principal` if a token was verified and its account is not disabled. */
export interface Authenticate {
  /** Requests without a verified token are served without a principal. */
  optional: MiddlewareHandler<AppEnv>
  /**
   * Requests without a verified token count on their address and are refused with `unauthorized`.
   * If the token failed and the address is over its limit, the answer is 429. A limit after this
   * handler counts only verified users.
   */
  required: MiddlewareHandler<AppEnv>
  /** Requests without a token are served without a principal. If a token failed, as `required`. */
  ifSent: MiddlewareHandler<AppEnv>
}

type Identity = 'missing' | 'failed' | 'verified'

export function createAuthenticate({
  verifyToken,
  overrides,
  countRefused,
}: AuthenticateDeps): Authenticate {
  async function identify(c: Context<AppEnv>): Promise<Identity> {
    const header = c.req.header('authorization')
    if (header === undefined) return 'missing'
    const token = BEARER.exec(header)?.[1]
    if (token === undefined) {
      c.get('log').debug({ reason: '"Authorization" is not "Bearer <token>"' }, 'token refused')
      return 'failed'
    }
    const claimed = await verifyToken(token)
    if (claimed === undefined) return 'failed'
    const principal = await overrides.apply(claimed)
    if (principal === undefined) {
      c.get('log').debug(
        { reason: 'its account is disabled, or the token has ended' },
        'token refused',
      )
      return 'failed'
    }
    c.set('principal', principal)
    return 'verified'
  }

  async function refuse(c: Context<AppEnv>, identity: 'missing' | 'failed') {
    const refusal = await countOn(countRefused, c)
    if (refusal !== undefined && identity === 'failed') return refusal
    // A missing token is always 401: the client has to sign in, not to wait.
    c.header('Retry-After', undefined)
    throw unauthorized(identity)
  }

  return {
    optional: async function authenticateOptional(c, next) {
      await identify(c)
      return next()
    },
    required: async function authenticateRequired(c, next) {
      const identity = await identify(c)
      return identity === 'verified' ? next() : refuse(c, identity)
    },
    ifSent: async function authenticateIfSent(c, next) {
      const identity = await identify(c)
      return identity === 'failed' ? refuse(c, identity) : next()
    },
  }
}

// RFC 6750, section 3.1: no error code for who brought no token at all.
function unauthorized(identity: Identity): AppError {
  return identity === 'missing'
    ? new AppError('unauthorized', 'Please sign in: this needs a token.', {
        headers: { 'WWW-Authenticate': 'Bearer' },
      })
    : new AppError(
        'unauthorized',
        'This token is not valid, or not any more. Please sign in again.',
        {
          headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' },
        },
      )
}
