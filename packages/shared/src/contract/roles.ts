/** The roles of accounts and tokens, the least privileged first. */
export const ROLES = ['user', 'organizer', 'admin'] as const

export type Role = (typeof ROLES)[number]
