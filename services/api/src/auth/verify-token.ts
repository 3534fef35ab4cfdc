import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import {
  AppError,
  type Clock,
  createTurns,
  isUserId,
  type Log,
  ROLES,
  type Role,
  systemClock,
} from '@ticket-line/shared'
import {
  type CryptoKey,
  errors,
  type JWSHeaderParameters,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
  UnsecuredJWT,
} from 'jose'
import { LRUCache } from 'lru-cache'
import type { Principal, TokenOrigin } from '../http/principal.js'
import type { AuthConfig } from './config.js'
import type { Keyring } from './keyring.js'
import type { KeySource } from './remote-keys.js'

/** Algorithms of other issuers. None is symmetric, because their keys are public. */
const REMOTE_ALGORITHMS =
  'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ')
/** RFC 7519, section 5.1, and RFC 9068, section 2.1. Media types are case-insensitive. */
const ACCEPTED_TYPES = /^(?:jwt|(?:application\/)?at\+jwt)$/i
/** How far the issuer's clock may be ahead of ours, s. Applies to `nbf` and `iat`, not to `exp`. */
const CLOCK_LEEWAY_S = 5
/** Maximum length of a token, in characters. */
const MAX_TOKEN_LENGTH = 8192
/** Verified tokens are cached, because a client sends the same token many times. */
const CACHED_TOKENS = 5000
const CACHED_MS = 30_000
/** Maximum number of headers of HS256 tokens that are remembered. An issuer uses one or two. */
const REMEMBERED_HEADERS = 100

/**
 * Verifies a token: signature, algorithm, `typ`, `iss`, `aud`, `exp`, `nbf`, `iat` and `sub`. Keys
 * come only from the configuration; `jku`, `x5u` and `jwk` in the header are ignored.
 *
 * @returns the principal of the token; `undefined` if the token is refused. The reason is logged at
 * level debug
 * @throws AppError `unavailable` if the issuer's keys cannot be reached
 */
export type TokenVerifier = (token: string) => Promise<Principal | undefined>

export interface TokenVerifierDeps {
  config: Pick<AuthConfig, 'issuer' | 'audience' | 'maxTokenAgeS' | 'roleClaim'>
  keyring: Keyring
  /** The keys of `JWT_JWKS_URL`, if it is set. */
  remoteKeys?: KeySource
  log: Log
  clock?: Clock
}

type Checked =
  | { kind: 'verified'; principal: Principal; expiresAtMs: number }
  | { kind: 'refused'; reason: string }

