import type { Role } from '@ticket-line/shared'

/**
 * Who makes a request: the subject of a verified token, with the role of the local account if it
 * has one.
 */
export interface Principal {
  userId: string
  role: Role
  /**
   * Set if another issuer signed the token. A local account of that name belongs to somebody else.
   */
  external?: true
  /** What a token of this installation says about its origin; absent if it says nothing. */
  origin?: TokenOrigin
}

/** Shows whether a token or cookie was given out before the account's earlier ones ended. */
export interface TokenOrigin {
  /** Generation of the account at that time. */
  generation?: number
  /** The sign-in, a family of refresh tokens. */
  familyId?: string
  /** When it was made, in whole seconds. */
  issuedAtS?: number
}

/** Staff may act for anybody and read everybody's lists. */
export function isStaff(principal: Principal): boolean {
  return principal.role !== 'user'
}
