import { ENDED_SHOWN_DAYS, type UserBookingPlace } from '@ticket-line/db'
import { isEventId, isoOf } from '@ticket-line/shared'
import { z } from 'zod'
import {
  afterParameter,
  cutPage,
  decodeTextCursor,
  limitParameter,
  nextLink,
  nextSchema,
  wordsParameter,
} from '../http/paging.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import { positionSchema, shownEventId, timeSchema } from '../http/schemas.js'
import type { EventReads } from './reads.js'

const STANDINGS = ['booked', 'held', 'waiting', 'ended'] as const

const myBookingsQuery = z.object({
  standing: wordsParameter(STANDINGS)
    .default(STANDINGS)
    .meta({
      description: 'Lists only what has one of these standings.',
      example: ['booked', 'held'],
    }),
  limit: limitParameter(100),
  after: afterParameter(undefined, placeOf),
})

/** Response of `GET /me/bookings`. */
export const myBookingsSchema = z
  .strictObject({
    bookings: z.array(
      z
        .strictObject({
          eventId: shownEventId,
          name: z.string().nullable(),
          startsAt: timeSchema.nullable(),
          standing: z.enum(STANDINGS),
          bookingId: z.string().nullable(),
          position: positionSchema.nullable(),
          expiresAt: timeSchema.nullable(),
          offered: z.boolean(),
          since: timeSchema.meta({ description: 'Since when I have this standing.' }),
          ended: z.enum(['canceled', 'expired', 'event_canceled']).nullable(),
        })
        .meta({ id: 'MyBooking' }),
    ),
    next: nextSchema,
  })
  .meta({
    id: 'MyBookingsPage',
    example: {
      bookings: [
        {
          eventId: 1001,
          name: 'Concert',
          startsAt: '2030-02-28T19:00:00.000Z',
          standing: 'booked',
          bookingId: '1001-7',
          position: null,
          expiresAt: null,
          offered: false,
          since: '2030-01-31T18:00:00.000Z',
          ended: null,
        },
      ],
      next: null,
    },
  })

/** `GET /me/bookings`. */
export function myBookingsRoute({ events }: { events: Pick<EventReads, 'userBookings'> }): Route {
  return defineRoute({
    method: 'GET',
    path: '/me/bookings',
    auth: 'required',
    limit: 'general',
    query: myBookingsQuery,
    docs: {
      operationId: 'listMyBookings',
      tag: 'Booking',
      summary: 'List my bookings, holds and waiting-list entries, the latest first',
      description: `What has ended is listed for ${ENDED_SHOWN_DAYS} days.`,
      problems: ['unavailable'],
    },
    responses: {
      200: {
        description: 'A page of my bookings.',
        schema: myBookingsSchema,
        headers: ['Link'],
      },
    },
    async handler(c, { query: { standing, limit, after } }, reply) {
      const { userId } = principalOf(c)
      const filter = { standings: standing, after, limit: limit + 1 }
      const rows = await events.userBookings(userId, filter)
      const { page, next } = cutPage(CURSOR_KIND, rows, limit, ({ place }) => keyOf(place))
      const bookings = page.map((booking) => ({
        eventId: booking.eventId,
        name: booking.name,
        startsAt: isoOf(booking.startsAtMs),
        standing: booking.standing,
        bookingId: booking.bookingId,
        position: booking.position,
        expiresAt: isoOf(booking.expiresAtMs),
        offered: booking.offered,
        since: isoOf(booking.sinceMs),
        ended: booking.ended,
      }))
      return reply(c, 200, { bookings, next }, nextLink(c, next))
    },
  })
}

const CURSOR_KIND = 'my bookings'
const PLACE = /^(\d{1,16})\.(\d{1,16})\.(\d{1,16})$/

function keyOf({ sinceUs, eventId, sequence }: UserBookingPlace): string {
  return `${sinceUs}.${eventId}.${sequence}`
}

function placeOf(cursor: string): UserBookingPlace | undefined {
  const key = decodeTextCursor(CURSOR_KIND, cursor, (text) => PLACE.test(String(text)))
  const [, sinceUs = '', ...numbers] = PLACE.exec(key ?? '') ?? []
  const [eventId = 0, sequence = 0] = numbers.map(Number)
  return isEventId(eventId) && isEventId(sequence) ? { sinceUs, eventId, sequence } : undefined
}
