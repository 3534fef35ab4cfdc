import type { components } from '@ticket-line/client'
import { moment, number } from '../../format.js'

type Schemas = components['schemas']
type Scope = Schemas['Scope']
type ApiKey = Schemas['ApiKey']

/** What each scope allows. */
export const SCOPE_NAMES: Readonly<Record<Scope, string>> = {
  'events:read': 'See who owns an event',
  'events:write': 'Create, change and cancel events',
  'bookings:read': 'Read bookings, holds and waiting lists',
  'bookings:write': 'Book, confirm, extend and cancel for any person, and give tickets',
  'changes:read': 'Read the change log',
  'webhooks:write': 'Manage webhooks',
}

/** For which events something works. */
export function eventsText(eventIds: readonly number[] | null): string {
  if (eventIds === null) return 'All events'
  return eventIds.length === 1 ? `Event ${eventIds[0]}` : `Events ${eventIds.join(', ')}`
}

/** What is known about a key, one fact an item. @param now ms since 1970 */
export function factsOf(key: ApiKey, now: number): string[] {
  const { rateLimit, expiresAt, lastUsedAt, previousKeyUntil, createdAt } = key
  const { requests, windowSeconds } = rateLimit
  const facts = [
    eventsText(key.eventIds),
    `At most ${number(requests)} requests in ${number(windowSeconds)} s`,
    `Created ${moment(createdAt)}`,
    lastUsedAt === null ? 'Never used' : `Last used ${moment(lastUsedAt)}`,
  ]
  if (expiresAt !== null)
    facts.push(`${Date.parse(expiresAt) <= now ? 'Expired' : 'Expires'} ${moment(expiresAt)}`)
  if (previousKeyUntil !== null)
    facts.push(`The key before the last replacement works until ${moment(previousKeyUntil)}`)
  return facts
}
