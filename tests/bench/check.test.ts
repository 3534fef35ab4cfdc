import { describe, expect, it } from 'vitest'
import { findBookingFaults, findFaults, type StoredState } from './check.ts'
import { result, type Traffic } from './driver/plan.ts'

const traffic: Traffic & { kind: 'bookings' } = {
  kind: 'bookings',
  firstEventId: 1,
  events: 1,
  cancelsInTen: 3,
  holders: 0,
  prepared: 4,
  onFirstEvent: 0,
}

/**
 * An event of two tickets: u0 booked and canceled, so u2 was promoted; u1 booked; u3 is on the
 * list.
 */
function given(): { state: StoredState; report: Parameters<typeof findFaults>[2] } {
  const claim = (userId: string, kind: 'booking' | 'waiting') => ({ eventId: 1, userId, kind })
  return {
    state: {
      events: [{ eventId: 1, totalTickets: 2, availableTickets: 0, waitingCount: 1 }],
      claims: [claim('u1', 'booking'), claim('u2', 'booking'), claim('u3', 'waiting')],
      disorder: 0,
    },
    report: {
      booked: Uint8Array.of(
        result.booked,
        result.booked,
        result.waiting,
        result.waiting,
        result.notSent,
      ),
      canceled: Uint8Array.of(result.canceled, result.notSent),
      wrongAnswers: [],
    },
  }
}

const faultsOf = ({ state, report }: ReturnType<typeof given>) => findFaults(state, traffic, report)

it('finds no faults in a correct run', () => {
  expect(faultsOf(given())).toEqual([])
})

it.each<[string, (run: ReturnType<typeof given>) => void]>([
  [
    'an oversold event',
    ({ state }) => state.claims.push({ eventId: 1, userId: 'x', kind: 'booking' }),
  ],
  ['a lost ticket', ({ state }) => void state.claims.shift()],
  [
    'a wrong counter',
    ({ state }) => void Object.assign(state.events[0] ?? {}, { waitingCount: 2 }),
  ],
  [
    'a free ticket while the waiting list is not empty',
    ({ state }) =>
      void Object.assign(state.events[0] ?? {}, { totalTickets: 3, availableTickets: 1 }),
  ],
  [
    'a claim of a user who canceled',
    ({ state }) => state.claims.push({ eventId: 1, userId: 'u0', kind: 'waiting' }),
  ],
  [
    'a claim of a user who sent no request',
    ({ state }) => state.claims.push({ eventId: 1, userId: 'u4', kind: 'waiting' }),
  ],
  [
    'a booking that became a waiting-list entry',
    ({ state }) => void Object.assign(state.claims[0] ?? {}, { kind: 'waiting' }),
  ],
  [
    'a claim for another event',
    ({ state }) => void Object.assign(state.claims[0] ?? {}, { eventId: 2 }),
  ],
  [
    'a user with two claims',
    ({ state }) => state.claims.push({ eventId: 1, userId: 'u3', kind: 'waiting' }),
  ],
  ['a promotion out of order', ({ state }) => void Object.assign(state, { disorder: 1 })],
  [
    'an unexpected response',
    ({ report }) => void report.wrongAnswers.push({ status: 500, body: '' }),
  ],
  ['a request without a response', ({ report }) => report.booked.fill(result.unanswered, 4)],
])('reports %s as a fault', (_what, spoil) => {
  const run = given()
  spoil(run)
  expect(faultsOf(run)).not.toEqual([])
})

describe('the check of an event with holds', () => {
  /** u0 confirmed a ticket, u1 holds one, and u2 sent nothing. */
  const givenHolds = () => ({
    event: { total_tickets: 3, available_tickets: 1, held_count: 1 },
    bookings: [
      { user_id: 'u0', status: 'confirmed' },
      { user_id: 'u1', status: 'held' },
    ],
    report: {
      booked: Uint8Array.of(result.confirmed, result.held, result.notSent),
      wrongAnswers: [] as { status: number; body: string }[],
    },
  })
  type GivenHolds = ReturnType<typeof givenHolds>
  const faultsOfHolds = ({ event, bookings, report }: GivenHolds) =>
    findBookingFaults(event, bookings, report)

  it('finds no faults in a correct run', () => {
    expect(faultsOfHolds(givenHolds())).toEqual([])
  })

  it.each<[string, (run: GivenHolds) => void]>([
    ['a lost hold', ({ bookings }) => void bookings.pop()],
    [
      'a lost confirmation',
      ({ bookings }) => bookings.splice(0, 1, { user_id: 'u0', status: 'held' }),
    ],
    [
      'an oversold event',
      ({ bookings }) =>
        void bookings.push({ user_id: 'x', status: 'held' }, { user_id: 'y', status: 'held' }),
    ],
    ['a second booking', ({ bookings }) => void bookings.push({ user_id: 'u0', status: 'held' })],
    ['a wrong counter', ({ event }) => void Object.assign(event, { held_count: 2 })],
    ['a request without a response', ({ report }) => report.booked.set([result.unanswered], 2)],
    [
      'an unexpected response',
      ({ report }) => void report.wrongAnswers.push({ status: 503, body: '' }),
    ],
  ])('finds %s', (_, change) => {
    const run = givenHolds()
    change(run)
    expect(faultsOfHolds(run)).not.toEqual([])
  })
})
