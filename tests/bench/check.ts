import { verifyPromises } from '@ticket-line/db'
import pg from 'pg'
import {
  bookerOf,
  cancelerOf,
  type DriverReport,
  eventOf,
  result,
  type Traffic,
} from './driver/plan.ts'
import type { Deployment, Tables } from './systems/system.ts'

/** What the database contains after a run. */
export interface StoredState {
  events: {
    eventId: number
    totalTickets: number
    availableTickets: number
    waitingCount: number
  }[]
  claims: { eventId: number; userId: string; kind: 'booking' | 'waiting' }[]
  disorder: number
}

export async function readState(client: pg.ClientBase, tables: Tables): Promise<StoredState> {
  const events = await client.query(tables.readEvents)
  const claims = await client.query(tables.readClaims)
  const disorder = await client.query(tables.readDisorder)
  return {
    events: events.rows.map((row) => ({
      eventId: Number(row.event_id),
      totalTickets: Number(row.total_tickets),
      availableTickets: Number(row.available_tickets),
      waitingCount: Number(row.waiting_count),
    })),
    claims: claims.rows.map((row) => ({
      eventId: Number(row.event_id),
      userId: row.user_id,
      kind: row.kind,
    })),
    disorder: Number(disorder.rows[0]?.disorder),
  }
}

/**
 * Compares the claims in the database with its counters and with every response.
 *
 * @returns the contradictions in words; empty if the run was correct
 */
export function findFaults(
  state: StoredState,
  traffic: Traffic & { kind: 'bookings' },
  { booked, canceled, wrongAnswers }: Pick<DriverReport, 'booked' | 'canceled' | 'wrongAnswers'>,
): string[] {
  const faults = wrongAnswers.map(describeWrongAnswer)
  const unanswered = [...booked, ...canceled].filter((code) => code === result.unanswered).length
  if (unanswered > 0) faults.push(`${unanswered} requests have no response`)
  if (state.disorder > 0)
    faults.push(`${state.disorder} users were promoted before somebody who joined the list earlier`)
  return [...faults, ...eventFaults(state), ...claimFaults(state, traffic, booked, canceled)]
}

function describeWrongAnswer({ status, body }: DriverReport['wrongAnswers'][number]): string {
  return `unexpected response: ${status} ${body}`
}

function eventFaults({ events, claims }: StoredState): string[] {
  const faults: string[] = []
  const counts = new Map<number, { booking: number; waiting: number }>()
  for (const { eventId, kind } of claims) {
    const count = counts.get(eventId) ?? { booking: 0, waiting: 0 }
    count[kind]++
    counts.set(eventId, count)
  }
  for (const { eventId, totalTickets, availableTickets, waitingCount } of events) {
    const { booking, waiting } = counts.get(eventId) ?? { booking: 0, waiting: 0 }
    if (availableTickets < 0 || booking + availableTickets !== totalTickets) {
      faults.push(
        `event ${eventId}: ${booking} booked, ${availableTickets} free, of ${totalTickets}`,
      )
    }
    if (waiting !== waitingCount) {
      faults.push(
        `event ${eventId}: the list has ${waiting} entries, the counter says ${waitingCount}`,
      )
    }
    if (waiting > 0 && availableTickets > 0)
      faults.push(`event ${eventId}: tickets are free while the waiting list is not empty`)
  }
  return faults
}

/**
 * Checks that every user who booked and did not cancel has exactly one claim, for the right event,
 * and that every user who canceled has none.
 */
function claimFaults(
  { claims }: StoredState,
  traffic: Traffic & { kind: 'bookings' },
  booked: Uint8Array,
  canceled: Uint8Array,
): string[] {
  const faults: string[] = []
  const held = new Map<string, StoredState['claims'][number]>()
  for (const claim of claims) {
    if (held.has(claim.userId)) faults.push(`${claim.userId} has two claims`)
    held.set(claim.userId, claim)
  }
  const gone = new Set<string>()
  for (const [i, code] of canceled.entries()) {
    if (code === result.canceled || code === result.withdrawn) gone.add(cancelerOf(i, traffic).user)
  }
  for (const user of gone) if (held.has(user)) faults.push(`${user} canceled and still has a claim`)
  for (const [i, code] of booked.entries()) {
    const user = bookerOf(i, traffic)
    const claim = held.get(user)
    if (code === result.notSent && claim !== undefined)
      faults.push(`${user} sent no request and has a claim`)
    if ((code !== result.booked && code !== result.waiting) || gone.has(user)) continue
    if (claim === undefined) faults.push(`${user} got a success response and has no claim`)
    else if (claim.eventId !== eventOf(i, traffic))
      faults.push(`${user} has a claim for another event`)
    else if (code === result.booked && claim.kind !== 'booking')
      faults.push(`${user} lost their ticket`)
  }
  return faults
}

/** What a user has after a response, as the column `status` of `bookings`. */
const STATUS_AFTER: Record<number, string> = {
  [result.booked]: 'confirmed',
  [result.held]: 'held',
  [result.confirmed]: 'confirmed',
}

/**
 * Compares the bookings and holds of an event without a waiting list with its counters and with
 * every response. Each user `u0`, `u1`, … sent one booking, and perhaps confirmed it.
 *
 * @returns the contradictions in words; empty if the run was correct
 */
export function findBookingFaults(
  event: { total_tickets: number; available_tickets: number; held_count: number },
  bookings: readonly { user_id: string; status: string }[],
  { booked, wrongAnswers }: Pick<DriverReport, 'booked' | 'wrongAnswers'>,
): string[] {
  const faults = wrongAnswers.map(describeWrongAnswer)
  const held = bookings.filter(({ status }) => status === 'held').length
  if (held !== event.held_count)
    faults.push(`${held} tickets are held, the counter says ${event.held_count}`)
  if (bookings.length + event.available_tickets !== event.total_tickets) {
    faults.push(
      `${bookings.length} booked or held, ${event.available_tickets} free, of ${event.total_tickets}`,
    )
  }
  const statusOf = new Map(bookings.map(({ user_id, status }) => [user_id, status]))
  if (statusOf.size !== bookings.length) faults.push('a user has two bookings')
  for (const [i, code] of booked.entries()) {
    const status = statusOf.get(`u${i}`)
    if (code === result.unanswered) faults.push(`a request of u${i} has no response`)
    else if (code !== result.wrong && status !== STATUS_AFTER[code])
      faults.push(`u${i} has ${status ?? 'nothing'} instead of ${STATUS_AFTER[code] ?? 'nothing'}`)
  }
  return faults
}

/** Longest time of one check of many rows. */
const PROMISE_TIMEOUT_MS = 600_000

/**
 * Checks all promises of the product, as `ops verify` does.
 *
 * @returns those that its rows break, in words
 */
export async function findBrokenPromises({
  databaseUrl,
}: Pick<Deployment, 'databaseUrl'>): Promise<string[]> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 })
  try {
    const results = await verifyPromises(pool, {
      exampleLimit: 1,
      checkTimeoutMs: PROMISE_TIMEOUT_MS,
      now: () => performance.now(),
    })
    return results
      .filter(({ broken }) => broken > 0)
      .map(({ promise, examples }) => `${promise}: ${examples[0]?.detail}`)
  } finally {
    await pool.end()
  }
}
