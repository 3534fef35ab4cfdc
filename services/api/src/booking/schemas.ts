import type { PublicRequest } from '@ticket-line/shared'
import { z } from 'zod'
import { problemSchema } from '../http/problem.js'
import {
  countSchema,
  eventIdSchema,
  messageSchema,
  outcomeKindSchema,
  positionSchema,
  shownEventId,
  shownUserId,
  timeSchema,
  userIdSchema,
} from '../http/schemas.js'

/** Body of `POST /book` and `POST /cancel`. */
export const bookingSchema = z
  .strictObject({ eventId: eventIdSchema, userId: userIdSchema.optional() })
  .meta({ id: 'BookingRequest', example: { eventId: 1001 } })

/** Response to a command that is stored in Redis and not decided yet. */
export const acceptedSchema = z
  .strictObject({
    message: z.literal('Request accepted'),
    jobId: z.string(),
    statusUrl: z.string(),
  })
  .meta({ id: 'Accepted' })

/** The members of a request that responses show. */
const shownRequest = { eventId: shownEventId, userId: shownUserId }

export function shownRequestOf({ eventId, userId }: PublicRequest) {
  return { eventId, userId }
}

/** Response to `POST /book` and `POST /cancel` with `Prefer: return=representation`. */
export const decisionSchema = z
  .strictObject({
    message: z.string(),
    outcome: outcomeKindSchema,
    jobId: z.string(),
    ...shownRequest,
    bookingId: z.string().optional(),
    position: positionSchema.optional(),
    promotedUserId: shownUserId
      .optional()
      .meta({ description: 'The user who got the canceled ticket. Only staff see it.' }),
    decidedAt: timeSchema,
  })
  .meta({ id: 'Decision' })

/** Response of `GET /jobs/:jobId`. */
export const jobSchema = z
  .strictObject({
    jobId: z.string(),
    ...shownRequest,
    type: z.enum(['book', 'cancel']),
    state: z.enum(['queued', 'active', 'done']),
    ahead: countSchema.nullable().meta({
      description: 'Approximate number of commands ahead of this one; null once the job is done.',
    }),
    acceptedAt: timeSchema,
    decidedAt: timeSchema.nullable(),
    outcome: outcomeKindSchema.nullable(),
    status: z.int().nullable().meta({
      description: 'Status of the response to a client that waited; null until the job is done.',
    }),
    body: z.union([messageSchema, decisionSchema, problemSchema]).nullable().meta({
      description: 'Body of the response to a client that waited; null until the job is done.',
    }),
  })
  .meta({ id: 'Job' })
