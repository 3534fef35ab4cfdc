import { PROBLEMS } from '@ticket-line/shared'
import { z } from 'zod'
import { nextSchema, outcomeKindSchema } from './schemas.js'

// Bodies as clients receive them: for OpenAPI, and for tests that hold answers against them.

const eventId = z.int().meta({ example: 1001 })
const userId = z.string().meta({ example: 'ada' })
const at = z.iso.datetime().meta({ example: '2030-01-31T18:00:00.000Z' })
const count = z.int().min(0)
const position = z.int().min(1).meta({ description: 'Live rank, 1 = next.' })

/** `application/problem+json` (RFC 9457). */
export const problemSchema = z
  .strictObject({
    type: z.string().meta({ example: 'urn:ticket-line:problem:invalid_request' }),
    title: z.string().meta({ example: 'Bad Request' }),
    status: z.int().meta({ example: 400 }),
    code: z
      .enum(Object.keys(PROBLEMS) as [keyof typeof PROBLEMS])
      .meta({ description: 'Stable; what programs read.' }),
    message: z.string().meta({ description: 'A sentence for a person.' }),
    detail: z.string().meta({ description: 'The same sentence (RFC 9457).' }),
    errors: z
      .array(
        z.strictObject({
          pointer: z.string().meta({ description: 'JSON pointer (RFC 6901).' }),
          detail: z.string(),
        }),
      )
      .optional(),
    position: position.optional(),
  })
  .meta({ id: 'Problem' })

export const messageSchema = z.strictObject({ message: z.string() }).meta({ id: 'Message' })

export const acceptedSchema = z
  .strictObject({
    message: z.literal('Request accepted'),
    jobId: z.string(),
    statusUrl: z.string(),
  })
  .meta({ id: 'Accepted' })

/** What `Prefer: return=representation` adds to `/book` and `/cancel`. */
export const representationSchema = z
  .strictObject({
    message: z.string(),
    outcome: outcomeKindSchema,
    jobId: z.string(),
    eventId,
    userId,
    bookingId: z.string().optional(),
    position: position.optional(),
    promotedUserId: userId
      .optional()
      .meta({ description: 'Who got the canceled ticket; for staff only.' }),
    decidedAt: at,
  })
  .meta({ id: 'Decision' })

export const initializedSchema = z
  .strictObject({
    message: z.literal('Event initialized'),
    event: z.strictObject({ eventId, totalTickets: count, availableTickets: count }),
  })
  .meta({ id: 'InitializedEvent' })

export const statusSchema = z
  .strictObject({ eventId, availableTickets: count, waitingListCount: count })
  .meta({ id: 'EventStatus' })

export const eventsPageSchema = z
  .strictObject({
    events: z.array(
      z.strictObject({
        eventId,
        totalTickets: count,
        availableTickets: count,
        waitingListCount: count,
      }),
    ),
    next: nextSchema,
  })
  .meta({ id: 'EventsPage' })

export const standingSchema = z
  .strictObject({
    eventId,
    userId,
    standing: z.enum(['booked', 'waiting', 'none']),
    position: position.nullable(),
    bookingId: z.string().nullable(),
  })
  .meta({ id: 'Standing' })

export const bookingsPageSchema = z
  .strictObject({
    bookings: z.array(
      z.strictObject({ bookingId: z.string(), userId, bookedAt: at, promoted: z.boolean() }),
    ),
    next: nextSchema,
  })
  .meta({ id: 'BookingsPage' })

export const waitingPageSchema = z
  .strictObject({
    waiting: z.array(z.strictObject({ userId, position, since: at })),
    next: nextSchema,
  })
  .meta({ id: 'WaitingListPage' })

export const jobSchema = z
  .strictObject({
    jobId: z.string(),
    eventId,
    userId,
    type: z.enum(['book', 'cancel']),
    state: z.enum(['queued', 'active', 'done']),
    ahead: count
      .nullable()
      .meta({ description: 'About how many commands stand in front; null once done.' }),
    acceptedAt: at,
    decidedAt: at.nullable(),
    outcome: outcomeKindSchema.nullable(),
    status: z
      .int()
      .nullable()
      .meta({ description: 'Status that a waiting client would have received.' }),
    body: z
      .union([messageSchema, representationSchema, problemSchema])
      .nullable()
      .meta({ description: 'Body that a waiting client would have received.' }),
  })
  .meta({ id: 'Job' })
