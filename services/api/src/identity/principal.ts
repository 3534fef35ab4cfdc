export type Role = 'user' | 'organizer' | 'admin'

/** Who makes a request: the subject of a verified token, with the role of the local account if it has one. */
export interface Principal {
  userId: string
  role: Role
  /** Set if another issuer signed the token. A local account of that name is then somebody else. */
  external?: true
  /** What a token of this installation says about where it comes from; absent if it says nothing. */
  origin?: TokenOrigin
}

/** What tells whether a token or cookie was given out before everything of its account ended. */
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
