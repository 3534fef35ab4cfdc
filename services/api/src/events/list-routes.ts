import type { ListedBooking, ListedWaiting } from '@ticket-line/db'
import type { Log } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { z } from 'zod'
import { prefersCsv } from '../http/accept.js'
import { type CsvValue, csvStream } from '../http/csv.js'
import type { AppEnv } from '../http/env.js'
import { cutPage } from '../http/paging.js'
import { eventNotFound } from '../http/refusals.js'
import { reply, replyText } from '../http/reply.js'
import { bookingsPageSchema, waitingPageSchema } from '../http/response-schemas.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import { eventIdParams, pageQuery, userIdSchema } from '../http/schemas.js'
import type { ExportPlaces } from '../limits/exports.js'
import { tooManyRequests } from '../limits/reply.js'
import type { EventReads } from './reads.js'

/** `Retry-After` for a person whose download is under way, s. */
const RETRY_EXPORT_AFTER_S = 5

export interface ListDeps {
  events: EventReads
  exports: ExportPlaces
  /** How long a client of an export may take nothing before it is cut, ms. */
  exportStallTimeoutMs: number
  /** Longest duration of an export, ms. */
  exportTimeoutMs: number
  log: Log
}

/** One list of an event: where its rows come from and how they look. */
interface ListKind<Row extends { sequence: number }> {
  path: string
  /** Member of the JSON page, also the kind of its cursors. */
  member: string
  summary: string
  page: z.ZodType
  read(events: EventReads, eventId: number, afterSequence: number, limit: number): Promise<Row[]>
  /** The row of one user. */
  find(events: EventReads, eventId: number, userId: string): Promise<Row | undefined>
  stream(events: EventReads, eventId: number): AsyncGenerator<Row[]>
  columns: readonly string[]
  /** Times are `Date`s: ISO 8601 in JSON and in CSV. */
  toMembers(row: Row): Record<string, CsvValue>
}

const bookings: ListKind<ListedBooking> = {
  path: '/events/:eventId/bookings',
  member: 'bookings',
  summary: 'Who holds a ticket, in order of decision',
  page: bookingsPageSchema,
  read: (events, eventId, after, limit) => events.bookings(eventId, after, limit),
  find: (events, eventId, userId) => events.booking(eventId, userId),
  stream: (events, eventId) => events.exportBookings(eventId),
  columns: ['bookingId', 'userId', 'bookedAt', 'promoted'],
  toMembers: ({ bookingId, userId, bookedAt, promoted }) => ({
    bookingId,
    userId,
    bookedAt,
    promoted,
  }),
}

const waitingList: ListKind<ListedWaiting> = {
  path: '/events/:eventId/waiting-list',
  member: 'waiting',
  summary: 'Who waits, in order',
  page: waitingPageSchema,
  read: (events, eventId, after, limit) => events.waitingList(eventId, after, limit),
  find: (events, eventId, userId) => events.waitingEntry(eventId, userId),
  stream: (events, eventId) => events.exportWaitingList(eventId),
  columns: ['userId', 'position', 'since'],
  toMembers: ({ userId, position, since }) => ({ userId, position, since }),
}

/** `GET /events/:eventId/bookings` and `/waiting-list`, as pages of JSON or as one CSV. */
export function listRoutes(deps: ListDeps): Route[] {
  return [listRoute(bookings, deps), listRoute(waitingList, deps)]
}

function listRoute<Row extends { sequence: number }>(kind: ListKind<Row>, deps: ListDeps): Route {
  const { events } = deps
  return defineRoute({
    method: 'GET',
    path: kind.path,
    auth: 'required',
    limit: 'general',
    role: 'staff',
    params: eventIdParams,
    query: pageQuery(kind.member).extend({
      userId: userIdSchema
        .optional()
        .meta({ description: 'Leaves out everybody except this user.', example: 'ada' }),
    }),
    docs: {
      tag: 'Events',
      summary: kind.summary,
      description:
        '`Accept: text/csv` streams the whole list; a person downloads one list at a time. Text that a spreadsheet could take for a formula, a number or a date has an apostrophe in front of it: remove one at the start of a field and after each `,` `;` `|`, tab and line break in it.',
      requestHeaders: { Accept: '`application/json` or `text/csv`' },
      responses: {
        200: {
          description: 'A page, or all of it as CSV.',
          schema: kind.page,
          otherMediaTypes: { 'text/csv': `${kind.columns.join(',')}\r\n` },
        },
      },
      problems: ['event_not_found', 'busy', 'unavailable'],
    },
    async handler(c, { params: { eventId }, query: { limit, after, userId } }) {
      if (!events.knows(eventId) && !(await events.exists(eventId))) throw eventNotFound()
      if (prefersCsv(c.req.header('accept'))) return replyCsv(c, kind, eventId, userId, deps)
      const rows =
        userId === undefined
          ? await kind.read(events, eventId, after, limit + 1)
          : (await rowsOf(kind, events, eventId, userId)).filter((row) => row.sequence > after)
      const { page, next } = cutPage(kind.member, rows, limit, (row) => row.sequence)
      return reply(c, 200, { [kind.member]: page.map(kind.toMembers), next }, { vary: 'Accept' })
    },
  })
}

/** The rows of one user: one or none. */
async function rowsOf<Row extends { sequence: number }>(
  kind: ListKind<Row>,
  events: EventReads,
  eventId: number,
  userId: string,
): Promise<Row[]> {
  const row = await kind.find(events, eventId, userId)
  return row === undefined ? [] : [row]
}

async function* streamRowsOf<Row extends { sequence: number }>(
  ...of: Parameters<typeof rowsOf<Row>>
): AsyncGenerator<Row[]> {
  yield await rowsOf(...of)
}

async function replyCsv<Row extends { sequence: number }>(
  c: Context<AppEnv>,
  kind: ListKind<Row>,
  eventId: number,
  userId: string | undefined,
  { events, exports, exportStallTimeoutMs, exportTimeoutMs, log }: ListDeps,
): Promise<Response> {
  const headers = {
    vary: 'Accept',
    'content-disposition': `attachment; filename="event-${eventId}-${kind.path.split('/').at(-1)}.csv"`,
  }
  const mediaType = 'text/csv; charset=utf-8; header=present'
  if (c.req.method === 'HEAD') return replyText(c, 200, null, mediaType, headers)
  const giveBack = await exports.take(principalOf(c).userId)
  if (giveBack === undefined) {
    c.header('Retry-After', String(RETRY_EXPORT_AFTER_S))
    return tooManyRequests(c)
  }
  const rows =
    userId === undefined
      ? kind.stream(events, eventId)
      : streamRowsOf(kind, events, eventId, userId)
  // Read before anything is sent, so that a database that cannot be reached gives a 503 and no
  // broken download.
  const first = await rows.next().catch(async (error: unknown) => {
    await giveBack()
    throw error
  })
  const requestId = c.get('requestId')
  const stream = csvStream({
    columns: kind.columns,
    first: first.done ? [] : first.value,
    rest: rows,
    toFields: (row: Row) => Object.values(kind.toMembers(row)),
    stallTimeoutMs: exportStallTimeoutMs,
    timeoutMs: exportTimeoutMs,
    onError: (err) => log.warn({ err, requestId }, 'export ended early'),
    onEnd: giveBack,
  })
  return replyText(c, 200, stream, mediaType, headers)
}
