import { randomBytes } from 'node:crypto'
import { SCOPES } from '@ticket-line/shared'
import { type Client, signToken } from '../stack/client.ts'

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

/**
 * The API keys that call a route. All belong to `organizer`. Each of the first six has one scope;
 * `elsewhere` has all of them, but for another event only; `deleted` has all of them.
 */
export const KEY_CALLERS = [...SCOPES, 'elsewhere', 'deleted'] as const
export type KeyCaller = (typeof KEY_CALLERS)[number]

/** @param otherEvent the event of `elsewhere`, which no call names */
export async function keysOf(
  api: Client,
  token: string,
  otherEvent: number,
): Promise<Record<KeyCaller, string>> {
  async function create(settings: object): Promise<{ id: string; key: string }> {
    const { status, body } = await api.post('/api-keys', { name: 'Test', ...settings }, { token })
    if (status !== 201) throw new Error(`no key was made: ${status} ${JSON.stringify(body)}`)
    return body
  }
  const ofScopes = await Promise.all(
    SCOPES.map(async (scope) => [scope, (await create({ scopes: [scope] })).key] as const),
  )
  const elsewhere = await create({ scopes: SCOPES, eventIds: [otherEvent] })
  const deleted = await create({ scopes: SCOPES })
  await api.request('DELETE', `/api-keys/${deleted.id}`, undefined, { token })
  const all = [...ofScopes, ['elsewhere', elsewhere.key], ['deleted', deleted.key]]
  return Object.fromEntries(all) as Record<KeyCaller, string>
}
