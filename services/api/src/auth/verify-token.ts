import { AppError, createTurns, isUserId, type Log, ROLES, type Role } from '@ticket-line/shared'
import {
  type CryptoKey,
  errors,
  type JWSHeaderParameters,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose'
import { LRUCache } from 'lru-cache'
import type { Principal, TokenOrigin } from '../http/principal.js'
import type { IdentityConfig } from './config.js'
import type { Keyring } from './keyring.js'
import type { KeySource } from './remote-keys.js'

/**
 * What other issuers may sign with. Never a symmetric algorithm: its key would be one that
 * everybody can read.
 */
const REMOTE_ALGORITHMS =
  'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ')
/** RFC 7519, section 5.1, and RFC 9068, section 2.1. Media types ignore case. */
const ACCEPTED_TYPES = /^(?:jwt|(?:application\/)?at\+jwt)$/i
/**
 * How far the clock of an issuer may be ahead of ours, s. Applies to `nbf` and `iat`, not to `exp`.
 */
const CLOCK_LEEWAY_S = 5
/** Longest token that is looked at, in characters. */
const MAX_TOKEN_LENGTH = 8192
/** A client that polls sends the same token again and again. */
const CACHED_TOKENS = 5000
const CACHED_MS = 30_000

/**
 * Checks a token: signature, algorithm, `typ`, `iss`, `aud`, `exp`, `nbf`, `iat` and `sub`. Keys
 * come from the configuration alone; `jku`, `x5u` and `jwk` of a header are ignored.
 *
 * @returns whom the token speaks for, or `undefined` if it is refused; the reason is logged at
 * debug
 * @throws AppError `unavailable` if the issuer's keys cannot be reached
 */
export type TokenVerifier = (token: string) => Promise<Principal | undefined>

export interface TokenVerifierDeps {
  config: Pick<IdentityConfig, 'issuer' | 'audience' | 'maxTokenAgeS' | 'roleClaim'>
  keyring: Keyring
  /** Present if `JWT_JWKS_URL` is set. */
  remoteKeys?: KeySource
  log: Log
  nowMs?: () => number
}

type Checked =
  | { kind: 'verified'; principal: Principal; expiresAtMs: number }
  | { kind: 'refused'; reason: string }

export function createTokenVerifier({
  config,
  keyring,
  remoteKeys,
  log,
  nowMs = Date.now,
}: TokenVerifierDeps): TokenVerifier {
  const keySource = keySourceOf(keyring, remoteKeys)
  // With a single key there is nothing to choose, and jose need not ask.
  const onlyKey = keyring.own.length === 0 && remoteKeys === undefined ? keyring.secret : undefined
  const options: JWTVerifyOptions = {
    algorithms: algorithmsOf(keyring, remoteKeys),
    requiredClaims: ['exp', 'sub'],
    clockTolerance: CLOCK_LEEWAY_S,
  }
  if (config.issuer !== undefined) options.issuer = config.issuer
  if (config.audience !== undefined) options.audience = config.audience
  // jose then requires `iat`.
  if (config.maxTokenAgeS !== undefined) options.maxTokenAge = config.maxTokenAgeS
  const cache = new LRUCache<string, Extract<Checked, { kind: 'verified' }>>({
    max: CACHED_TOKENS,
    ttl: CACHED_MS,
  })

  async function check(token: string): Promise<Checked> {
    const current = { ...options, currentDate: new Date(nowMs()) }
    // Two calls, since jose tells "a key" and "a way to find one" apart by type.
    const { payload, protectedHeader } = await (onlyKey === undefined
      ? jwtVerify(token, keySource, current)
      : jwtVerify(token, onlyKey, current))
    const { typ } = protectedHeader
    if (typ !== undefined && !(typeof typ === 'string' && ACCEPTED_TYPES.test(typ))) {
      return refused('"typ" is neither JWT nor at+jwt')
    }
    return readClaims(payload, isOwn(protectedHeader, keyring))
  }

  function readClaims(payload: JWTPayload, own: boolean): Checked {
    const { sub, exp, iat } = payload
    if (!isUserId(sub)) return refused('"sub" is no user id')
    // 1e999 parses to Infinity, which would be later than everything.
    if (!Number.isFinite(exp)) return refused('"exp" is no time')
    // jose checks that `iat` is a number, but compares it only if `maxTokenAge` is set.
    if (iat !== undefined && iat > nowMs() / 1000 + CLOCK_LEEWAY_S)
      return refused('"iat" is in the future')
    const { maxTokenAgeS } = config
    const lastS =
      maxTokenAgeS === undefined ? Number.POSITIVE_INFINITY : (iat as number) + maxTokenAgeS
    const expiresAtMs = Math.min(exp as number, lastS) * 1000
    // The leeway that jose was given is for `nbf` and `iat`.
    if (expiresAtMs <= nowMs()) return refused('the token has expired')
    const principal: Principal = { userId: sub, role: readRole(payload, config.roleClaim) }
    if (!own) principal.external = true
    else readOrigin(payload, principal)
    return { kind: 'verified', principal, expiresAtMs }
  }

  const nextTurn = createTurns()

  async function verifyAnew(token: string): Promise<Checked> {
    if (token.length > MAX_TOKEN_LENGTH)
      return refused(`longer than ${MAX_TOKEN_LENGTH} characters`)
    if (!isSpelledOnce(token)) return refused('the signature is not spelled in canonical base64url')
    // Tokens checked together cost 0.4 of what they cost one by one: each signature is computed in
    // a thread of Node's pool that must be woken and waited for.
    await new Promise<void>(nextTurn)
    try {
      return await check(token)
    } catch (error) {
      if (error instanceof AppError) throw error
      return refused(error instanceof errors.JOSEError ? error.message : 'it cannot be read')
    }
  }

  return async function verifyToken(token) {
    const known = cache.get(token)
    if (known !== undefined && known.expiresAtMs > nowMs()) return known.principal
    const checked = known === undefined ? await verifyAnew(token) : refused('the token has expired')
    if (checked.kind === 'verified') {
      cache.set(token, checked)
      return checked.principal
    }
    log.debug({ reason: checked.reason }, 'token refused')
    return undefined
  }
}

function refused(reason: string): Checked {
  return { kind: 'refused', reason }
}

/** Base64url whose last letter has no bits set that a decoder drops (RFC 4648, section 3.5). */
const CANONICAL = /^(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?$/

/**
 * Other bits in the last letter of a signature would make several texts one signature. The other
 * two parts are signed as they are spelled (RFC 7515, section 5.2).
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

/** Whether this installation signed a token that was verified. Issuers never sign with HS256. */
function isOwn(header: JWSHeaderParameters, keyring: Keyring): boolean {
  return header.alg === 'HS256' || ownKeyOf(header, keyring) !== undefined
}

/** Call it only for our own tokens: in those of other issuers these claims have other meanings. */
function readOrigin({ gen, sid, iat }: JWTPayload, principal: Principal): void {
  if (gen === undefined && sid === undefined && iat === undefined) return
  const origin: TokenOrigin = {}
  if (Number.isSafeInteger(gen)) origin.generation = gen as number
  if (typeof sid === 'string') origin.familyId = sid
  if (iat !== undefined) origin.issuedAtS = iat
  principal.origin = origin
}

/**
 * The role that a token names; `user` if it names none that we know.
 *
 * @param claim the claim that the operator chose (`JWT_ROLE_CLAIM`): its exact name, or a path of
 * names with dots such as `realm_access.roles`. Issuers often send a list, of which the highest
 * role counts. Without this parameter `role` is read, which must be one string.
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
