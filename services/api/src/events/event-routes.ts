import type { EventCreation, EventSnapshot } from '@ticket-line/db'
import {
  AppError,
  commandIdOf,
  DEFAULT_EVENT_DETAILS,
  DEFAULT_SALE_RULES,
  type EventSettings,
  IDEMPOTENCY_KEY_HOURS,
  newJobId,
} from '@ticket-line/shared'
import { audit } from '../http/audit.js'
import { matchesEtag } from '../http/etag.js'
import {
  checkKey,
  idempotencyKeyOf,
  KEY_REUSED,
  readKeyHash,
  requestHashOf,
} from '../http/idempotency-key.js'
import { callerOf, hasScope } from '../http/principal.js'
import { eventNotFound } from '../http/problem.js'
import { defineRoute, principalOf, type Route, requireAllEvents } from '../http/route.js'
import { eventIdParams } from '../http/schemas.js'
import type { EventAccess } from './access.js'
import { eventBodyOf, eventSchema, eventTagOf } from './event-body.js'
import type { EventReads } from './reads.js'
import { newEventSchema, patchOf } from './settings.js'

export interface EventDeps {
  events: Pick<EventReads, 'event' | 'createConfigured' | 'remove'>
  access: Pick<EventAccess, 'staffOf' | 'forget'>
}

/** Routes that create, show and delete an event. */
export function eventRoutes(deps: EventDeps): Route[] {
  return [createRoute(deps), showRoute(deps), deleteRoute(deps)]
}

/** Message of `event_exists` of `POST /events`. */
const ID_TAKEN = 'There is already an event with this id.'
/** Message of `event_in_use`. */
export const EVENT_IN_USE =
  'This event has or had bookings, so it cannot be deleted. Cancel it instead.'

function createRoute({ events }: EventDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/events',
    auth: 'required',
    limit: 'general',
    role: 'organizer',
    scope: 'events:write',
    checkHeaders: checkKey,
    body: newEventSchema,
    docs: {
      operationId: 'createEvent',
      tag: 'Events',
      summary: 'Create an event with settings',
      requestHeaders: {
        'Idempotency-Key': `1 to 128 printable ASCII characters. Within ${IDEMPOTENCY_KEY_HOURS} hours, the same request with the same key returns the first response again and creates no other event.`,
      },
      problems: ['event_exists', 'idempotency_key_reused', 'unavailable', 'unknown'],
    },
    responses: {
      201: {
        description: 'The event was created.',
        schema: eventSchema,
        headers: ['Location', 'ETag', 'Idempotency-Replayed'],
      },
    },
    async handler(c, { body }, reply) {
      const principal = principalOf(c)
      requireAllEvents(principal)
      const keyHash = readKeyHash(idempotencyKeyOf(c))
      const { eventId } = body
      const settings = {
        ...DEFAULT_EVENT_DETAILS,
        ...DEFAULT_SALE_RULES,
        ...patchOf(body),
      } as EventSettings
      const creation = await events.createConfigured({
        eventId,
        settings,
        owner: principal.userId,
        caller: callerOf(principal),
        key:
          keyHash === undefined
            ? undefined
            : // The settings with their defaults, so that it does not matter which of them were sent.
              { keyHash, requestHash: requestHashOf({ ...settings, eventId }) ?? '' },
        commandId: commandIdOf(newJobId(CREATIONS, 1, Date.now()), 0),
      })
      const { event, nowMs, headers } = createdOf(creation)
      if (headers['idempotency-replayed'] === undefined)
        audit(c, 'event_created', { eventId: event.eventId, totalTickets: event.totalTickets })
      const shown = eventBodyOf(event, nowMs, hasScope(principalOf(c), 'events:read'))
      return reply(c, 201, shown, {
        ...headers,
        location: `/events/${event.eventId}`,
        etag: eventTagOf(event.version, shown),
      })
    },
  })
}

/**
 * Takes the place of the line in the ids of answers to `POST /events`. No line has such a name, so
 * no client can ask for such a job.
 */
const CREATIONS = 'events'

/** @throws AppError if the event was not created */
function createdOf(creation: EventCreation): EventSnapshot & { headers: Record<string, string> } {
  if (creation.kind === 'key_reused') throw new AppError('idempotency_key_reused', KEY_REUSED)
  const headers: Record<string, string> = creation.replayed
    ? { 'idempotency-replayed': 'true' }
    : {}
  if (creation.kind === 'exists') throw new AppError('event_exists', ID_TAKEN, { headers })
  return { event: creation.event, nowMs: creation.nowMs, headers }
}

function showRoute({ events, access }: EventDeps): Route {
  return defineRoute({
    method: 'GET',
    path: '/events/:eventId',
    auth: 'optional',
    limit: 'general',
    params: eventIdParams,
    docs: {
      operationId: 'getEvent',
      tag: 'Events',
      summary: 'Get an event with its settings and counts',
      requestHeaders: { 'If-None-Match': 'The `ETag` of an earlier response.' },
      problems: ['event_not_found', 'unavailable'],
    },
    responses: {
      200: {
        description: 'The current state of the event.',
        schema: eventSchema,
        headers: ['ETag'],
      },
      304: { description: 'Nothing but `serverTime` has changed.', headers: ['ETag'] },
    },
    async handler(c, { params: { eventId } }, reply) {
      const found = await events.event(eventId)
      if (found === undefined) throw eventNotFound()
      const principal = c.get('principal')
      const showsOwner =
        principal !== undefined &&
        hasScope(principal, 'events:read', eventId) &&
        (await access.staffOf(principal, eventId)) === 'staff'
      const shown = eventBodyOf(found.event, found.nowMs, showsOwner)
      const etag = eventTagOf(found.event.version, shown)
      // Staff see more than others, and nobody may see a state from before their own booking.
      const headers = { etag, 'cache-control': 'no-cache', vary: 'Authorization' }
      if (matchesEtag(c.req.header('if-none-match'), etag)) return reply(c, 304, null, headers)
      return reply(c, 200, shown, headers)
    },
  })
}

function deleteRoute({ events, access }: EventDeps): Route {
  return defineRoute({
    method: 'DELETE',
    path: '/events/:eventId',
    auth: 'required',
    limit: 'general',
    role: 'staff',
    params: eventIdParams,
    docs: {
      operationId: 'deleteEvent',
      tag: 'Events',
      summary: 'Delete an event that nobody has booked',
      description:
        'An event that ever had a booking, a hold or a waiting-list entry cannot be deleted.',
      problems: ['event_not_found', 'event_in_use', 'unavailable', 'unknown'],
    },
    responses: { 204: { description: 'The event was deleted.' } },
    async handler(c, { params: { eventId } }, reply) {
      const result = await events.remove(eventId)
      if (result === 'not_found') throw eventNotFound()
      if (result === 'in_use') throw new AppError('event_in_use', EVENT_IN_USE)
      access.forget(eventId)
      audit(c, 'event_deleted', { eventId })
      return reply(c, 204, null)
    },
  })
}
