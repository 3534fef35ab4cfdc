import { AppError } from '@ticket-line/shared'
import { z } from 'zod'
import { audit } from '../http/audit.js'
import { matchesEtag } from '../http/etag.js'
import { cutPage } from '../http/paging.js'
import { eventNotFound } from '../http/refusals.js'
import { reply } from '../http/reply.js'
import {
  eventsPageSchema,
  initializedSchema,
  standingSchema,
  statusSchema,
} from '../http/response-schemas.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import { eventIdParams, eventIdSchema, pageQuery, totalTicketsSchema } from '../http/schemas.js'
import type { EventReads } from './reads.js'

export interface EventDeps {
  events: EventReads
  /**
   * `INITIALIZE_OPEN`: anybody may make an event, as in the original API that this service
   * replaces.
   */
  initializeOpen: boolean
}

/** Making events, and what anybody may read about them. */
export function eventRoutes(deps: EventDeps): Route[] {
  return [initializeRoute(deps), statusRoute(deps), eventsRoute(deps), standingRoute(deps)]
}

function initializeRoute({ events, initializeOpen }: EventDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/initialize',
    ...(initializeOpen ? { auth: 'ifSent' } : { auth: 'required', role: 'staff' }),
    limit: initializeOpen ? 'address' : 'general',
    body: z
      .strictObject({ eventId: eventIdSchema, totalTickets: totalTicketsSchema })
      .meta({ id: 'InitializeRequest', example: { eventId: 1, totalTickets: 500 } }),
    docs: {
      tag: 'Events',
      summary: 'Make an event',
      responses: {
        200: {
          description: 'It was there with that size; here is how it stands.',
          schema: initializedSchema,
        },
        201: { description: 'Made.', schema: initializedSchema },
      },
      problems: ['event_exists', 'unavailable'],
    },
    async handler(c, { body }) {
      const { created, event } = await events.create(body.eventId, body.totalTickets)
      const { eventId, totalTickets, availableTickets } = event
      if (totalTickets !== body.totalTickets) {
        throw new AppError(
          'event_exists',
          'There already is an event of that id with another size.',
        )
      }
      const shown = { eventId, totalTickets, availableTickets }
      if (created) audit(c, 'event_initialized', { eventId, totalTickets })
      const headers: Record<string, string> = created ? { location: `/status/${eventId}` } : {}
      return reply(c, created ? 201 : 200, { message: 'Event initialized', event: shown }, headers)
    },
  })
}

function statusRoute({ events }: EventDeps): Route {
  return defineRoute({
    method: 'GET',
    path: '/status/:eventId',
    auth: 'optional',
    limit: 'general',
    params: eventIdParams,
    docs: {
      tag: 'Events',
      summary: 'How many tickets are left, and how many wait',
      requestHeaders: { 'If-None-Match': 'An `ETag` received before.' },
      responses: {
        200: {
          description: 'The event as it stands.',
          schema: statusSchema,
          headers: { ETag: 'Names these counts.' },
        },
        304: { description: 'Nothing changed.' },
      },
      problems: ['event_not_found', 'unavailable'],
    },
    async handler(c, { params }) {
      const status = await events.status(params.eventId)
      if (status === undefined) throw eventNotFound()
      const { eventId, availableTickets, waitingListCount } = status
      const etag = `"${availableTickets}-${waitingListCount}"`
      // Keep it, but ask every time: a count served from somewhere between may be older than one's own booking.
      const headers = { etag, 'cache-control': 'no-cache' }
      if (matchesEtag(c.req.header('if-none-match'), etag)) return reply(c, 304, null, headers)
      return reply(c, 200, { eventId, availableTickets, waitingListCount }, headers)
    },
  })
}

function eventsRoute({ events }: EventDeps): Route {
  return defineRoute({
    method: 'GET',
    path: '/events',
    auth: 'optional',
    limit: 'general',
    query: pageQuery('events'),
    docs: {
      tag: 'Events',
      summary: 'All events, in order of id',
      responses: { 200: { description: 'A page.', schema: eventsPageSchema } },
      problems: ['unavailable'],
    },
    async handler(c, { query: { limit, after } }) {
      const rows = await events.page(after, limit + 1)
      const { page, next } = cutPage('events', rows, limit, (event) => event.eventId)
      return reply(c, 200, { events: page, next })
    },
  })
}

function standingRoute({ events }: EventDeps): Route {
  return defineRoute({
    method: 'GET',
    path: '/events/:eventId/me',
    auth: 'required',
    limit: 'general',
    params: eventIdParams,
    docs: {
      tag: 'Events',
      summary: 'Where I stand',
      responses: { 200: { description: 'My standing as of now.', schema: standingSchema } },
      problems: ['event_not_found', 'unavailable'],
    },
    async handler(c, { params: { eventId } }) {
      const { userId } = principalOf(c)
      const found = await events.standing(eventId, userId)
      if (found === undefined) throw eventNotFound()
      const { standing, position, bookingId } = found
      return reply(c, 200, { eventId, userId, standing, position, bookingId })
    },
  })
}
