import type { UserClaim } from '@ticket-line/db'
import { AppError } from '@ticket-line/shared'
import type { z } from 'zod'
import { audit } from '../http/audit.js'
import { matchesEtag } from '../http/etag.js'
import { callerOf, hasScope, isOrganizer, type Principal } from '../http/principal.js'
import { eventNotFound } from '../http/problem.js'
import { defineRoute, principalOf, type Route, requireAllEvents } from '../http/route.js'
import { eventIdParams } from '../http/schemas.js'
import type { EventReads } from './reads.js'
import { initializedSchema, initializeSchema, standingSchema, statusSchema } from './schemas.js'

export interface StatusDeps {
  events: EventReads
  /**
   * `INITIALIZE_OPEN`: anybody may create an event, as in the original API that this service
   * replaces.
   */
  initializeOpen: boolean
}

/** The calls about events that clients of the original API know, and `/events/:eventId/me`. */
export function statusRoutes(deps: StatusDeps): Route[] {
  return [initializeRoute(deps), statusRoute(deps), standingRoute(deps)]
}

/** Message of `event_exists`. */
export const EVENT_EXISTS = 'There is already an event with this id and a different size.'

function initializeRoute({ events, initializeOpen }: StatusDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/initialize',
    scope: 'events:write',
    ...(initializeOpen ? { auth: 'ifSent' } : { auth: 'required', role: 'organizer' }),
    limit: initializeOpen ? 'address' : 'general',
    body: initializeSchema,
    docs: {
      operationId: 'initializeEvent',
      tag: 'Events',
      summary: 'Create an event',
      problems: ['event_exists', 'unavailable', 'unknown'],
    },
    responses: {
      200: {
        description: 'The event already exists with this size. This is its current state.',
        schema: initializedSchema,
      },
      201: {
        description: 'The event was created.',
        schema: initializedSchema,
        headers: ['Location'],
      },
    },
    async handler(c, { body }, reply) {
      const principal = c.get('principal')
      if (principal !== undefined && !initializeOpen) requireAllEvents(principal)
      const actor = principal === undefined ? null : callerOf(principal)
      // With INITIALIZE_OPEN anybody may call this. Only organizers and admins become the owner.
      const owner = principal !== undefined && mayOwn(principal) ? principal.userId : null
      const { created, event } = await events.create(body.eventId, body.totalTickets, owner, actor)
      const { eventId, totalTickets, availableTickets } = event
      if (totalTickets !== body.totalTickets) throw new AppError('event_exists', EVENT_EXISTS)
      const shown = { eventId, totalTickets, availableTickets }
      if (created) audit(c, 'event_initialized', { eventId, totalTickets })
      const headers: Record<string, string> = created ? { location: `/status/${eventId}` } : {}
      return reply(c, created ? 201 : 200, { message: 'Event initialized', event: shown }, headers)
    },
  })
}

/** True if the caller becomes the owner of events that they create. */
function mayOwn(principal: Principal): boolean {
  const mayCreate = hasScope(principal, 'events:write') && principal.key?.eventIds === undefined
  return isOrganizer(principal) && mayCreate
}

function statusRoute({ events }: StatusDeps): Route {
  return defineRoute({
    method: 'GET',
    path: '/status/:eventId',
    auth: 'optional',
    limit: 'general',
    params: eventIdParams,
    docs: {
      operationId: 'getStatus',
      tag: 'Events',
      summary: 'Get the number of available tickets and the length of the waiting list',
      requestHeaders: { 'If-None-Match': 'The `ETag` of an earlier response.' },
      problems: ['event_not_found', 'unavailable'],
    },
    responses: {
      200: {
        description: 'The current state of the event.',
        schema: statusSchema,
        headers: ['ETag'],
      },
      304: { description: 'The counts have not changed.', headers: ['ETag'] },
    },
    async handler(c, { params }, reply) {
      const status = await events.status(params.eventId)
      if (status === undefined) throw eventNotFound()
      const { eventId, availableTickets, waitingListCount } = status
      const counts = { availableTickets, waitingListCount }
      // The tag is made of everything that the response says about the event.
      const etag = `"${Object.values(counts).join('-')}"`
      // Caches must revalidate each time, or a client could see a count from before its own
      // booking.
      const headers = { etag, 'cache-control': 'no-cache' }
      if (matchesEtag(c.req.header('if-none-match'), etag)) return reply(c, 304, null, headers)
      return reply(c, 200, { eventId, ...counts }, headers)
    },
  })
}

function standingRoute({ events }: StatusDeps): Route {
  return defineRoute({
    method: 'GET',
    path: '/events/:eventId/me',
    auth: 'required',
    limit: 'general',
    params: eventIdParams,
    docs: {
      operationId: 'getMyStanding',
      tag: 'Booking',
      summary: 'Get my booking, hold or position',
      problems: ['event_not_found', 'unavailable'],
    },
    responses: { 200: { description: 'My current standing.', schema: standingSchema } },
    async handler(c, { params: { eventId } }, reply) {
      const { userId } = principalOf(c)
      const found = await events.claim(eventId, userId)
      if (found === undefined) throw eventNotFound()
      return reply(c, 200, standingBodyOf(eventId, userId, found))
    },
  })
}

/** What a user has for an event, as clients see it. */
export function standingBodyOf(
  eventId: number,
  userId: string,
  claim: UserClaim,
): z.output<typeof standingSchema> {
  const { standing } = claim
  return {
    eventId,
    userId,
    standing,
    position: standing === 'waiting' ? claim.position : null,
    bookingId: standing === 'booked' || standing === 'held' ? claim.bookingId : null,
    expiresAt: standing === 'held' ? claim.expiresAt.toISOString() : null,
    offered: standing === 'held' && claim.offered,
  }
}
