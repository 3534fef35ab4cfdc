export type Role = 'user' | 'organizer' | 'admin'

/** Who makes a request, once a token was verified and the local account, where there is one, was asked. */
export interface Principal {
  userId: string
  role: Role
}

/** Staff may act for anybody and read everybody's lists. */
export function isStaff(principal: Principal): boolean {
  return principal.role !== 'user'
}
