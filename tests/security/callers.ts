import { randomBytes } from 'node:crypto'
import { signToken } from '../stack/client.ts'

/** Who calls a route. `user` owns the data that the call names; `other` is a user who does not. */
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

/** Their tokens. The last two claim to be an admin: a route that accepts one is wide open. */
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
