import type { ApiKey } from '@ticket-line/db'
import {
  isoOf,
  MAX_KEY_EVENTS,
  MAX_KEY_NAME_LENGTH,
  MAX_KEY_WINDOW_SECONDS,
  MAX_KEYS_PER_USER,
  SCOPES,
} from '@ticket-line/shared'
import { z } from 'zod'
import { textSchema, timeInput } from '../events/settings.js'
import { eventIdSchema, shownEventId, timeSchema } from '../http/schemas.js'
import { effectiveRateLimit, mostIn } from './known-keys.js'

/** Message of `api_key_not_found`. */
export const API_KEY_NOT_FOUND = 'You have no such API key.'
/** Message of `too_many_api_keys`. */
export const TOO_MANY_API_KEYS = `You have ${MAX_KEYS_PER_USER} API keys, which is the maximum. Delete one first.`

/** The path parameter `:id`. */
export const keyParams = z.object({
  id: z.string().meta({ description: 'Identifies an API key.', example: 'Zx81kQ4fWm2Rb7Yp' }),
})

function unique<T>(values: T[]): T[] {
  return [...new Set(values)]
}

const scopeSchema = z
  .enum(SCOPES, { error: `must be one of ${SCOPES.join(', ')}` })
  .meta({ id: 'Scope' })

const scopesError = { error: 'must be an array of at least one scope' }
const scopesSchema = z
  .array(scopeSchema, scopesError)
  .min(1, scopesError)
  .max(SCOPES.length, { error: 'must not name a scope twice' })
  .transform(unique)
  .meta({ description: 'What the key may do, if its owner may do it.' })

const eventIdsError = { error: `must be an array of 1 to ${MAX_KEY_EVENTS} event ids, or null` }
const eventIdsSchema = z
  .array(eventIdSchema, eventIdsError)
  .min(1, eventIdsError)
  .max(MAX_KEY_EVENTS, eventIdsError)
  .transform(unique)
  .nullable()
  .meta({ description: 'The only events that the key may act on; null for all.' })

const requestsError = { error: 'must be an integer of at least 1' }
const windowError = { error: `must be an integer from 1 to ${MAX_KEY_WINDOW_SECONDS}` }

/**
 * The body of `POST /api-keys`.
 *
 * @param maxPerMinute `KEY_RATE_LIMIT_MAX`
 */
export function newKeyBody(maxPerMinute: number) {
  const rateLimit = z
    .strictObject({
      requests: z.int(requestsError).min(1, requestsError),
      windowSeconds: z
        .int(windowError)
        .min(1, windowError)
        .max(MAX_KEY_WINDOW_SECONDS, windowError),
    })
    .superRefine(({ requests, windowSeconds }, context) => {
      const most = mostIn(windowSeconds, maxPerMinute)
      if (requests <= most) return
      context.addIssue({
        code: 'custom',
        path: ['requests'],
        message: `must be at most ${most} in ${windowSeconds} s`,
      })
    })
    .nullable()
    .meta({
      description:
        'How many requests the key may make in a window. By default 6,000 in 60 s. The operator sets the maximum, 60,000 a minute by default.',
    })
  return z
    .strictObject({
      name: textSchema(MAX_KEY_NAME_LENGTH),
      scopes: scopesSchema,
      eventIds: eventIdsSchema.default(null),
      expiresAt: timeInput
        .nullable()
        .default(null)
        .meta({ description: 'When the key stops working; null for never.' }),
      rateLimit: rateLimit.default(null),
    })
    .meta({
      id: 'NewApiKey',
      example: { name: 'Shop', scopes: ['bookings:read', 'bookings:write'], eventIds: [1001] },
    })
}

const shownKey = {
  id: z.string().meta({ example: 'Zx81kQ4fWm2Rb7Yp' }),
  name: z.string().meta({ example: 'Shop' }),
  scopes: z.array(scopeSchema),
  eventIds: z.array(shownEventId).nullable(),
  expiresAt: timeSchema.nullable(),
  rateLimit: z
    .strictObject({
      requests: z.int().meta({ example: 6000 }),
      windowSeconds: z.int().meta({ example: 60 }),
    })
    .meta({ id: 'KeyRateLimit' }),
  createdAt: timeSchema,
  lastUsedAt: timeSchema.nullable().meta({
    description: 'When the key was last used, to the minute; null if it was never used.',
  }),
  previousKeyUntil: timeSchema.nullable().meta({
    description: 'When the key before the last rotation stops working; null if none works.',
  }),
}

const KEY_EXAMPLE = {
  id: 'Zx81kQ4fWm2Rb7Yp',
  name: 'Shop',
  scopes: ['bookings:read', 'bookings:write'],
  eventIds: [1001],
  expiresAt: null,
  rateLimit: { requests: 6000, windowSeconds: 60 },
  createdAt: '2030-01-15T09:30:00.000Z',
  lastUsedAt: null,
  previousKeyUntil: null,
}

export const keyListSchema = z
  .strictObject({ keys: z.array(z.strictObject(shownKey).meta({ id: 'ApiKey' })) })
  .meta({ id: 'ApiKeyList', example: { keys: [KEY_EXAMPLE] } })

/** Response of `POST /api-keys` and `POST /api-keys/:id/rotate`. */
export const createdKeySchema = z
  .strictObject({
    ...shownKey,
    key: z.string().meta({
      description: 'The key itself. It is never shown again.',
      example: 'tlk_<id>_<secret>',
    }),
  })
  .meta({ id: 'CreatedApiKey', example: { ...KEY_EXAMPLE, key: 'tlk_<id>_<secret>' } })

/** A key as its owner sees it. */
export function keyBodyOf(key: ApiKey, maxPerMinute: number) {
  return {
    id: key.keyId,
    name: key.name,
    scopes: key.scopes,
    eventIds: key.eventIds,
    expiresAt: isoOf(key.expiresAtMs),
    rateLimit: effectiveRateLimit(key.rateLimit, maxPerMinute),
    createdAt: isoOf(key.createdAtMs),
    lastUsedAt: isoOf(key.lastUsedAtMs),
    previousKeyUntil: isoOf(key.previousUntilMs),
  }
}
