import { describe, expect, it } from 'vitest'
import { decide } from './decide.js'
import { type EventState, InvariantError, startBatch } from './event-state.js'

const NOW = 1_700_000_000_000

function event(loaded: Partial<EventState>): EventState {
  return startBatch({
    eventId: 7,
    totalTickets: 2,
    availableTickets: 0,
    waitingCount: 0,
    lastSequence: 10,
    waitlistHeadSequence: 0,
    claims: new Map(),
    heads: [],
    headsComplete: true,
    ...loaded,
  })
}

describe('a booking', () => {
  it('takes a free ticket and the next number', () => {
    const { outcome, changes } = decide(
      event({ availableTickets: 1 }),
      { type: 'book', userId: 'ann' },
      NOW,
    )

    expect(outcome).toEqual({ outcome: 'booked', bookingId: '7-11', decidedAtMs: NOW })
    expect(changes).toEqual([{ type: 'booked', eventId: 7, userId: 'ann', sequence: 11 }])
  })

  it('goes to the back of the list when all tickets are taken', () => {
    const { outcome, changes } = decide(
      event({ waitingCount: 3 }),
      { type: 'book', userId: 'ann' },
      NOW,
    )

    expect(outcome).toEqual({ outcome: 'waiting', position: 4, decidedAtMs: NOW })
    expect(changes).toEqual([{ type: 'joined', eventId: 7, userId: 'ann', sequence: 11 }])
  })

  it('of an event without tickets waits as the first', () => {
    const { outcome } = decide(event({ totalTickets: 0 }), { type: 'book', userId: 'ann' }, NOW)

    expect(outcome).toEqual({ outcome: 'waiting', position: 1, decidedAtMs: NOW })
  })

  it('of somebody who holds a ticket changes nothing, also while tickets are free', () => {
    const state = event({
      availableTickets: 1,
      claims: new Map([['ann', { kind: 'booking', sequence: 4 }]]),
    })

    const { outcome, changes } = decide(state, { type: 'book', userId: 'ann' }, NOW)

    expect(outcome).toEqual({ outcome: 'already_booked', bookingId: '7-4', decidedAtMs: NOW })
    expect(changes).toEqual([])
  })

  it('of somebody who waits tells the live rank, less those who left in this batch from before', () => {
    const state = event({
      waitingCount: 5,
      claims: new Map([['ann', { kind: 'waiting', sequence: 9, loadedRank: 4 }]]),
    })
    state.departed.add(6).add(8).add(10)

    const { outcome, changes } = decide(state, { type: 'book', userId: 'ann' }, NOW)

    expect(outcome).toEqual({ outcome: 'already_waiting', position: 2, decidedAtMs: NOW })
    expect(changes).toEqual([])
  })

  it('stops where a rank is asked for that nobody loaded', () => {
    const state = event({
      waitingCount: 1,
      claims: new Map([['ann', { kind: 'waiting', sequence: 9, loadedRank: undefined }]]),
    })

    expect(() => decide(state, { type: 'book', userId: 'ann' }, NOW)).toThrow(InvariantError)
  })
})

describe('a cancel', () => {
  const booked = new Map([['ann', { kind: 'booking' as const, sequence: 4 }]])

  it('of somebody who holds nothing is not found', () => {
    const { outcome, changes } = decide(event({}), { type: 'cancel', userId: 'ann' }, NOW)

    expect(outcome).toEqual({ outcome: 'booking_not_found', decidedAtMs: NOW })
    expect(changes).toEqual([])
  })

  it('frees the ticket when nobody waits', () => {
    const { outcome, changes } = decide(
      event({ claims: booked }),
      { type: 'cancel', userId: 'ann' },
      NOW,
    )

    expect(outcome).toEqual({ outcome: 'canceled', bookingId: '7-4', decidedAtMs: NOW })
    expect(changes).toEqual([{ type: 'canceled', eventId: 7, userId: 'ann', sequence: 4 }])
  })

  it('hands the ticket to the head of the list at once', () => {
    const heads = [
      { sequence: 6, userId: 'bob' },
      { sequence: 8, userId: 'eve' },
    ]
    const state = event({ claims: booked, waitingCount: 2, heads })

    const { outcome, changes } = decide(state, { type: 'cancel', userId: 'ann' }, NOW)

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

  it('passes over a head that left in this batch', () => {
    const heads = [
      { sequence: 6, userId: 'bob' },
      { sequence: 8, userId: 'eve' },
    ]
    const state = event({ claims: booked, waitingCount: 1, heads })
    state.departed.add(6)

    const { outcome } = decide(state, { type: 'cancel', userId: 'ann' }, NOW)

    expect(outcome.promotedUserId).toBe('eve')
  })

  it('of somebody who waits leaves the list and promotes nobody', () => {
    const state = event({
      waitingCount: 1,
      claims: new Map([['ann', { kind: 'waiting', sequence: 9, loadedRank: undefined }]]),
    })

    const { outcome, changes } = decide(state, { type: 'cancel', userId: 'ann' }, NOW)

    expect(outcome).toEqual({ outcome: 'withdrawn', decidedAtMs: NOW })
    expect(changes).toEqual([{ type: 'withdrawn', eventId: 7, userId: 'ann', sequence: 9 }])
  })

  it('stops where people wait and no head was loaded: skipping them would break the order', () => {
    const state = event({ claims: booked, waitingCount: 1, heads: [] })

    expect(() => decide(state, { type: 'cancel', userId: 'ann' }, NOW)).toThrow(InvariantError)
  })
})

describe('an event that contradicts itself', () => {
  it.each([
    ['more tickets free than there are', { availableTickets: 3 }],
    ['fewer than none free', { availableTickets: -1 }],
    ['fewer than nobody waiting', { waitingCount: -1 }],
    ['a free ticket while somebody waits', { availableTickets: 1, waitingCount: 1 }],
  ])('is not decided on: %s', (_what, loaded) => {
    expect(() => event(loaded)).toThrow(InvariantError)
  })
})
