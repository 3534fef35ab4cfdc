import type { Role } from '@ticket-line/shared'

/**
 * The authenticated sender of a request: the subject of a verified token, with the role of the
 * local account if there is one.
 */
export interface Principal {
  userId: string
  role: Role
  /**
   * Set if another issuer signed the token. A local account with the same name belongs to a
   * different person.
   */
  external?: true
  /** What a token of this installation says about its origin; absent if it says nothing. */
  origin?: TokenOrigin
  /** When the token expires, ms since 1970; absent if the credential was not a token. */
  expiresAtMs?: number
}

/**
 * What shows whether a token or cookie was revoked. An account can revoke all that were issued
 * before a certain moment, except those of one sign-in.
 */
export interface TokenOrigin {
  /** Generation of the account when the token was issued. */
  generation?: number
  /** The sign-in that the token comes from, which is a family of refresh tokens. */
  familyId?: string
  /** When the token was issued, in whole seconds since 1970. */
  issuedAtS?: number
}

/** Staff may act for all users and read all lists. */
export function isStaff(principal: Principal): boolean {
  return principal.role !== 'user'
}
