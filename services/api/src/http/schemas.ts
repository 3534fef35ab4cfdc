import {
  isEventId,
  isUserId,
  MAX_EVENT_ID,
  MAX_TOTAL_TICKETS,
  OUTCOME_KINDS,
} from '@ticket-line/shared'
import { z } from 'zod'
import { decodeCursor } from './paging.js'

const eventIdError = { error: `must be an integer from 1 to ${MAX_EVENT_ID}` }

/** An event id in JSON. */
export const eventIdSchema = z
  .int(eventIdError)
  .min(1, eventIdError)
  .max(MAX_EVENT_ID, eventIdError)
  .meta({ id: 'EventId', description: 'Names an event.', example: 1001 })

const totalTicketsError = { error: `must be an integer from 0 to ${MAX_TOTAL_TICKETS}` }

/** The size of an event. */
export const totalTicketsSchema = z
  .int(totalTicketsError)
  .min(0, totalTicketsError)
  .max(MAX_TOTAL_TICKETS, totalTicketsError)
  .meta({ description: 'Size of the event; 0 makes a waiting list only.', example: 500 })

/** A user id, compared as it is. */
export const userIdSchema = z
  .string({ error: 'must be a string' })
  .refine(isUserId, {
    error: 'must hold 1 to 128 characters, no control characters and no lone surrogates',
  })
  .meta({
    id: 'UserId',
    description: 'Names a user, compared as it is.',
    minLength: 1,
    maxLength: 128,
    example: 'ada',
  })

/** `:eventId` of a path. */
export const eventIdParams = z.object({
  eventId: z
    .string()
    .regex(/^[1-9]\d{0,15}$/, eventIdError)
    .transform(Number)
    .refine(isEventId, eventIdError)
    .meta({ description: 'Names an event.', example: '1001' }),
})

const limitError = { error: 'must be an integer from 1 to 1000' }

/** `limit` and `after` of a paged list; `after` becomes the last key shown, 0 for the first page. */
export function pageQuery(list: string) {
  return z.object({
    limit: z
      .string()
      .regex(/^(?:[1-9]\d{0,2}|1000)$/, limitError)
      .default('50')
      .transform(Number)
      .meta({ description: 'Most items on the page, 1 to 1000.', example: '50' }),
    after: z
      .string()
      .optional()
      .transform((cursor, context) => {
        if (cursor === undefined) return 0
        const key = decodeCursor(list, cursor)
        if (key !== undefined) return key
        context.addIssue('is not a `next` of this list')
        return z.NEVER
      })
      .meta({ description: '`next` of the page before.' }),
  })
}

export const nextSchema = z
  .string()
  .nullable()
  .meta({ description: 'What `after` of the next page is; null at the end.' })

export const outcomeKindSchema = z.enum(OUTCOME_KINDS).meta({ id: 'Outcome' })
