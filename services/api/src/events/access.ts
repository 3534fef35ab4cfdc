import { type EventStaff, type Pool, readEventStaff } from '@ticket-line/db'
import { STORE_JOB_MS } from '@ticket-line/line/client'
import { AppError, type Clock, createLoader, systemClock } from '@ticket-line/shared'
import { LRUCache } from 'lru-cache'
import type { PostgresAccess } from '../http/postgres-access.js'
import type { Principal } from '../http/principal.js'
import { eventNotFound, throwUnavailable, unavailable } from '../http/problem.js'
import { type RequireStaff, ROLE_NEEDED } from '../http/route.js'

/** How long a process trusts what it read about the staff of an event, ms. */
const TRUSTED_MS = 1000
/** After this time, the next request starts a new read that no request waits for, ms. */
const REFRESH_AFTER_MS = 500

/** Whether a principal is staff of an event. Only organizers get `not_found`. */
export type StaffAnswer = 'staff' | 'not_staff' | 'not_found'

/**
 * Knows who is staff of which event. Admins are staff of every event. Organizers are staff of the
 * events that they own, that list them, or that all organizers share.
 *
 * A remembered row can only grant access. A refusal needs rows that were read after the request
 * arrived. So an organizer who has just become staff is never refused, and one who is no longer
 * staff has access for at most `TRUSTED_MS`.
 */
export interface EventAccess {
  /**
   * Whether a principal is staff of an event.
   *
   * @returns a promise only for an organizer whom no trusted row shows as staff
   * @throws AppError `unavailable` within the time that a command has for its read
   */
  staffOf(principal: Principal, eventId: number): StaffAnswer | Promise<StaffAnswer>
  /** Forgets the staff of an event. Call it after this process has changed them. */
  forget(eventId: number): void
}

interface RememberedStaff {
  staff: EventStaff
  /** When the read was requested, by the monotonic clock, ms. */
  readAtMs: number
  isRefreshing: boolean
}

export interface EventAccessDeps {
  pool: Pool
  postgres: PostgresAccess
  /** Maximum number of events that this process remembers. */
  knownEvents: number
  clock?: Clock
}

export function createEventAccess({
  pool,
  postgres,
  knownEvents,
  clock = systemClock,
}: EventAccessDeps): EventAccess {
  const known = new LRUCache<number, RememberedStaff>({ max: knownEvents })
  /** Counts calls of `forget`. A read that began before one of them is not remembered. */
  let forgotten = 0
  const load = createLoader({
    query: (eventIds: number[]) => readEventStaff(pool, eventIds),
    timeoutMs: Math.min(postgres.timeoutMs, STORE_JOB_MS),
    onTimeout: throwUnavailable,
  })

  async function read(eventId: number): Promise<EventStaff | undefined> {
    if (!postgres.availability.postgres()) throw unavailable()
    const readAtMs = clock.steadyMs()
    const forgottenBefore = forgotten
    const staff = await load(eventId)
    if (staff === undefined) known.delete(eventId)
    else if (forgotten === forgottenBefore)
      known.set(eventId, { staff, readAtMs, isRefreshing: false })
    return staff
  }

  async function readFor(principal: Principal, eventId: number): Promise<StaffAnswer> {
    const staff = await read(eventId)
    if (staff === undefined) return 'not_found'
    return isStaffIn(staff, principal) ? 'staff' : 'not_staff'
  }

  return {
    staffOf(principal, eventId) {
      if (principal.role === 'admin') return 'staff'
      if (principal.role === 'user') return 'not_staff'
      const remembered = known.get(eventId)
      if (remembered === undefined) return readFor(principal, eventId)
      const ageMs = clock.steadyMs() - remembered.readAtMs
      if (ageMs >= TRUSTED_MS || !isStaffIn(remembered.staff, principal))
        return readFor(principal, eventId)
      if (ageMs >= REFRESH_AFTER_MS && !remembered.isRefreshing) {
        remembered.isRefreshing = true
        // If it fails, the next request after `TRUSTED_MS` reads again and gets the error.
        read(eventId).catch(() => undefined)
      }
      return 'staff'
    },
    forget(eventId) {
      forgotten += 1
      known.delete(eventId)
    },
  }
}

/** True if a principal is staff of the event. */
export function isStaffIn(staff: EventStaff, { role, userId }: Principal): boolean {
  if (role !== 'organizer') return role === 'admin'
  return staff.owner === userId || staff.shared || staff.organizers.includes(userId)
}

/** True if a principal may give the event to another owner. */
export function mayChangeOwner(staff: EventStaff, { role, userId }: Principal): boolean {
  return role === 'admin' || (role === 'organizer' && staff.owner === userId)
}

/** @throws AppError `forbidden` or `event_not_found` */
export function checkStaff(answer: StaffAnswer, forbidden = ROLE_NEEDED.staff): void {
  if (answer === 'not_staff') throw new AppError('forbidden', forbidden)
  if (answer === 'not_found') throw eventNotFound()
}

/** Creates the check that callers are staff of events. */
export function createRequireStaff(access: Pick<EventAccess, 'staffOf'>): RequireStaff {
  return (principal, eventId) => {
    const answer = access.staffOf(principal, eventId)
    return typeof answer === 'string' ? checkStaff(answer) : answer.then((read) => checkStaff(read))
  }
}
