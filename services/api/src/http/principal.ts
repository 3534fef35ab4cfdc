import type { Role, Scope } from '@ticket-line/shared'

/**
 * The authenticated sender of a request: the subject of a verified token, or the person who created
 * an API key. The role is that of the local account if there is one.
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
  /**
   * When the token or key expires, ms since 1970; absent if the credential is neither, or never
   * expires.
   */
  expiresAtMs?: number
  /** The key that sent the request; absent if the person sent it. */
  key?: PrincipalKey
}

/** The key that sent a request, with the limits that it adds to those of its person. */
export interface PrincipalKey {
  /** The part of the key that is not secret. */
  id: string
  /** How the key is stored as the caller of commands, see `callerOfKey`. */
  caller: string
  scopes: ReadonlySet<Scope>
  /** The only events that it may act on; absent if it may act on all events of its person. */
  eventIds?: ReadonlySet<number>
  rateLimit: { requests: number; windowMs: number }
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

/**
 * Who sends a command: the key of the request, otherwise its user. Idempotency keys belong to the
 * caller, and the change log names the caller as actor.
 */
export function callerOf({ key, userId }: Principal): string {
  return key === undefined ? userId : key.caller
}

/** Organizers and admins may create events, webhooks and API keys. */
export function isOrganizer({ role }: Principal): boolean {
  return role !== 'user'
}

/**
 * True for a person, and for an API key with this scope.
 *
 * @param eventId the event that the call is about; undefined if it is about no event
 */
export function hasScope({ key }: Principal, scope: Scope, eventId?: number): boolean {
  if (key === undefined) return true
  const isItsEvent = eventId === undefined || (key.eventIds?.has(eventId) ?? true)
  return isItsEvent && key.scopes.has(scope)
}
