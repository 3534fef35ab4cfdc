import { versionOfIfMatch } from '../events/event-body.js'
import { eventPatchSchema, patchOf } from '../events/settings.js'
import { checkKey } from '../http/idempotency-key.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import { eventIdParams } from '../http/schemas.js'
import { COMMAND_HEADERS, type CommandDeps, runCommand } from './commands.js'
import { COMMAND_PROBLEMS, changeResponses, commandResponses } from './responses.js'
import { cancelEventSchema, grantSchema } from './schemas.js'

/** The commands of staff that concern a whole event, or go ahead of its waiting list. */
export function staffRoutes(deps: CommandDeps): Route[] {
  return [changeRoute(deps), grantRoute(deps), cancelEventRoute(deps)]
}

const shared = {
  auth: 'required',
  limit: 'general',
  role: 'staff',
  params: eventIdParams,
  checkHeaders: checkKey,
} as const

function changeRoute(deps: CommandDeps): Route {
  return defineRoute({
    ...shared,
    method: 'PATCH',
    path: '/events/:eventId',
    scope: 'events:write',
    body: eventPatchSchema,
    bodyForm: { mergePatch: true },
    docs: {
      operationId: 'updateEvent',
      tag: 'Events',
      summary: 'Change the settings of an event',
      description:
        'A JSON merge patch: settings that are not sent keep their values, and null resets a setting to its default. Either all changes of a patch are made, or none.',
      requestHeaders: {
        ...COMMAND_HEADERS,
        'If-Match':
          'The `ETag` of an earlier response. If the settings were changed since, the patch is refused. Bookings do not count as changes.',
      },
      problems: COMMAND_PROBLEMS.configure,
    },
    responses: changeResponses,
    handler(c, { params: { eventId }, body }) {
      const ifVersion = versionOfIfMatch(c.req.header('if-match'))
      return runCommand(
        c,
        {
          type: 'configure',
          eventId,
          userId: principalOf(c).userId,
          patch: patchOf(body),
          ...(ifVersion !== undefined && { ifVersion }),
          ...(body.shrink === true && { shrink: true }),
        },
        deps,
      )
    },
  })
}

function cancelEventRoute(deps: CommandDeps): Route {
  return defineRoute({
    ...shared,
    method: 'POST',
    path: '/events/:eventId/cancel',
    scope: 'events:write',
    body: cancelEventSchema,
    bodyForm: { optional: true },
    docs: {
      operationId: 'cancelEvent',
      tag: 'Events',
      summary: 'Cancel an event',
      description:
        'Ends every booking, hold and waiting-list entry. From then on every other command for the event is refused.',
      requestHeaders: COMMAND_HEADERS,
      problems: COMMAND_PROBLEMS.cancel_event,
    },
    responses: commandResponses(['event_ended']),
    handler: (c, { params: { eventId }, body: { reason } }) =>
      runCommand(
        c,
        {
          type: 'cancel_event',
          eventId,
          userId: principalOf(c).userId,
          ...(reason !== undefined && { reason }),
        },
        deps,
      ),
  })
}

function grantRoute(deps: CommandDeps): Route {
  return defineRoute({
    ...shared,
    method: 'POST',
    path: '/events/:eventId/grants',
    scope: 'bookings:write',
    actsForUser: true,
    body: grantSchema,
    docs: {
      operationId: 'grantTicket',
      tag: 'Events',
      summary: 'Give a ticket to a user, ahead of the waiting list',
      description:
        'Takes a free ticket, or else a withheld one. If there is neither and `raiseCapacity` is true, the event grows by one ticket. If the user has a hold, it is confirmed. Grants also work outside the sale.',
      requestHeaders: COMMAND_HEADERS,
      problems: COMMAND_PROBLEMS.grant,
    },
    responses: commandResponses(['booked', 'confirmed']),
    handler: (c, { params: { eventId }, body: { userId, raiseCapacity } }) =>
      runCommand(
        c,
        {
          type: 'grant',
          eventId,
          userId,
          ...(raiseCapacity === true && { raiseCapacity }),
        },
        deps,
      ),
  })
}
