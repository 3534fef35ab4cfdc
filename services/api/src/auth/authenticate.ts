import { AppError } from '@ticket-line/shared'
import type { Context, MiddlewareHandler } from 'hono'
import type { AppEnv } from '../http/env.js'
import { looksLikeKey } from '../keys/format.js'
import type { KnownKeys } from '../keys/known-keys.js'
import { countOn } from '../limits/reply.js'
import type { AccountOverrides } from './account-overrides.js'
import type { TokenVerifier } from './verify-token.js'

/** RFC 6750, section 2.1. */
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*) *$/i

export interface AuthenticateDeps {
  verifyToken: TokenVerifier
  overrides: Pick<AccountOverrides, 'apply'>
  keys: Pick<KnownKeys, 'verify'>
  /** The general rate limit. It counts a request without a verified token by address. */
  countRefused: MiddlewareHandler<AppEnv>
}

/**
 * Each sets `principal` if the token is verified and its account is not disabled. An API key counts
 * as a token here.
 */
export interface Authenticate {
  /** Refuses no request. Without a verified token, a request has no principal. */
  optional: MiddlewareHandler<AppEnv>
  /**
   * Counts requests without a verified token by address and refuses them with `unauthorized`.
   * If the token is invalid and the address is over its limit, the response is 429. A rate limit
   * after this middleware counts only verified users.
   */
  required: MiddlewareHandler<AppEnv>
  /** Accepts requests without a token, which then have no principal. Otherwise like `required`. */
  ifSent: MiddlewareHandler<AppEnv>
}

type Verification = 'missing' | 'failed' | 'verified'

export function createAuthenticate({
  verifyToken,
  overrides,
  keys,
  countRefused,
}: AuthenticateDeps): Authenticate {
  async function verify(c: Context<AppEnv>): Promise<Verification> {
    const header = c.req.header('authorization')
    if (header === undefined) return 'missing'
    const token = BEARER.exec(header)?.[1]
    if (token === undefined) {
      c.get('log').debug({ reason: '"Authorization" is not "Bearer <token>"' }, 'token refused')
      return 'failed'
    }
    if (looksLikeKey(token)) {
      const found = keys.verify(token)
      const principal = found instanceof Promise ? await found : found
      if (principal === undefined) {
        c.get('log').debug({ reason: 'the API key is not valid' }, 'token refused')
        return 'failed'
      }
      c.set('principal', principal)
      return 'verified'
    }
    const claimed = await verifyToken(token)
    if (claimed === undefined) return 'failed'
    const principal = await overrides.apply(claimed)
    if (principal === undefined) {
      c.get('log').debug(
        { reason: 'the account is disabled or the token revoked' },
        'token refused',
      )
      return 'failed'
    }
    c.set('principal', principal)
    return 'verified'
  }

  async function refuse(c: Context<AppEnv>, verification: 'missing' | 'failed') {
    const refusal = await countOn(countRefused, c)
    if (refusal !== undefined && verification === 'failed') return refusal
    // A request without a token always gets 401: the client has to sign in instead of waiting.
    c.header('Retry-After', undefined)
    throw verification === 'missing' ? signInRequired() : tokenRefused()
  }

  return {
    optional: async function authenticateOptional(c, next) {
      await verify(c)
      return next()
    },
    required: async function authenticateRequired(c, next) {
      const verification = await verify(c)
      return verification === 'verified' ? next() : refuse(c, verification)
    },
    ifSent: async function authenticateIfSent(c, next) {
      const verification = await verify(c)
      return verification === 'failed' ? refuse(c, verification) : next()
    },
  }
}

/** Text of a 401 for a request without a token. */
export const SIGN_IN_REQUIRED = 'This call needs a token. Please sign in.'

/** A request without a token gets a challenge without an error code (RFC 6750, section 3.1). */
export function signInRequired(): AppError {
  return new AppError('unauthorized', SIGN_IN_REQUIRED, {
    headers: { 'WWW-Authenticate': 'Bearer' },
  })
}

/** The error for a token that is not, or no longer, accepted. */
export function tokenRefused(): AppError {
  return new AppError(
    'unauthorized',
    'This token is invalid, expired or revoked. Please sign in again.',
    { headers: { 'WWW-Authenticate': 'Bearer error="invalid_token"' } },
  )
}
