import { z } from 'zod'
import { nextSchema } from '../http/paging.js'
import {
  countSchema,
  eventIdSchema,
  positionSchema,
  shownEventId,
  shownUserId,
  timeSchema,
  totalTicketsSchema,
} from '../http/schemas.js'
import { saleStateSchema } from './event-body.js'

/** Body of `POST /initialize`. */
export const initializeSchema = z
  .strictObject({ eventId: eventIdSchema, totalTickets: totalTicketsSchema })
  .meta({ id: 'InitializeRequest', example: { eventId: 1, totalTickets: 500 } })

/** Response of `POST /initialize`. */
export const initializedSchema = z
  .strictObject({
    message: z.literal('Event initialized'),
    event: z.strictObject({
      eventId: shownEventId,
      totalTickets: countSchema,
      availableTickets: countSchema,
    }),
  })
  .meta({ id: 'InitializedEvent' })

/** Response of `GET /status/:eventId`. */
export const statusSchema = z
  .strictObject({
    eventId: shownEventId,
    availableTickets: countSchema,
    waitingListCount: countSchema,
  })
  .meta({ id: 'EventStatus' })

/** Response of `GET /events`. */
export const eventsPageSchema = z
  .strictObject({
    events: z.array(
      z.strictObject({
        eventId: shownEventId,
        name: z.string().nullable(),
        startsAt: timeSchema.nullable(),
        state: saleStateSchema,
        totalTickets: countSchema,
        availableTickets: countSchema,
        waitingListCount: countSchema,
      }),
    ),
    next: nextSchema,
  })
  .meta({ id: 'EventsPage' })

/** Response of `GET /events/:eventId/me`. */
export const standingSchema = z
  .strictObject({
    eventId: shownEventId,
    userId: shownUserId,
    standing: z.enum(['booked', 'held', 'waiting', 'none']),
    position: positionSchema.nullable(),
    bookingId: z.string().nullable(),
    expiresAt: timeSchema.nullable().meta({ description: 'When the hold ends.' }),
    offered: z.boolean().meta({ description: 'True for a hold that came from the waiting list.' }),
  })
  .meta({ id: 'Standing' })

/** Response of `GET /events/:eventId/bookings`. */
export const bookingsPageSchema = z
  .strictObject({
    bookings: z.array(
      z.strictObject({
        bookingId: z.string(),
        userId: shownUserId,
        bookedAt: timeSchema,
        promoted: z.boolean(),
      }),
    ),
    next: nextSchema,
  })
  .meta({ id: 'BookingsPage' })

/** Response of `GET /events/:eventId/bookings?standing=held`. */
export const holdsPageSchema = z
  .strictObject({
    bookings: z.array(
      z.strictObject({
        bookingId: z.string(),
        userId: shownUserId,
        heldAt: timeSchema,
        expiresAt: timeSchema,
        offered: z.boolean(),
      }),
    ),
    next: nextSchema,
  })
  .meta({ id: 'HoldsPage' })

/** Response of `GET /events/:eventId/waiting-list`. */
export const waitingPageSchema = z
  .strictObject({
    waiting: z.array(
      z.strictObject({ userId: shownUserId, position: positionSchema, since: timeSchema }),
    ),
    next: nextSchema,
  })
  .meta({ id: 'WaitingListPage' })
