import type pg from 'pg'
import { type Asks, cancelerOf, type DriverReport, eventOf, result } from './driver/plan.ts'
import type { Tables } from './systems/system.ts'

/** What a database says after a run. */
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
 * Holds the database against its own counters and against every answer that was given.
 * @returns what is wrong, in words; nothing where the run was correct
 */
export function findFaults(
  state: StoredState,
  asks: Asks & { kind: 'bookings' },
  { booked, canceled, wrongAnswers }: Pick<DriverReport, 'booked' | 'canceled' | 'wrongAnswers'>,
): string[] {
  const faults = wrongAnswers.map(({ status, body }) => `answered ${status} ${body}`)
  const unanswered = [...booked, ...canceled].filter((code) => code === result.unanswered).length
  if (unanswered > 0) faults.push(`${unanswered} requests were not answered`)
  if (state.disorder > 0)
    faults.push(`${state.disorder} were promoted before somebody who came earlier`)
  return [...faults, ...eventFaults(state), ...claimFaults(state, asks, booked, canceled)]
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
      faults.push(`event ${eventId}: ${waiting} wait, ${waitingCount} are counted`)
    }
    if (waiting > 0 && availableTickets > 0)
      faults.push(`event ${eventId}: somebody waits while tickets are free`)
  }
  return faults
}

/** Who booked and did not cancel holds exactly one claim, of the right event; who cancelled holds none. */
function claimFaults(
  { claims }: StoredState,
  asks: Asks & { kind: 'bookings' },
  booked: Uint8Array,
  canceled: Uint8Array,
): string[] {
  const faults: string[] = []
  const held = new Map<string, StoredState['claims'][number]>()
  for (const claim of claims) {
    if (held.has(claim.userId)) faults.push(`${claim.userId} holds two claims`)
    held.set(claim.userId, claim)
  }
  const gone = new Set<string>()
  for (const [i, code] of canceled.entries()) {
    if (code === result.canceled || code === result.withdrawn)
      gone.add(cancelerOf(i, asks.holders).user)
  }
  for (const user of gone)
    if (held.has(user)) faults.push(`${user} cancelled and still holds a claim`)
  for (const [i, code] of booked.entries()) {
    const user = `u${i}`
    const claim = held.get(user)
    if (code === result.notSent && claim !== undefined)
      faults.push(`${user} never asked and holds a claim`)
    if ((code !== result.booked && code !== result.waiting) || gone.has(user)) continue
    if (claim === undefined) faults.push(`${user} was answered and holds nothing`)
    else if (claim.eventId !== eventOf(i, asks)) faults.push(`${user} holds another event`)
    else if (code === result.booked && claim.kind !== 'booking')
      faults.push(`${user} lost a ticket`)
  }
  return faults
}
