import { describe, expect, it } from 'vitest'
import { decide } from './decide.js'
import { type EventState, InvariantError } from './event-state.js'
import { eventUnderTest } from './testing/event-under-test.js'

const NOW = 1_700_000_000_000

function event(loaded: Partial<EventState>): EventState {
  return eventUnderTest({
    eventId: 7,
    totalTickets: 2,
    availableTickets: 0,
    lastSequence: 10,
    ...loaded,
  })
}

describe('decide for a booking', () => {
  it('books a free ticket under the next sequence number', () => {
    const { outcome, changes } = decide(
      event({ availableTickets: 1 }),
      { type: 'book', eventId: 7, userId: 'ann' },
      NOW,
    )

    expect(outcome).toEqual({ outcome: 'booked', bookingId: '7-11', decidedAtMs: NOW })
    expect(changes).toEqual([{ type: 'booked', eventId: 7, userId: 'ann', sequence: 11 }])
  })

  it('appends the user to the waiting list if all tickets are taken', () => {
    const { outcome, changes } = decide(
      event({ waitingCount: 3 }),
      { type: 'book', eventId: 7, userId: 'ann' },
      NOW,
    )

    expect(outcome).toEqual({ outcome: 'waiting', position: 4, decidedAtMs: NOW })
    expect(changes).toEqual([
      { type: 'joined', eventId: 7, userId: 'ann', sequence: 11, position: 4 },
    ])
  })

  it('puts the first user of an event without tickets at position 1 of the waiting list', () => {
    const { outcome } = decide(
      event({ totalTickets: 0 }),
      { type: 'book', eventId: 7, userId: 'ann' },
      NOW,
    )

    expect(outcome).toEqual({ outcome: 'waiting', position: 1, decidedAtMs: NOW })
  })

  it('changes nothing for a user who has a booking, even if tickets are free', () => {
    const state = event({
      availableTickets: 1,
      claims: new Map([['ann', { kind: 'booking', sequence: 4 }]]),
    })

    const { outcome, changes } = decide(state, { type: 'book', eventId: 7, userId: 'ann' }, NOW)

    expect(outcome).toEqual({ outcome: 'already_booked', bookingId: '7-4', decidedAtMs: NOW })
    expect(changes).toEqual([])
  })

  it('answers a user on the waiting list with the position, without entries that left in this batch', () => {
    const state = event({
      waitingCount: 5,
      claims: new Map([['ann', { kind: 'waiting', sequence: 9, loadedPosition: 4 }]]),
    })
    state.departed.add(6).add(8).add(10)

    const { outcome, changes } = decide(state, { type: 'book', eventId: 7, userId: 'ann' }, NOW)

    expect(outcome).toEqual({ outcome: 'already_waiting', position: 2, decidedAtMs: NOW })
    expect(changes).toEqual([])
  })

  it('throws if it needs a position that was not loaded', () => {
    const state = event({
      waitingCount: 1,
      claims: new Map([['ann', { kind: 'waiting', sequence: 9, loadedPosition: undefined }]]),
    })

    expect(() => decide(state, { type: 'book', eventId: 7, userId: 'ann' }, NOW)).toThrow(
      InvariantError,
    )
  })
})

describe('decide for a cancellation', () => {
  const booked = new Map([['ann', { kind: 'booking' as const, sequence: 4 }]])

  it('finds no booking if the user has no claim', () => {
    const { outcome, changes } = decide(
      event({}),
      { type: 'cancel', eventId: 7, userId: 'ann' },
      NOW,
    )

    expect(outcome).toEqual({ outcome: 'booking_not_found', decidedAtMs: NOW })
    expect(changes).toEqual([])
  })

  it('frees the ticket if the waiting list is empty', () => {
    const { outcome, changes } = decide(
      event({ claims: booked }),
      { type: 'cancel', eventId: 7, userId: 'ann' },
      NOW,
    )

    expect(outcome).toEqual({ outcome: 'canceled', bookingId: '7-4', decidedAtMs: NOW })
    expect(changes).toEqual([{ type: 'canceled', eventId: 7, userId: 'ann', sequence: 4 }])
  })

  it('gives the ticket to the head of the waiting list at once', () => {
    const heads = [
      { sequence: 6, userId: 'bob' },
      { sequence: 8, userId: 'eve' },
    ]
    const state = event({ claims: booked, waitingCount: 2, heads })

    const { outcome, changes } = decide(state, { type: 'cancel', eventId: 7, userId: 'ann' }, NOW)

    expect(outcome).toEqual({
      outcome: 'canceled',
      bookingId: '7-4',
      promotedUserId: 'bob',
      decidedAtMs: NOW,
    })
    expect(changes).toEqual([
      { type: 'canceled', eventId: 7, userId: 'ann', sequence: 4 },
      { type: 'promoted', eventId: 7, userId: 'bob', entrySequence: 6, sequence: 11 },
    ])
  })

  it('skips an entry that left the waiting list in this batch', () => {
    const heads = [
      { sequence: 6, userId: 'bob' },
      { sequence: 8, userId: 'eve' },
    ]
    const state = event({ claims: booked, waitingCount: 1, heads })
    state.departed.add(6)

    const { outcome } = decide(state, { type: 'cancel', eventId: 7, userId: 'ann' }, NOW)

    expect(outcome.promotedUserId).toBe('eve')
  })

  it('withdraws a waiting-list entry and promotes nobody', () => {
    const state = event({
      waitingCount: 1,
      claims: new Map([['ann', { kind: 'waiting', sequence: 9, loadedPosition: undefined }]]),
    })

    const { outcome, changes } = decide(state, { type: 'cancel', eventId: 7, userId: 'ann' }, NOW)

    expect(outcome).toEqual({ outcome: 'withdrawn', decidedAtMs: NOW })
    expect(changes).toEqual([{ type: 'withdrawn', eventId: 7, userId: 'ann', sequence: 9 }])
  })

  it('throws if the waiting list is not empty and no entry was loaded', () => {
    const state = event({ claims: booked, waitingCount: 1, heads: [] })

    expect(() => decide(state, { type: 'cancel', eventId: 7, userId: 'ann' }, NOW)).toThrow(
      InvariantError,
    )
  })
})

describe('startBatch', () => {
  it.each([
    ['more free tickets than tickets', { availableTickets: 3 }],
    ['a negative number of free tickets', { availableTickets: -1 }],
    ['a negative number of waiting-list entries', { waitingCount: -1 }],
    ['a free ticket and a waiting-list entry', { availableTickets: 1, waitingCount: 1 }],
  ])('throws for an event with %s', (_what, loaded) => {
    expect(() => event(loaded)).toThrow(InvariantError)
  })
})
