import { isUserId } from './ids.js'

/** What a key may do, if the person who created it may do it. */
export const SCOPES = [
  'events:read',
  'events:write',
  'bookings:read',
  'bookings:write',
  'changes:read',
  'webhooks:write',
] as const

export type Scope = (typeof SCOPES)[number]

/** How many requests a key may make in a window. */
export interface KeyRateLimit {
  requests: number
  windowSeconds: number
}

/** Prefix of the caller of a command that a key sent. No user id contains U+0001. */
const KEY_CALLER = 'key\u0001'
const KEY_ID = /^[0-9A-Za-z]{16}$/

/** True for the id of a key: the part of the key that is not secret. */
export function isKeyId(text: string): boolean {
  return KEY_ID.test(text)
}

/** How a key is stored as the caller of a command and as the actor of a change. */
export function callerOfKey(keyId: string): string {
  return KEY_CALLER + keyId
}

/** The id of the key that sent a command; undefined if a user sent it. */
export function keyIdOf(caller: string): string | undefined {
  return caller.startsWith(KEY_CALLER) ? caller.slice(KEY_CALLER.length) : undefined
}

/** True for a user id, and for what `callerOfKey` returns. */
export function isCaller(value: unknown): value is string {
  if (isUserId(value)) return true
  return typeof value === 'string' && isKeyId(keyIdOf(value) ?? '')
}
