import {
  type CreatedEvent,
  createEvent,
  type EventStatus,
  findBooking,
  findWaitingEntry,
  type ListedBooking,
  type ListedWaiting,
  type Pool,
  pageBookings,
  pageEventStatuses,
  pageWaitingList,
  readEventStatuses,
  readUserClaim,
  type StreamOptions,
  streamBookings,
  streamWaitingList,
  type UserClaim,
} from '@ticket-line/db'
import { createLoader, withDeadline } from '@ticket-line/shared'
import { LRUCache } from 'lru-cache'
import { callPostgres, type PostgresAccess } from '../http/postgres-access.js'
import { throwUnavailable, unavailable } from '../http/problem.js'

/**
 * What routes read and write about events in PostgreSQL. If PostgreSQL is unavailable, every call
 * fails with AppError `unavailable` within the timeout. An export that has begun may fail later.
 */
export interface EventReads {
  /** True if this process knows that the event exists. It makes no query. */
  knows(eventId: number): boolean
  exists(eventId: number): Promise<boolean>
  /** The counts, no older than this call. Calls that arrive before a query starts share it. */
  status(eventId: number): Promise<EventStatus | undefined>
  page(afterEventId: number, limit: number): Promise<EventStatus[]>
  create(eventId: number, totalTickets: number): Promise<CreatedEvent>
  claim(eventId: number, userId: string): Promise<UserClaim | undefined>
  bookings(eventId: number, afterSequence: number, limit: number): Promise<ListedBooking[]>
  waitingList(eventId: number, afterSequence: number, limit: number): Promise<ListedWaiting[]>
  /** The user's booking. */
  booking(eventId: number, userId: string): Promise<ListedBooking | undefined>
  /** The user's waiting-list entry with its live position. */
  waitingEntry(eventId: number, userId: string): Promise<ListedWaiting | undefined>
  exportBookings(eventId: number): AsyncGenerator<ListedBooking[]>
  exportWaitingList(eventId: number): AsyncGenerator<ListedWaiting[]>
}

export interface EventReadsDeps {
  pool: Pool
  /** Connections for exports. Each one is held until the client has read everything. */
  exportPool: Pool
  postgres: PostgresAccess
  /** Maximum number of existing events that this process remembers. */
  knownEvents: number
  exports: StreamOptions
}

export function createEventReads(deps: EventReadsDeps): EventReads {
  const { pool, exportPool, postgres, exports } = deps
  // Events are never deleted, so an event that was found once still exists. Unknown ids are not
  // remembered, because an event with such an id may be created later.
  const known = new LRUCache<number, true>({ max: deps.knownEvents })
  const loadStatus = createLoader({
    query: (eventIds: number[]) => readEventStatuses(pool, eventIds),
    timeoutMs: postgres.timeoutMs,
    onTimeout: throwUnavailable,
  })

  const read = <T>(query: () => Promise<T>): Promise<T> => callPostgres(postgres, query)

  async function status(eventId: number): Promise<EventStatus | undefined> {
    if (!postgres.availability.postgres()) throw unavailable()
    const found = await loadStatus(eventId)
    if (found !== undefined) known.set(eventId, true)
    return found
  }

  /** Passes the rows on. Throws `unavailable` if reading the first portion exceeds the timeout. */
  async function* startInTime<T>(rows: AsyncGenerator<T>): AsyncGenerator<T> {
    if (!postgres.availability.postgres()) throw unavailable()
    try {
      const first = await withDeadline(rows.next(), postgres.timeoutMs, throwUnavailable)
      if (first.done) return
      yield first.value
      yield* rows
    } finally {
      // Not awaited, because it takes effect only after a read that may still be in progress.
      rows.return(undefined).catch(() => undefined)
    }
  }

  return {
    knows: (eventId) => known.get(eventId) === true,
    exists: async (eventId) => known.get(eventId) === true || (await status(eventId)) !== undefined,
    status,
    page: (afterEventId, limit) => read(() => pageEventStatuses(pool, afterEventId, limit)),
    create: (eventId, totalTickets) => read(() => createEvent(pool, eventId, totalTickets)),
    claim: (eventId, userId) => read(() => readUserClaim(pool, eventId, userId)),
    bookings: (eventId, after, limit) => read(() => pageBookings(pool, eventId, after, limit)),
    waitingList: (eventId, after, limit) =>
      read(() => pageWaitingList(pool, eventId, after, limit)),
    booking: (eventId, userId) => read(() => findBooking(pool, eventId, userId)),
    waitingEntry: (eventId, userId) => read(() => findWaitingEntry(pool, eventId, userId)),
    exportBookings: (eventId) => startInTime(streamBookings(exportPool, eventId, exports)),
    exportWaitingList: (eventId) => startInTime(streamWaitingList(exportPool, eventId, exports)),
  }
}
