import type { EventListStaff, EventOrder, EventPlace } from '@ticket-line/db'
import { isEventId, isoOf, MAX_EVENT_NAME_LENGTH } from '@ticket-line/shared'
import { z } from 'zod'
import { signInRequired } from '../auth/authenticate.js'
import { invalidRequest } from '../http/input.js'
import {
  cutPage,
  decodeTextCursor,
  limitParameter,
  NO_CURSOR,
  nextLink,
  wordsParameter,
} from '../http/paging.js'
import { hasScope, type Principal } from '../http/principal.js'
import { defineRoute, insufficientScope, type Route, SCOPE_MISSING } from '../http/route.js'
import { shownAs } from '../http/schemas.js'
import { SALE_STATES } from './event-body.js'
import type { EventReads } from './reads.js'
import { eventsPageSchema } from './schemas.js'
import { readTime } from './settings.js'

// `after` is decoded by the handler, because it depends on the order.
const eventsQuery = z.object({
  state: wordsParameter(SALE_STATES)
    .optional()
    .meta({ description: 'Lists only events in one of these states.', example: ['open'] }),
  q: z
    .string()
    .refine((text) => [...text].length <= MAX_EVENT_NAME_LENGTH && !/[\p{Cc}\p{Cs}]/u.test(text), {
      error: 'must be the beginning of a name',
    })
    .default('')
    .meta({ description: 'Lists only events whose names begin with this. Case does not matter.' }),
  startsAfter: z
    .string()
    // A `+` that the client did not encode is a space by now.
    .transform((text, context) => readTime(text.replace(' ', '+'), context))
    .optional()
    .meta({
      description: 'Lists only events that start later.',
      format: 'date-time',
      example: '2030-01-31T18:00:00Z',
    }),
  mine: z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .default('false')
    .meta({
      description:
        'With `true`, lists only events of which the caller is staff, including unlisted ones. An API key needs the scope `events:read` for it.',
      override: shownAs({ type: 'boolean', default: false }),
    }),
  order: z
    .enum(['eventId', 'startsAt', '-startsAt'], {
      error: 'must be eventId, startsAt or -startsAt',
    })
    .default('eventId')
    .meta({
      description: 'With `-startsAt` the latest is first. Events without a start are last.',
    }),
  limit: limitParameter(1000),
  after: z.string().optional().meta({ description: '`next` of the previous page.' }),
})

/** `GET /events`. */
export function searchRoute({ events }: { events: Pick<EventReads, 'page'> }): Route {
  return defineRoute({
    method: 'GET',
    path: '/events',
    auth: 'optional',
    limit: 'general',
    query: eventsQuery,
    docs: {
      operationId: 'listEvents',
      tag: 'Events',
      summary: 'List events, in order of id or of their start',
      problems: ['unauthorized', 'insufficient_scope', 'unavailable'],
    },
    responses: {
      200: { description: 'A page of events.', schema: eventsPageSchema, headers: ['Link'] },
    },
    async handler(c, { query }, reply) {
      const { state, q, startsAfter, mine, order, limit, after } = query
      const principal = c.get('principal')
      const place = after === undefined ? undefined : placeOf(order, after)
      const staff = mine === 'true' ? staffFilterOf(principal) : undefined
      if (staff === 'of_none') return reply(c, 200, { events: [], next: null })
      const rows = await events.page({
        states: state,
        namePrefix: q,
        startsAfterMs: startsAfter,
        staff,
        order,
        after: place,
        limit: limit + 1,
      })
      const { page, next } = cutPage(cursorKindOf(order), rows, limit, (event) =>
        keyOf(order, event.place),
      )
      const shown = page.map((event) => ({
        eventId: event.eventId,
        name: event.name,
        startsAt: isoOf(event.startsAtMs),
        state: event.state,
        totalTickets: event.totalTickets,
        availableTickets: event.availableTickets,
        waitingListCount: event.waitingListCount,
      }))
      return reply(c, 200, { events: shown, next }, nextLink(c, next))
    },
  })
}

/**
 * Whose events `mine=true` lists. A plain user is staff of none.
 *
 * @throws AppError `unauthorized` or `insufficient_scope`
 */
function staffFilterOf(principal: Principal | undefined): EventListStaff | 'of_none' {
  if (principal === undefined) throw signInRequired()
  const { role, userId, key } = principal
  if (!hasScope(principal, 'events:read')) throw insufficientScope(SCOPE_MISSING, ['events:read'])
  if (role === 'user') return 'of_none'
  const eventIds = key?.eventIds === undefined ? undefined : [...key.eventIds]
  return { userId, role, eventIds }
}

/** The list that cursors of this order belong to. A cursor of another order is refused. */
function cursorKindOf(order: EventOrder): string {
  return order === 'eventId' ? 'events' : `events by ${order}`
}

function keyOf(order: EventOrder, { startsAtUs, eventId }: EventPlace): string {
  return order === 'eventId' ? String(eventId) : `${startsAtUs ?? ''}.${eventId}`
}

const PLACE = /^(?:(-?\d{1,18})?\.)?([1-9]\d{0,15})$/

/** @throws AppError `invalid_request` if this is not a cursor of the list in this order */
function placeOf(order: EventOrder, cursor: string): EventPlace {
  const key = decodeTextCursor(cursorKindOf(order), cursor, isPlace)
  const [, startsAtUs, eventId] = PLACE.exec(key ?? '') ?? []
  if (key === undefined || (order === 'eventId') !== (key === eventId))
    throw invalidRequest('The query is not valid.', [{ pointer: '/after', detail: NO_CURSOR }])
  return { startsAtUs: startsAtUs ?? null, eventId: Number(eventId) }
}

/** The times that an event can start at, µs since 1970. */
const [YEAR_0, YEAR_10000] = [Date.UTC(-1, 0) * 1000, Date.UTC(10_000, 0) * 1000]

function isPlace(key: unknown): boolean {
  const [, startsAtUs = '0', eventId] = PLACE.exec(String(key)) ?? []
  const us = Number(startsAtUs)
  return isEventId(Number(eventId)) && us >= YEAR_0 && us <= YEAR_10000
}
