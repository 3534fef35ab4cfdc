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
  readStanding,
  type Standing,
  type StreamOptions,
  streamBookings,
  streamWaitingList,
} from '@ticket-line/db'
import type { Availability } from '@ticket-line/line/client'
import { createLoader, withDeadline } from '@ticket-line/shared'
import { LRUCache } from 'lru-cache'
import { throwUnavailable, unavailable } from '../http/refusals.js'

/**
 * What routes ask PostgreSQL about events. All fail with `unavailable` within the read timeout where it is out of reach; an
 * export that has begun then breaks off.
 */
export interface EventReads {
  /** True where the event is known to exist without asking anybody. */
  knows(eventId: number): boolean
  exists(eventId: number): Promise<boolean>
  /** Counters no older than this call, from a query shared with everybody who asked before it began. */
  status(eventId: number): Promise<EventStatus | undefined>
  page(afterEventId: number, limit: number): Promise<EventStatus[]>
  create(eventId: number, totalTickets: number): Promise<CreatedEvent>
  standing(eventId: number, userId: string): Promise<Standing | undefined>
  bookings(eventId: number, afterSequence: number, limit: number): Promise<ListedBooking[]>
  waitingList(eventId: number, afterSequence: number, limit: number): Promise<ListedWaiting[]>
  /** The user's live booking. */
  booking(eventId: number, userId: string): Promise<ListedBooking | undefined>
  /** The user's waiting-list entry with its live position. */
  waitingEntry(eventId: number, userId: string): Promise<ListedWaiting | undefined>
  exportBookings(eventId: number): AsyncGenerator<ListedBooking[]>
  exportWaitingList(eventId: number): AsyncGenerator<ListedWaiting[]>
}

export interface EventReadsDeps {
  pool: Pool
  /** Exports hold their connection for as long as somebody downloads: they have a few of their own. */
  exportPool: Pool
  availability: Pick<Availability, 'postgres'>
  readTimeoutMs: number
  /** How many events are remembered to exist. */
  knownEvents: number
  exports: StreamOptions
}

export function createEventReads(deps: EventReadsDeps): EventReads {
  const { pool, exportPool, availability, readTimeoutMs, exports } = deps
  // Events never vanish, so one seen once exists for good. Ids that do not exist are not remembered: they may tomorrow.
  const known = new LRUCache<number, true>({ max: deps.knownEvents })
  const loadStatus = createLoader({
    query: (eventIds: number[]) => readEventStatuses(pool, eventIds),
    timeoutMs: readTimeoutMs,
    onTimeout: throwUnavailable,
  })

  async function read<T>(work: () => Promise<T>): Promise<T> {
    if (!availability.postgres()) throw unavailable()
    return withDeadline(work(), readTimeoutMs, throwUnavailable)
  }

  async function status(eventId: number): Promise<EventStatus | undefined> {
    if (!availability.postgres()) throw unavailable()
    const found = await loadStatus(eventId)
    if (found !== undefined) known.set(eventId, true)
    return found
  }

  async function* beginningInTime<T>(rows: AsyncGenerator<T>): AsyncGenerator<T> {
    if (!availability.postgres()) throw unavailable()
    try {
      const first = await withDeadline(rows.next(), readTimeoutMs, throwUnavailable)
      if (first.done) return
      yield first.value
      yield* rows
    } finally {
      // Behind a read that is still under way, for which nobody waits.
      rows.return(undefined).catch(() => undefined)
    }
  }

  return {
    knows: (eventId) => known.get(eventId) === true,
    exists: async (eventId) => known.get(eventId) === true || (await status(eventId)) !== undefined,
    status,
    page: (afterEventId, limit) => read(() => pageEventStatuses(pool, afterEventId, limit)),
    create: (eventId, totalTickets) => read(() => createEvent(pool, eventId, totalTickets)),
    standing: (eventId, userId) => read(() => readStanding(pool, eventId, userId)),
    bookings: (eventId, after, limit) => read(() => pageBookings(pool, eventId, after, limit)),
    waitingList: (eventId, after, limit) =>
      read(() => pageWaitingList(pool, eventId, after, limit)),
    booking: (eventId, userId) => read(() => findBooking(pool, eventId, userId)),
    waitingEntry: (eventId, userId) => read(() => findWaitingEntry(pool, eventId, userId)),
    exportBookings: (eventId) => beginningInTime(streamBookings(exportPool, eventId, exports)),
    exportWaitingList: (eventId) =>
      beginningInTime(streamWaitingList(exportPool, eventId, exports)),
  }
}