export function createTokenVerifier({
  config,
  keyring,
  remoteKeys,
  log,
  clock = systemClock,
}: TokenVerifierDeps): TokenVerifier {
  const keySource = keySourceOf(keyring, remoteKeys)
  // If there is only one key, jose need not call the key source.
  const onlyKey = keyring.own.length === 0 && remoteKeys === undefined ? keyring.secret : undefined
  const options: JWTVerifyOptions = {
    algorithms: algorithmsOf(keyring, remoteKeys),
    requiredClaims: ['exp', 'sub'],
    clockTolerance: CLOCK_LEEWAY_S,
  }
  if (config.issuer !== undefined) options.issuer = config.issuer
  if (config.audience !== undefined) options.audience = config.audience
  // With this option, jose requires `iat`.
  if (config.maxTokenAgeS !== undefined) options.maxTokenAge = config.maxTokenAgeS
  const cache = new LRUCache<string, Extract<Checked, { kind: 'verified' }>>({
    max: CACHED_TOKENS,
    ttl: CACHED_MS,
  })

  /** Encoded headers of HS256 tokens that jose has verified and that have an accepted `typ`. */
  const knownHeaders = new LRUCache<string, true>({ max: REMEMBERED_HEADERS })

  async function check(token: string): Promise<Checked> {
    const current = currentOptions()
    // Two calls, because jose has separate overloads for a key and for a key source.
    const { payload, protectedHeader } = await (onlyKey === undefined
      ? jwtVerify(token, keySource, current)
      : jwtVerify(token, onlyKey, current))
    const { typ } = protectedHeader
    if (typ !== undefined && !(typeof typ === 'string' && ACCEPTED_TYPES.test(typ))) {
      return refused('"typ" is neither JWT nor at+jwt')
    }
    if (protectedHeader.alg === 'HS256') knownHeaders.set(headerOf(token), true)
    return readClaims(payload, isOwn(protectedHeader, keyring))
  }

  function currentOptions(): JWTVerifyOptions {
    return { ...options, currentDate: new Date(clock.wallMs()) }
  }

  /**
   * Verifies an HS256 token whose header jose has verified in an earlier token. jose would compute
   * the signature in a thread of Node's pool, and waking the thread takes several times as long as
   * the signature (`docs/decisions/0023-known-token-headers.md`). jose still checks the claims.
   */
  function checkKnown(token: string): Checked {
    const endOfPayload = token.lastIndexOf('.')
    if (!hasHmac(token, endOfPayload, keyring.hmacKey))
      return refused('signature verification failed')
    const unsigned = `${UNSIGNED_HEADER}${token.slice(token.indexOf('.'), endOfPayload)}.`
    return readClaims(UnsecuredJWT.decode(unsigned, currentOptions()).payload, true)
  }

  function readClaims(payload: JWTPayload, isOwnToken: boolean): Checked {
    const { sub, exp, iat } = payload
    if (!isUserId(sub)) return refused('"sub" is not a user id')
    // JSON.parse reads 1e999 as Infinity, which would never expire.
    if (!Number.isFinite(exp)) return refused('"exp" is not a time')
    // jose compares `iat` with the time only if `maxTokenAge` is set.
    if (iat !== undefined && iat > clock.wallMs() / 1000 + CLOCK_LEEWAY_S)
      return refused('"iat" is in the future')
    const { maxTokenAgeS } = config
    const lastS =
      maxTokenAgeS === undefined ? Number.POSITIVE_INFINITY : (iat as number) + maxTokenAgeS
    const expiresAtMs = Math.min(exp as number, lastS) * 1000
    // jose has applied the leeway to `exp`, too. We allow none there.
    if (expiresAtMs <= clock.wallMs()) return refused('the token has expired')
    const role = readRole(payload, config.roleClaim)
    const principal: Principal = { userId: sub, role, expiresAtMs }
    if (!isOwnToken) principal.external = true
    else readOrigin(payload, principal)
    return { kind: 'verified', principal, expiresAtMs }
  }

  const nextTurn = createTurns()

  async function verifyUncached(token: string): Promise<Checked> {
    if (token.length > MAX_TOKEN_LENGTH)
      return refused(`it is longer than ${MAX_TOKEN_LENGTH} characters`)
    if (!hasCanonicalSignature(token)) return refused('the signature is not canonical base64url')
    try {
      if (knownHeaders.has(headerOf(token))) return checkKnown(token)
      // Verifying the tokens of one turn of the event loop together takes 0.4 times as long as
      // verifying them one by one, because it wakes the threads of Node's pool less often.
      await new Promise<void>(nextTurn)
      return await check(token)
    } catch (error) {
      if (error instanceof AppError) throw error
      return refused(error instanceof errors.JOSEError ? error.message : 'it cannot be read')
    }
  }

  return async function verifyToken(token) {
    const known = cache.get(token)
    if (known !== undefined && known.expiresAtMs > clock.wallMs()) return known.principal
    const checked =
      known === undefined ? await verifyUncached(token) : refused('the token has expired')
    if (checked.kind === 'verified') {
      cache.set(token, checked)
      return checked.principal
    }
    log.debug({ reason: checked.reason }, 'token refused')
    return undefined
  }
}

/** The header `{"alg":"none"}`, with which jose checks claims without a signature. */
const UNSIGNED_HEADER = 'eyJhbGciOiJub25lIn0'

function headerOf(token: string): string {
  return token.slice(0, token.indexOf('.'))
}

