export type Role = 'user' | 'organizer' | 'admin'

/** Who makes a request: the subject of a verified token, with the role of the local account if it has one. */
export interface Principal {
  userId: string
  role: Role
  /** Set if another issuer signed the token. A local account of that name is then somebody else. */
  external?: true
}

/** Staff may act for anybody and read everybody's lists. */
export function isStaff(principal: Principal): boolean {
  return principal.role !== 'user'
}
