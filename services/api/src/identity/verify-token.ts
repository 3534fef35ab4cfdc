import { AppError, isUserId } from '@ticket-line/shared'
import { type CryptoKey, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import { createTurns } from '../one-turn.js'
import type { IdentityConfig } from './config.js'
import type { Keyring } from './keyring.js'
import type { Principal, Role } from './principal.js'
import type { KeySource } from './remote-keys.js'

/** What other issuers may sign with; never a symmetric algorithm, whose key would be one that everybody can read. */
const REMOTE_ALGORITHMS = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ')
/** Longer ones are no tokens of anybody's. */
const MAX_TOKEN_LENGTH = 8192
/** A client that polls brings the same token again and again. */
const CACHED_TOKENS = 5000
const CACHED_MS = 30_000

/**
 * Checks a token: signature, algorithm, `typ`, `iss`, `aud`, `exp`, `sub`, `role`. Keys come from the configuration
 * alone; `jku`, `x5u` and `jwk` of a header are not looked at.
 *
 * @returns who it speaks for, or `undefined` for a token that is no good, whatever the reason
 * @throws AppError `unavailable` where the issuer's keys are out of reach
 */
export type TokenVerifier = (token: string) => Promise<Principal | undefined>

export interface TokenVerifierDeps {
  config: Pick<IdentityConfig, 'issuer' | 'audience' | 'maxTokenAgeS'>
  keyring: Keyring
  /** Where `JWT_JWKS_URL` is set. */
  remoteKeys?: KeySource
  nowMs?: () => number
}

interface Verified {
  principal: Principal
  expiresAtMs: number
}

export function createTokenVerifier({
  config,
  keyring,
  remoteKeys,
  nowMs = Date.now,
}: TokenVerifierDeps): TokenVerifier {
  const keySource = keySourceOf(keyring, remoteKeys)
  // With one key only there is nothing to choose, and jose need not ask.
  const onlyKey = keyring.own.length === 0 && remoteKeys === undefined ? keyring.secret : undefined
  const options: JWTVerifyOptions = {
    algorithms: algorithmsOf(keyring, remoteKeys),
    requiredClaims: ['exp', 'sub'],
  }
  if (config.issuer !== undefined) options.issuer = config.issuer
  if (config.audience !== undefined) options.audience = config.audience
  // With it `iat` is required, and none of the future is taken.
  if (config.maxTokenAgeS !== undefined) options.maxTokenAge = config.maxTokenAgeS
  const cache = new LRUCache<string, Verified>({ max: CACHED_TOKENS, ttl: CACHED_MS })

  async function check(token: string): Promise<Verified | undefined> {
    const current = { ...options, currentDate: new Date(nowMs()) }
    // Two calls, since jose tells "a key" and "a way to find one" apart by type.
    const { payload, protectedHeader } = await (onlyKey === undefined
      ? jwtVerify(token, keySource, current)
      : jwtVerify(token, onlyKey, current))
    if (protectedHeader.typ !== undefined && protectedHeader.typ !== 'JWT') return undefined
    return readClaims(payload, config.maxTokenAgeS)
  }

  const nextTurn = createTurns()

  return async function verifyToken(token) {
    const known = cache.get(token)
    if (known !== undefined) return known.expiresAtMs > nowMs() ? known.principal : undefined
    if (token.length > MAX_TOKEN_LENGTH || !isSpelledOnce(token)) return undefined
    // Tokens checked side by side cost 0.4 of what they cost one by one: each signature is computed in a thread of Node's
    // pool that must be woken and waited for.
    await new Promise<void>(nextTurn)
    try {
      const verified = await check(token)
      if (verified !== undefined) cache.set(token, verified)
      return verified?.principal
    } catch (error) {
      if (error instanceof AppError) throw error
      return undefined
    }
  }
}

/** Base64url whose last letter has no bits set that a decoder drops (RFC 4648, section 3.5). */
const CANONICAL = /^(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?$/

/**
 * Other bits in the last letter of a signature would make several texts one signature. The other two parts are signed
 * as they are spelled (RFC 7515, section 5.2).
 */
function isSpelledOnce(token: string): boolean {
  return CANONICAL.test(token.slice(token.lastIndexOf('.') + 1))
}

function algorithmsOf(keyring: Keyring, remoteKeys: KeySource | undefined): string[] {
  const algorithms = new Set(remoteKeys === undefined ? [] : REMOTE_ALGORITHMS)
  if (keyring.secret !== undefined) algorithms.add('HS256')
  if (keyring.own.length > 0) algorithms.add('EdDSA')
  return [...algorithms]
}

/** The algorithm chooses the kind of key, so that no public key is ever used as an HMAC secret. */
function keySourceOf({ secret, own }: Keyring, remoteKeys: KeySource | undefined): KeySource {
  return async function keyOf(header, token): Promise<CryptoKey> {
    if (header.alg === 'HS256' && secret !== undefined) return secret
    const mine = header.alg === 'EdDSA' ? own.find((key) => key.kid === header.kid) : undefined
    if (mine !== undefined) return mine.publicKey
    if (remoteKeys === undefined) throw new errors.JWKSNoMatchingKey()
    return remoteKeys(header, token)
  }
}

function isRole(value: unknown): value is Role {
  return value === 'user' || value === 'organizer' || value === 'admin'
}

function readClaims(
  { sub, exp, iat, role = 'user' }: JWTPayload,
  maxTokenAgeS?: number,
): Verified | undefined {
  // 1e999 parses to Infinity, which would be later than everything.
  if (!isUserId(sub) || !isRole(role) || !Number.isFinite(exp)) return undefined
  // Where the age counts, jose has seen to it that `iat` is a number.
  const lastS = maxTokenAgeS === undefined ? Number.POSITIVE_INFINITY : (iat as number) + maxTokenAgeS
  return { principal: { userId: sub, role }, expiresAtMs: Math.min(exp as number, lastS) * 1000 }
}
