import { checkKey } from '../http/idempotency-key.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import { COMMAND_HEADERS, type CommandDeps, runCommand } from './commands.js'
import { COMMAND_PROBLEMS, commandResponses } from './responses.js'
import { bookingSchema, cancelSchema, confirmSchema, extendSchema } from './schemas.js'

/** The commands that concern one booking, hold or waiting-list entry. */
export function bookingRoutes(deps: CommandDeps): Route[] {
  return [bookRoute(deps), confirmRoute(deps), extendRoute(deps), cancelRoute(deps)]
}

function bookRoute(deps: CommandDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/book',
    auth: 'required',
    scope: 'bookings:write',
    actsForUser: true,
    limit: 'general',
    checkHeaders: checkKey,
    body: bookingSchema,
    docs: {
      operationId: 'bookTicket',
      tag: 'Booking',
      summary: 'Book or hold a ticket, or join the waiting list',
      description:
        'Requests for one event are decided in the order in which they entered its line. If the event has `holdSeconds`, the ticket is held and must be confirmed. A request outside the sale may be refused before it enters the line; the response then has no `Location`.',
      requestHeaders: COMMAND_HEADERS,
      problems: COMMAND_PROBLEMS.book,
    },
    responses: commandResponses(['booked', 'held', 'waiting']),
    handler: (c, { body: { eventId, userId = principalOf(c).userId } }) =>
      runCommand(c, { type: 'book', eventId, userId }, deps),
  })
}

function cancelRoute(deps: CommandDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/cancel',
    auth: 'required',
    scope: 'bookings:write',
    actsForUser: true,
    limit: 'general',
    checkHeaders: checkKey,
    body: cancelSchema,
    docs: {
      operationId: 'cancelBooking',
      tag: 'Booking',
      summary: 'Cancel a booking, release a hold, or leave the waiting list',
      description:
        'The first user on the waiting list gets the ticket in the same transaction, unless promotion is stopped.',
      requestHeaders: COMMAND_HEADERS,
      problems: COMMAND_PROBLEMS.cancel,
    },
    responses: commandResponses(['canceled', 'released', 'withdrawn']),
    handler: (c, { body: { eventId, userId = principalOf(c).userId, bookingId } }) =>
      runCommand(
        c,
        { type: 'cancel', eventId, userId, ...(bookingId !== undefined && { bookingId }) },
        deps,
      ),
  })
}

function confirmRoute(deps: CommandDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/confirm',
    auth: 'required',
    scope: 'bookings:write',
    actsForUser: true,
    limit: 'general',
    checkHeaders: checkKey,
    body: confirmSchema,
    docs: {
      operationId: 'confirmHold',
      tag: 'Booking',
      summary: 'Confirm a hold',
      description:
        'A hold ends when its expiry is decided in the line, so a confirmation that entered the line before that succeeds. For 24 hours after a hold has expired, it can still be confirmed if a ticket is free. If the event has `confirmation: "staff"`, the holder may not confirm.',
      requestHeaders: COMMAND_HEADERS,
      problems: COMMAND_PROBLEMS.confirm,
    },
    responses: commandResponses(['confirmed']),
    handler: (c, { body: { eventId, userId = principalOf(c).userId, bookingId } }) =>
      runCommand(
        c,
        { type: 'confirm', eventId, userId, ...(bookingId !== undefined && { bookingId }) },
        deps,
      ),
  })
}

function extendRoute(deps: CommandDeps): Route {
  return defineRoute({
    method: 'POST',
    path: '/extend',
    auth: 'required',
    limit: 'general',
    checkHeaders: checkKey,
    role: 'staff',
    scope: 'bookings:write',
    actsForUser: true,
    body: extendSchema,
    docs: {
      operationId: 'extendHold',
      tag: 'Booking',
      summary: 'Extend a hold',
      description:
        'The hold then ends `seconds` from now, but at most `maxHoldSeconds` after it began. An extension never makes it end earlier.',
      requestHeaders: COMMAND_HEADERS,
      problems: COMMAND_PROBLEMS.extend,
    },
    responses: commandResponses(['extended']),
    handler: (c, { body: { eventId, userId = principalOf(c).userId, bookingId, seconds } }) =>
      runCommand(
        c,
        {
          type: 'extend',
          eventId,
          userId,
          ...(bookingId !== undefined && { bookingId }),
          ...(seconds !== undefined && { seconds }),
        },
        deps,
      ),
  })
}
