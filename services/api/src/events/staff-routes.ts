import type { StaffChange } from '@ticket-line/db'
import { AppError, MAX_ORGANIZERS_PER_EVENT } from '@ticket-line/shared'
import { z } from 'zod'
import { audit } from '../http/audit.js'
import { eventNotFound } from '../http/problem.js'
import { defineRoute, principalOf, ROLE_NEEDED, type Route } from '../http/route.js'
import { eventIdParams, shownEventId, shownUserId, userIdSchema } from '../http/schemas.js'
import { type EventAccess, isStaffIn, mayChangeOwner } from './access.js'
import type { EventReads } from './reads.js'

export interface EventStaffDeps {
  events: Pick<EventReads, 'staff' | 'setOrganizers' | 'setOwner'>
  access: Pick<EventAccess, 'forget'>
}

/** Routes that show and change who is staff of an event. */
export function eventStaffRoutes(deps: EventStaffDeps): Route[] {
  return [showOrganizersRoute(deps), setOrganizersRoute(deps), setOwnerRoute(deps)]
}

/** Message of `forbidden` if staff who do not own an event try to give it to another owner. */
const OWNER_ONLY = 'Only the owner of this event and admins may do this.'

const userIdsError = { error: `must have at most ${MAX_ORGANIZERS_PER_EVENT} user ids` }

const organizersBody = z
  .strictObject({
    userIds: z
      .array(userIdSchema, userIdsError)
      .max(MAX_ORGANIZERS_PER_EVENT, userIdsError)
      .refine((userIds) => new Set(userIds).size === userIds.length, {
        error: 'must not contain a user id twice',
      }),
  })
  .meta({ id: 'OrganizersChange', example: { userIds: ['olga', 'otto'] } })

const organizersAnswer = z
  .strictObject({ eventId: shownEventId, userIds: z.array(shownUserId) })
  .meta({ id: 'EventOrganizers', example: { eventId: 1001, userIds: ['olga', 'otto'] } })

const ownerBody = z
  .strictObject({ userId: userIdSchema })
  .meta({ id: 'OwnerChange', example: { userId: 'olga' } })
const ownerAnswer = z
  .strictObject({ eventId: shownEventId, owner: shownUserId })
  .meta({ id: 'EventOwner', example: { eventId: 1001, owner: 'olga' } })

const shared = {
  auth: 'required',
  limit: 'general',
  role: 'staff',
  params: eventIdParams,
} as const

function showOrganizersRoute({ events }: EventStaffDeps): Route {
  return defineRoute({
    ...shared,
    method: 'GET',
    path: '/events/:eventId/organizers',
    docs: {
      operationId: 'listOrganizers',
      tag: 'Events',
      summary: 'List the organizers of an event',
      description: 'The owner of the event is not in the list, but is always staff of it.',
      problems: ['event_not_found', 'unavailable'],
    },
    responses: { 200: { description: 'The list of organizers.', schema: organizersAnswer } },
    async handler(c, { params: { eventId } }, reply) {
      const staff = await events.staff(eventId)
      if (staff === undefined) throw eventNotFound()
      return reply(c, 200, { eventId, userIds: [...staff.organizers] })
    },
  })
}

function setOrganizersRoute({ events, access }: EventStaffDeps): Route {
  return defineRoute({
    ...shared,
    method: 'PUT',
    path: '/events/:eventId/organizers',
    body: organizersBody,
    docs: {
      operationId: 'setOrganizers',
      tag: 'Events',
      summary: 'Set the organizers of an event',
      description:
        'Replaces the list. These users are staff of the event as long as their role is `organizer`. The owner always remains staff.',
      problems: ['event_not_found', 'unavailable', 'unknown'],
    },
    responses: { 200: { description: 'The new list of organizers.', schema: organizersAnswer } },
    async handler(c, { params: { eventId }, body: { userIds } }, reply) {
      const principal = principalOf(c)
      const change = await events.setOrganizers(eventId, userIds, (staff) =>
        isStaffIn(staff, principal),
      )
      access.forget(eventId)
      checkChange(change, ROLE_NEEDED.staff)
      audit(c, 'event_organizers_changed', { eventId, userIds })
      return reply(c, 200, { eventId, userIds })
    },
  })
}

function setOwnerRoute({ events, access }: EventStaffDeps): Route {
  return defineRoute({
    ...shared,
    method: 'PUT',
    path: '/events/:eventId/owner',
    body: ownerBody,
    docs: {
      operationId: 'setEventOwner',
      tag: 'Events',
      summary: 'Give an event to another owner',
      description:
        'Only the owner and admins may do this. An event without an owner that all organizers shared is then no longer shared.',
      problems: ['event_not_found', 'unavailable', 'unknown'],
    },
    responses: { 200: { description: 'The new owner.', schema: ownerAnswer } },
    async handler(c, { params: { eventId }, body: { userId: owner } }, reply) {
      const principal = principalOf(c)
      const change = await events.setOwner(eventId, owner, (staff) =>
        mayChangeOwner(staff, principal),
      )
      access.forget(eventId)
      checkChange(change, OWNER_ONLY)
      audit(c, 'event_owner_changed', { eventId, owner })
      return reply(c, 200, { eventId, owner })
    },
  })
}

/** @throws AppError if the staff of the event were not changed */
function checkChange(change: StaffChange, forbidden: string): void {
  if (change === 'not_found') throw eventNotFound()
  if (change === 'forbidden') throw new AppError('forbidden', forbidden)
}
