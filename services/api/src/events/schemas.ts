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
  .meta({
    id: 'InitializedEvent',
    example: {
      message: 'Event initialized',
      event: { eventId: 1, totalTickets: 500, availableTickets: 500 },
    },
  })

/** Response of `GET /status/:eventId`. */
export const statusSchema = z
  .strictObject({
    eventId: shownEventId,
    availableTickets: countSchema,
    waitingListCount: countSchema,
  })
  .meta({
    id: 'EventStatus',
    example: { eventId: 1001, availableTickets: 42, waitingListCount: 0 },
  })

/** Response of `GET /events`. */
export const eventsPageSchema = z
  .strictObject({
    events: z.array(
      z
        .strictObject({
          eventId: shownEventId,
          name: z.string().nullable(),
          startsAt: timeSchema.nullable(),
          state: saleStateSchema,
          totalTickets: countSchema,
          availableTickets: countSchema,
          waitingListCount: countSchema,
        })
        .meta({ id: 'ListedEvent' }),
    ),
    next: nextSchema,
  })
  .meta({
    id: 'EventsPage',
    example: {
      events: [
        {
          eventId: 1001,
          name: 'Concert',
          startsAt: '2030-02-28T19:00:00.000Z',
          state: 'open',
          totalTickets: 500,
          availableTickets: 42,
          waitingListCount: 0,
        },
      ],
      next: null,
    },
  })

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
  .meta({
    id: 'Standing',
    example: {
      eventId: 1001,
      userId: 'ada',
      standing: 'waiting',
      position: 17,
      bookingId: null,
      expiresAt: null,
      offered: false,
    },
  })

/** Response of `GET /events/:eventId/bookings`. */
export const bookingsPageSchema = z.strictObject({
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

/** Response of `GET /events/:eventId/bookings?standing=held`. */
export const holdsPageSchema = z.strictObject({
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

/**
 * The schema of both lists in the OpenAPI document. It is one schema, because a generated client
 * cannot tell the lists apart by their items.
 */
export const bookingsOrHoldsSchema = z
  .strictObject({
    bookings: z.array(
      z
        .strictObject({
          bookingId: z.string(),
          userId: shownUserId,
          bookedAt: timeSchema.optional().meta({ description: 'Of bookings.' }),
          promoted: z.boolean().optional().meta({
            description: 'Of bookings: whether the ticket came from the waiting list.',
          }),
          heldAt: timeSchema.optional().meta({ description: 'Of holds.' }),
          expiresAt: timeSchema.optional().meta({ description: 'Of holds.' }),
          offered: z.boolean().optional().meta({
            description: 'Of holds: whether the ticket came from the waiting list.',
          }),
        })
        .meta({ id: 'ListedBooking' }),
    ),
    next: nextSchema,
  })
  .meta({ id: 'BookingsPage' })

/** Response of `GET /events/:eventId/waiting-list`. */
export const waitingPageSchema = z
  .strictObject({
    waiting: z.array(
      z
        .strictObject({ userId: shownUserId, position: positionSchema, since: timeSchema })
        .meta({ id: 'WaitingListEntry' }),
    ),
    next: nextSchema,
  })
  .meta({
    id: 'WaitingListPage',
    example: {
      waiting: [{ userId: 'ada', position: 1, since: '2030-01-31T18:00:00.000Z' }],
      next: null,
    },
  })
