import type { ListedBooking, ListedHold, ListedWaiting } from '@ticket-line/db'
import type { Context } from 'hono'
import { z } from 'zod'
import { prefers } from '../http/accept.js'
import { type CsvValue, csvLine } from '../http/csv.js'
import type { AppEnv } from '../http/env.js'
import { cutPage, nextLink, pageQuery } from '../http/paging.js'
import { eventNotFound } from '../http/problem.js'
import { defineRoute, type Route, type RouteDocs } from '../http/route.js'
import { eventIdParams, userIdSchema } from '../http/schemas.js'
import type { EventReads } from './reads.js'
import { bookingsOrHoldsSchema, waitingPageSchema } from './schemas.js'
import { type ExportDeps, sendExport } from './send-export.js'

export interface ListDeps extends ExportDeps {
  events: EventReads
}

/** A list of an event: how its rows are read, and how they look in CSV. */
interface List<Row extends { sequence: number }> {
  /** Last part of the path, and part of the name of the download. */
  name: string
  /** The kind of list that its cursors contain, see `encodeCursor`. */
  cursorKind: string
  read(events: EventReads, eventId: number, afterSequence: number, limit: number): Promise<Row[]>
  /** Reads the row of one user. */
  find(events: EventReads, eventId: number, userId: string): Promise<Row | undefined>
  stream(events: EventReads, eventId: number): AsyncGenerator<Row[]>
  columns: readonly string[]
  toFields(row: Row): readonly CsvValue[]
}

const bookings: List<ListedBooking> = {
  name: 'bookings',
  cursorKind: 'bookings',
  read: (events, eventId, after, limit) => events.bookings(eventId, after, limit),
  find: (events, eventId, userId) => events.booking(eventId, userId),
  stream: (events, eventId) => events.exportBookings(eventId),
  columns: ['bookingId', 'userId', 'bookedAt', 'promoted'],
  toFields: ({ bookingId, userId, bookedAt, promoted }) => [bookingId, userId, bookedAt, promoted],
}

const holds: List<ListedHold> = {
  name: 'holds',
  cursorKind: 'bookings',
  read: (events, eventId, after, limit) => events.holds(eventId, after, limit),
  find: (events, eventId, userId) => events.hold(eventId, userId),
  stream: (events, eventId) => events.exportHolds(eventId),
  columns: ['bookingId', 'userId', 'heldAt', 'expiresAt', 'offered'],
  toFields: ({ bookingId, userId, heldAt, expiresAt, offered }) => [
    bookingId,
    userId,
    heldAt,
    expiresAt,
    offered,
  ],
}

const waitingList: List<ListedWaiting> = {
  name: 'waiting-list',
  cursorKind: 'waiting',
  read: (events, eventId, after, limit) => events.waitingList(eventId, after, limit),
  find: (events, eventId, userId) => events.waitingEntry(eventId, userId),
  stream: (events, eventId) => events.exportWaitingList(eventId),
  columns: ['userId', 'position', 'since'],
  toFields: ({ userId, position, since }) => [userId, position, since],
}

/** Routes that give staff the bookings and the waiting list of an event, as JSON or CSV. */
export function listRoutes(deps: ListDeps): Route[] {
  return [bookingsRoute(deps), waitingListRoute(deps)]
}

function bookingsRoute(deps: ListDeps): Route {
  const spec = listSpec(bookings, {
    operationId: 'listBookings',
    summary: 'List the bookings of an event, in order of decision',
  })
  return defineRoute({
    ...spec,
    query: spec.query.extend({
      standing: z
        .enum(['booked', 'held'], { error: 'must be booked or held' })
        .default('booked')
        .meta({ description: 'With `held`, lists the holds instead.' }),
    }),
    responses: {
      200: {
        ...listResponse(bookings),
        schema: bookingsOrHoldsSchema,
        examples: {
          bookings: {
            bookings: [
              {
                bookingId: '1001-7',
                userId: 'ada',
                bookedAt: '2030-01-31T18:00:00.000Z',
                promoted: false,
              },
            ],
            next: null,
          },
          'standing=held': {
            bookings: [
              {
                bookingId: '1001-8',
                userId: 'grace',
                heldAt: '2030-01-31T18:00:00.000Z',
                expiresAt: '2030-01-31T18:10:00.000Z',
                offered: false,
              },
            ],
            next: null,
          },
        },
      },
    },
    async handler(c, { params: { eventId }, query }, reply) {
      await requireEvent(eventId, deps)
      const vary = { vary: 'Accept' }
      const isCsv = prefers('text/csv', c.req.header('accept'))
      if (query.standing === 'held') {
        if (isCsv) return sendCsv(c, holds, eventId, query.userId, deps)
        const { page, next } = await readPage(holds, eventId, query, deps)
        const shown = page.map(({ bookingId, userId, heldAt, expiresAt, offered }) => ({
          bookingId,
          userId,
          heldAt: heldAt.toISOString(),
          expiresAt: expiresAt.toISOString(),
          offered,
        }))
        return reply(c, 200, { bookings: shown, next }, { ...vary, ...nextLink(c, next) })
      }
      if (isCsv) return sendCsv(c, bookings, eventId, query.userId, deps)
      const { page, next } = await readPage(bookings, eventId, query, deps)
      const shown = page.map(({ bookingId, userId, bookedAt, promoted }) => ({
        bookingId,
        userId,
        bookedAt: bookedAt.toISOString(),
        promoted,
      }))
      return reply(c, 200, { bookings: shown, next }, { ...vary, ...nextLink(c, next) })
    },
  })
}

