import { randomBytes } from 'node:crypto'
import { signToken } from '../stack/client.ts'

/** Who comes to a route. `user` owns what the route is asked about, `other` is a user like him who does not. */
export const CALLERS = [
  'nobody',
  'user',
  'other',
  'organizer',
  'admin',
  'expired',
  'forged',
] as const
export type Caller = (typeof CALLERS)[number]

/** The token of each; the last two claim an admin, so that whoever believes them opens everything. */
export async function tokensOf(secret: string): Promise<Record<Caller, string | undefined>> {
  const [user, other, organizer, admin, expired, forged] = await Promise.all([
    signToken('ada', 'user', { secret }),
    signToken('bob', 'user', { secret }),
    signToken('olga', 'organizer', { secret }),
    signToken('root', 'admin', { secret }),
    signToken('root', 'admin', { secret, expiresInS: -1 }),
    signToken('root', 'admin', { secret: randomBytes(32).toString('hex') }),
  ])
  return { nobody: undefined, user, other, organizer, admin, expired, forged }
}
