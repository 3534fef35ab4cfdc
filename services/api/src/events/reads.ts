import {
  type CommitProgress,
  type CreatedEvent,
  createConfiguredEvent,
  createEvent,
  deleteEvent,
  type EventCreation,
  type EventFilter,
  type EventRequest,
  type EventSnapshot,
  type EventStaff,
  type EventStatus,
  findBooking,
  findHold,
  findWaitingEntry,
  type ListedBooking,
  type ListedEvent,
  type ListedHold,
  type ListedWaiting,
  type MayChangeStaff,
  type Pool,
  pageBookings,
  pageEvents,
  pageHolds,
  pageUserBookings,
  pageWaitingList,
  readEventStaff,
  readEventStatuses,
  readEvents,
  readUserClaim,
  type StaffChange,
  setEventOrganizers,
  setEventOwner,
  streamBookings,
  streamHolds,
  streamWaitingList,
  type UserBooking,
  type UserBookingFilter,
  type UserClaim,
} from '@ticket-line/db'
import { createLoader } from '@ticket-line/shared'
import { callPostgres, changePostgres, type PostgresAccess } from '../http/postgres-access.js'
import { throwUnavailable, unavailable } from '../http/problem.js'
import type { ExportReader } from './read-export.js'

/**
 * What routes read and write about events in PostgreSQL. If PostgreSQL is unavailable, every call
 * fails with AppError `unavailable` within the timeout. An export that has begun may fail later.
 */
export interface EventReads {
  /** The counts, no older than this call. Calls that arrive before a query starts share it. */
  status(eventId: number): Promise<EventStatus | undefined>
  /** The event with its settings, no older than this call. Calls share queries like `status`. */
  event(eventId: number): Promise<EventSnapshot | undefined>
  page(filter: EventFilter): Promise<ListedEvent[]>
  create(
    eventId: number,
    totalTickets: number,
    owner: string | null,
    actor: string | null,
  ): Promise<CreatedEvent>
  createConfigured(request: EventRequest): Promise<EventCreation>
  /** Deletes an event that never had a claim. */
  remove(eventId: number): Promise<'deleted' | 'in_use' | 'not_found'>
  /** Who is staff of an event, no older than this call. */
  staff(eventId: number): Promise<EventStaff | undefined>
  setOrganizers(
    eventId: number,
    userIds: readonly string[],
    mayChange: MayChangeStaff,
  ): Promise<StaffChange>
  setOwner(eventId: number, owner: string, mayChange: MayChangeStaff): Promise<StaffChange>
  /** A page of what a user has and had for all events, the latest first. */
  userBookings(userId: string, filter: UserBookingFilter): Promise<UserBooking[]>
  claim(eventId: number, userId: string): Promise<UserClaim | undefined>
  bookings(eventId: number, afterSequence: number, limit: number): Promise<ListedBooking[]>
  holds(eventId: number, afterSequence: number, limit: number): Promise<ListedHold[]>
  waitingList(eventId: number, afterSequence: number, limit: number): Promise<ListedWaiting[]>
  /** The user's booking. */
  booking(eventId: number, userId: string): Promise<ListedBooking | undefined>
  hold(eventId: number, userId: string): Promise<ListedHold | undefined>
  /** The user's waiting-list entry with its live position. */
  waitingEntry(eventId: number, userId: string): Promise<ListedWaiting | undefined>
  exportBookings(eventId: number): AsyncGenerator<ListedBooking[]>
  exportHolds(eventId: number): AsyncGenerator<ListedHold[]>
  exportWaitingList(eventId: number): AsyncGenerator<ListedWaiting[]>
}

export interface EventReadsDeps {
  pool: Pool
  postgres: PostgresAccess
  /** Reads the rows of exports. */
  readExport: ExportReader
  /** Called with the number of the change that created an event. */
  onCreated?: (eventId: number, lastChange: number) => void
}

