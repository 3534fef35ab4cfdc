import { SignJWT } from 'jose'
import type { IdentityConfig } from './config.js'
import type { Keyring } from './keyring.js'
import type { Principal } from './principal.js'

/** Lifetime of an access token, in seconds. */
export const ACCESS_TOKEN_LIFETIME_S = 900

/**
 * Signs an access token: with the first EdDSA key where there is one, else HS256. It names the sign-in it comes from
 * (`sid`), so that signing out needs no more than the token.
 */
export type TokenIssuer = (principal: Principal, familyId: string) => Promise<string>

/** @throws Error where the installation has no key of its own; then nobody may sign in here */
export function createTokenIssuer(
  keyring: Keyring,
  { issuer, audience }: Pick<IdentityConfig, 'issuer' | 'audience'>,
  nowMs: () => number = Date.now,
): TokenIssuer {
  const [own] = keyring.own
  const key = own?.privateKey ?? keyring.secret
  if (key === undefined) throw new Error('Local accounts need JWT_SECRET or JWT_PRIVATE_KEYS')
  const header = own === undefined ? { alg: 'HS256', typ: 'JWT' } : { alg: 'EdDSA', typ: 'JWT', kid: own.kid }

  return function issueToken({ userId, role }, familyId) {
    const nowS = Math.floor(nowMs() / 1000)
    const token = new SignJWT({ role, sid: familyId })
      .setProtectedHeader(header)
      .setSubject(userId)
      .setIssuedAt(nowS)
      .setExpirationTime(nowS + ACCESS_TOKEN_LIFETIME_S)
    if (issuer !== undefined) token.setIssuer(issuer)
    if (audience !== undefined) token.setAudience(audience)
    return token.sign(key)
  }
}
