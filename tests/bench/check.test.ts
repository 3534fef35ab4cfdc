import { expect, it } from 'vitest'
import { findFaults, type StoredState } from './check.ts'
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