export function createEventReads(deps: EventReadsDeps): EventReads {
  const { pool, postgres, readExport, onCreated } = deps
  const loadStatus = createLoader({
    query: (eventIds: number[]) => readEventStatuses(pool, eventIds),
    timeoutMs: postgres.timeoutMs,
    onTimeout: throwUnavailable,
  })

  const loadEvent = createLoader({
    query: (eventIds: number[]) => readEvents(pool, eventIds),
    timeoutMs: postgres.timeoutMs,
    onTimeout: throwUnavailable,
  })

  const read = <T>(query: () => Promise<T>): Promise<T> => callPostgres(postgres, query)

  async function status(eventId: number): Promise<EventStatus | undefined> {
    if (!postgres.availability.postgres()) throw unavailable()
    return loadStatus(eventId)
  }

  async function event(eventId: number): Promise<EventSnapshot | undefined> {
    if (!postgres.availability.postgres()) throw unavailable()
    return loadEvent(eventId)
  }

  const change = <T>(run: (progress: CommitProgress) => Promise<T>): Promise<T> =>
    changePostgres(postgres, UNKNOWN_CHANGE, run)
  const changeStaff = <T>(run: (progress: CommitProgress) => Promise<T>): Promise<T> =>
    changePostgres(postgres, UNKNOWN_STAFF, run)

  return {
    status,
    event,
    page: (filter) => read(() => pageEvents(pool, filter)),
    async create(eventId, totalTickets, owner, actor) {
      const creation = await changePostgres(postgres, UNKNOWN_INITIALIZATION, (progress) =>
        createEvent(pool, eventId, totalTickets, owner, actor, progress),
      )
      if (creation.lastChange !== undefined) onCreated?.(eventId, creation.lastChange)
      return creation
    },
    async createConfigured(request) {
      const creation = await change((progress) => createConfiguredEvent(pool, request, progress))
      if (creation.kind === 'created' && creation.lastChange !== undefined)
        onCreated?.(creation.event.eventId, creation.lastChange)
      return creation
    },
    remove: (eventId) => change((progress) => deleteEvent(pool, eventId, progress)),
    staff: async (eventId) => (await read(() => readEventStaff(pool, [eventId]))).get(eventId),
    setOrganizers: (eventId, userIds, mayChange) =>
      changeStaff((progress) => setEventOrganizers(pool, eventId, userIds, mayChange, progress)),
    setOwner: (eventId, owner, mayChange) =>
      changeStaff((progress) => setEventOwner(pool, eventId, owner, mayChange, progress)),
    userBookings: (userId, filter) => read(() => pageUserBookings(pool, userId, filter)),
    claim: (eventId, userId) => read(() => readUserClaim(pool, eventId, userId)),
    bookings: (eventId, after, limit) => read(() => pageBookings(pool, eventId, after, limit)),
    holds: (eventId, after, limit) => read(() => pageHolds(pool, eventId, after, limit)),
    waitingList: (eventId, after, limit) =>
      read(() => pageWaitingList(pool, eventId, after, limit)),
    booking: (eventId, userId) => read(() => findBooking(pool, eventId, userId)),
    hold: (eventId, userId) => read(() => findHold(pool, eventId, userId)),
    waitingEntry: (eventId, userId) => read(() => findWaitingEntry(pool, eventId, userId)),
    exportBookings: (eventId) =>
      readExport(eventId, (from, options) => streamBookings(from, eventId, options)),
    exportHolds: (eventId) =>
      readExport(eventId, (from, options) => streamHolds(from, eventId, options)),
    exportWaitingList: (eventId) =>
      readExport(eventId, (from, options) => streamWaitingList(from, eventId, options)),
  }
}

const UNKNOWN_CHANGE =
  'The service lost the connection to its database during this request. Check whether the event exists, or send the request again with the same Idempotency-Key.'
const UNKNOWN_INITIALIZATION =
  'The service lost the connection to its database during this request. Check whether the event exists, or send the request again.'
const UNKNOWN_STAFF =
  'The service lost the connection to its database during this request. Check who is staff of the event, or send the request again.'
