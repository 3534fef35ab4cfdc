import { type Clock, systemClock } from '@ticket-line/shared'
import { SignJWT } from 'jose'
import type { Principal } from '../http/principal.js'
import type { AuthConfig } from './config.js'
import type { Keyring } from './keyring.js'

/** Lifetime of an access token, s. */
export const ACCESS_TOKEN_LIFETIME_S = 900

/**
 * Signs an access token with the first EdDSA key if there is one, otherwise with HS256. The token
 * contains its sign-in (`sid`), so that signing out needs only the token. It also contains the
 * generation of the account (`gen`), so that a password change revokes it.
 */
export type TokenIssuer = (
  principal: Pick<Principal, 'userId' | 'role'>,
  origin: { familyId: string; generation: number },
) => Promise<string>

/** @throws Error if the installation has no key of its own: nobody could sign in without one */
export function createTokenIssuer(
  keyring: Keyring,
  { issuer, audience, roleClaim = 'role' }: Pick<AuthConfig, 'issuer' | 'audience' | 'roleClaim'>,
  clock: Clock = systemClock,
): TokenIssuer {
  const [own] = keyring.own
  const key = own?.privateKey ?? keyring.secret
  if (key === undefined) throw new Error('Local accounts need JWT_SECRET or JWT_PRIVATE_KEYS')
  const header =
    own === undefined ? { alg: 'HS256', typ: 'JWT' } : { alg: 'EdDSA', typ: 'JWT', kid: own.kid }

  return function issueToken({ userId, role }, { familyId, generation }) {
    const nowS = Math.floor(clock.wallMs() / 1000)
    const token = new SignJWT({ [roleClaim]: role, sid: familyId, gen: generation })
      .setProtectedHeader(header)
      .setSubject(userId)
      .setIssuedAt(nowS)
      .setExpirationTime(nowS + ACCESS_TOKEN_LIFETIME_S)
    if (issuer !== undefined) token.setIssuer(issuer)
    if (audience !== undefined) token.setAudience(audience)
    return token.sign(key)
  }
}
