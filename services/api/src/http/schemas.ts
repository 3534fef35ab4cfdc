import {
  CHANGE_TYPES,
  isEventId,
  isUserId,
  MAX_EVENT_ID,
  MAX_TOTAL_TICKETS,
  PUBLIC_OUTCOME_KINDS,
} from '@ticket-line/shared'
import { z } from 'zod'

const eventIdError = { error: `must be an integer from 1 to ${MAX_EVENT_ID}` }

/** An event id in a request body. */
export const eventIdSchema = z
  .int(eventIdError)
  .min(1, eventIdError)
  .max(MAX_EVENT_ID, eventIdError)
  .meta({ id: 'EventId', description: 'Identifies an event.', format: 'int64', example: 1001 })

const totalTicketsError = { error: `must be an integer from 0 to ${MAX_TOTAL_TICKETS}` }

/** The size of an event in a request body. */
export const totalTicketsSchema = z
  .int(totalTicketsError)
  .min(0, totalTicketsError)
  .max(MAX_TOTAL_TICKETS, totalTicketsError)
  .meta({
    description: 'Number of tickets. With 0, the event has only a waiting list.',
    example: 500,
  })

/** A user id in a request. */
export const userIdSchema = z
  .string({ error: 'must be a string' })
  .refine(isUserId, {
    error: 'must have 1 to 128 characters, no control characters and no lone surrogates',
  })
  .meta({
    id: 'UserId',
    description: 'Identifies a user. Ids are compared exactly.',
    minLength: 1,
    maxLength: 128,
    example: 'ada',
  })

/**
 * Shows a parameter in the OpenAPI document as clients give it: as a number, a boolean or an array.
 * Its schema parses it from text.
 */
export function shownAs(schema: {
  type: 'integer' | 'boolean' | 'array'
  format?: 'int64'
  minimum?: number
  maximum?: number
  items?: { type: 'string'; enum: string[] }
  default?: number | boolean
}): (shown: { jsonSchema: object }) => void {
  return ({ jsonSchema }) => {
    Object.assign(jsonSchema, { pattern: undefined, enum: undefined }, schema)
  }
}

/** An event id as text, in a path or a form. */
export const eventIdText = z
  .string()
  .regex(/^[1-9]\d{0,15}$/, eventIdError)
  .transform(Number)
  .refine(isEventId, eventIdError)

/** The path parameter `:eventId`. */
export const eventIdParams = z.object({
  eventId: eventIdText.meta({
    description: 'Identifies an event.',
    example: 1001,
    param: { id: 'EventId' },
    override: shownAs({ type: 'integer', format: 'int64', minimum: 1, maximum: MAX_EVENT_ID }),
  }),
})

// Members of response bodies. They repeat no input rule, because our own values are valid.
export const shownEventId = z.int().meta({ format: 'int64', example: 1001 })
export const shownUserId = z.string().meta({ example: 'ada' })
export const timeSchema = z.iso.datetime().meta({ example: '2030-01-31T18:00:00.000Z' })
export const countSchema = z.int().min(0)
export const positionSchema = z
  .int()
  .min(1)
  .meta({ description: 'Live rank in the waiting list; 1 is the next to be promoted.' })
/** A type of change, in a request or a response. */
export const changeTypeSchema = z
  .enum(CHANGE_TYPES, { error: `must be one of ${CHANGE_TYPES.join(', ')}` })
  .meta({ id: 'ChangeType' })
export const outcomeKindSchema = z.enum(PUBLIC_OUTCOME_KINDS).meta({ id: 'Outcome' })
export const messageSchema = z.strictObject({ message: z.string() })