/**
 * True if a token ends with its HMAC SHA-256 (RFC 7518, section 3.2) in canonical base64url.
 *
 * @param lastDot the position of the last dot in the token
 */
function hasHmac(token: string, lastDot: number, key: KeyObject | undefined): boolean {
  if (key === undefined) return false
  const expected = createHmac('sha256', key).update(token.slice(0, lastDot)).digest('base64url')
  const given = token.slice(lastDot + 1)
  return (
    given.length === expected.length && timingSafeEqual(Buffer.from(given), Buffer.from(expected))
  )
}

function refused(reason: string): Checked {
  return { kind: 'refused', reason }
}

/** Base64url in which the unused bits of the last character are 0 (RFC 4648, section 3.5). */
const CANONICAL = /^(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?$/

/**
 * Other unused bits in the last character would give one signature several spellings. The signature
 * covers the spelling of the other two parts (RFC 7515, section 5.2).
 */
function hasCanonicalSignature(token: string): boolean {
  return CANONICAL.test(token.slice(token.lastIndexOf('.') + 1))
}

function algorithmsOf(keyring: Keyring, remoteKeys: KeySource | undefined): string[] {
  const algorithms = new Set(remoteKeys === undefined ? [] : REMOTE_ALGORITHMS)
  if (keyring.secret !== undefined) algorithms.add('HS256')
  if (keyring.own.length > 0) algorithms.add('EdDSA')
  return [...algorithms]
}

/** Selects the kind of key by the algorithm, so that no public key is used as an HMAC secret. */
function keySourceOf(keyring: Keyring, remoteKeys: KeySource | undefined): KeySource {
  return async function keyOf(header, token): Promise<CryptoKey> {
    const { secret } = keyring
    if (header.alg === 'HS256' && secret !== undefined) return secret
    const own = ownKeyOf(header, keyring)
    if (own !== undefined) return own.publicKey
    if (remoteKeys === undefined) throw new errors.JWKSNoMatchingKey()
    return remoteKeys(header, token)
  }
}

function ownKeyOf(
  { alg, kid }: JWSHeaderParameters,
  { own }: Keyring,
): Keyring['own'][number] | undefined {
  return alg === 'EdDSA' ? own.find((key) => key.kid === kid) : undefined
}

/** True if this installation signed the verified token. Other issuers cannot sign with HS256. */
function isOwn(header: JWSHeaderParameters, keyring: Keyring): boolean {
  return header.alg === 'HS256' || ownKeyOf(header, keyring) !== undefined
}

/** For our own tokens only. In tokens of other issuers these claims have other meanings. */
function readOrigin({ gen, sid, iat }: JWTPayload, principal: Principal): void {
  if (gen === undefined && sid === undefined && iat === undefined) return
  const origin: TokenOrigin = {}
  if (Number.isSafeInteger(gen)) origin.generation = gen as number
  if (typeof sid === 'string') origin.familyId = sid
  if (iat !== undefined) origin.issuedAtS = iat
  principal.origin = origin
}

/**
 * Reads the role of a token. It is `user` if the token contains no role that we know.
 *
 * @param claim the claim of `JWT_ROLE_CLAIM`: its exact name, or a path such as
 * `realm_access.roles`. If its value is a list, the highest role in it counts. If `undefined`, the
 * claim is `role` and must be a string.
 */
function readRole(payload: JWTPayload, claim: string | undefined): Role {
  if (claim === undefined) return isRole(payload.role) ? payload.role : 'user'
  const value = claimAt(payload, claim)
  const roles: unknown[] = Array.isArray(value) ? value : [value]
  return ROLES.findLast((role) => roles.includes(role)) ?? 'user'
}

function claimAt(payload: JWTPayload, claim: string): unknown {
  if (Object.hasOwn(payload, claim)) return payload[claim]
  let value: unknown = payload
  for (const name of claim.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

function isRole(value: unknown): value is Role {
  return ROLES.includes(value as Role)
}