function waitingListRoute(deps: ListDeps): Route {
  return defineRoute({
    ...listSpec(waitingList, {
      operationId: 'listWaitingList',
      summary: 'List the waiting list of an event, in order of position',
    }),
    responses: { 200: { ...listResponse(waitingList), schema: waitingPageSchema } },
    async handler(c, { params: { eventId }, query }, reply) {
      await requireEvent(eventId, deps)
      if (prefers('text/csv', c.req.header('accept')))
        return sendCsv(c, waitingList, eventId, query.userId, deps)
      const { page, next } = await readPage(waitingList, eventId, query, deps)
      const shown = page.map(({ userId, position, since }) => ({
        userId,
        position,
        since: since.toISOString(),
      }))
      return reply(c, 200, { waiting: shown, next }, { vary: 'Accept', ...nextLink(c, next) })
    },
  })
}

function listSpec(
  { name, cursorKind }: Pick<List<never>, 'name' | 'cursorKind'>,
  texts: Pick<RouteDocs, 'operationId' | 'summary'>,
) {
  return {
    method: 'GET',
    path: `/events/:eventId/${name}`,
    auth: 'required',
    limit: 'general',
    role: 'staff',
    scope: 'bookings:read',
    params: eventIdParams,
    query: pageQuery(cursorKind).extend({
      userId: userIdSchema
        .optional()
        .meta({ description: 'Lists only the entry of this user.', example: 'ada' }),
    }),
    docs: {
      ...texts,
      tag: 'Lists',
      description:
        '`Accept: text/csv` streams the whole list. Each user can download one list at a time. Text that a spreadsheet could read as a formula, a number or a date is prefixed with an apostrophe. To restore it, remove one apostrophe at the start of a field and one after each `,` `;` `|`, tab and line break in it.',
      problems: ['event_not_found', 'busy', 'unavailable'],
    },
  } as const
}

function listResponse({ columns }: { columns: readonly string[] }) {
  return {
    description: 'A page of the list, or all of it as CSV.',
    otherMediaTypes: { 'text/csv': `${columns.join(',')}\r\n` },
    headers: ['Link'],
  } as const
}

/** @throws AppError `event_not_found` */
async function requireEvent(eventId: number, { events }: ListDeps): Promise<void> {
  // Another process may have deleted an event that this one knows.
  if ((await events.status(eventId)) === undefined) throw eventNotFound()
}

async function readPage<Row extends { sequence: number }>(
  list: List<Row>,
  eventId: number,
  { limit, after, userId }: { limit: number; after: number; userId?: string | undefined },
  { events }: ListDeps,
): Promise<{ page: Row[]; next: string | null }> {
  const rows =
    userId === undefined
      ? await list.read(events, eventId, after, limit + 1)
      : (await rowsOf(list, events, eventId, userId)).filter((row) => row.sequence > after)
  return cutPage(list.cursorKind, rows, limit, (row) => row.sequence)
}

/** Reads the rows of one user: one or none. */
async function rowsOf<Row extends { sequence: number }>(
  list: List<Row>,
  events: EventReads,
  eventId: number,
  userId: string,
): Promise<Row[]> {
  const row = await list.find(events, eventId, userId)
  return row === undefined ? [] : [row]
}

async function* streamRowsOf<Row extends { sequence: number }>(
  ...args: Parameters<typeof rowsOf<Row>>
): AsyncGenerator<Row[]> {
  yield await rowsOf(...args)
}

function sendCsv<Row extends { sequence: number }>(
  c: Context<AppEnv>,
  list: List<Row>,
  eventId: number,
  userId: string | undefined,
  deps: ListDeps,
): Promise<Response> {
  const { events } = deps
  return sendExport(
    c,
    {
      mediaType: 'text/csv; charset=utf-8; header=present',
      headers: {
        vary: 'Accept',
        'content-disposition': `attachment; filename="event-${eventId}-${list.name}.csv"`,
      },
      head: csvLine(list.columns),
      lineOf: (row: Row) => csvLine(list.toFields(row)),
      async begin() {
        const rest =
          userId === undefined
            ? list.stream(events, eventId)
            : streamRowsOf(list, events, eventId, userId)
        const first = await rest.next()
        return { first: first.done ? [] : first.value, rest }
      },
    },
    deps,
  )
}
