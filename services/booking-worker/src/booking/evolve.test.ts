import { describe, expect, it } from 'vitest'
import type { EventState } from './event-state.js'
import { evolve } from './evolve.js'
import { eventUnderTest } from './testing/event-under-test.js'

function event(loaded: Partial<EventState> = {}): EventState {
  return eventUnderTest({
    totalTickets: 3,
    availableTickets: 0,
    lastSequence: 20,
    waitlistHeadSequence: 4,
    ...loaded,
  })
}

describe('evolve', () => {
  it('takes a ticket and a sequence number for a booking', () => {
    const state = event({ availableTickets: 2 })

    evolve(state, { type: 'booked', eventId: 1, userId: 'ann', sequence: 21 })

    expect(state).toMatchObject({ availableTickets: 1, lastSequence: 21 })
    expect(state.claims.get('ann')).toEqual({ kind: 'booking', sequence: 21 })
  })

  it('adds an entry that joins a completely loaded waiting list, so that it can be promoted', () => {
    const state = event()

    evolve(state, { type: 'joined', eventId: 1, userId: 'ann', sequence: 21 })

    expect(state.heads).toEqual([{ sequence: 21, userId: 'ann' }])
    expect(state).toMatchObject({ waitingCount: 1, lastSequence: 21 })
  })

  it('does not add an entry that joins a waiting list of which only the head was loaded', () => {
    const state = event({
      waitingCount: 9,
      heads: [{ sequence: 5, userId: 'bob' }],
      headsComplete: false,
    })

    evolve(state, { type: 'joined', eventId: 1, userId: 'ann', sequence: 21 })

    expect(state.heads).toHaveLength(1)
    expect(state.claims.get('ann')).toEqual({ kind: 'waiting', sequence: 21, loadedPosition: 10 })
  })

  it('keeps the position before departures for an entry that joins', () => {
    const state = event({
      waitingCount: 1,
      heads: [{ sequence: 5, userId: 'bob' }],
      claims: new Map([['bob', { kind: 'waiting', sequence: 5, loadedPosition: undefined }]]),
    })

    evolve(state, { type: 'withdrawn', eventId: 1, userId: 'bob', sequence: 5 })
    evolve(state, { type: 'joined', eventId: 1, userId: 'ann', sequence: 21 })

    expect(state.claims.get('ann')).toMatchObject({ loadedPosition: 2 })
    expect(state.departed).toEqual(new Set([5]))
    expect(state.waitingCount).toBe(1)
  })

  it('moves the head of the waiting list past entries that left in any order', () => {
    const heads = [5, 6, 8].map((sequence) => ({ sequence, userId: `user-${sequence}` }))
    const state = event({ waitingCount: 4, heads, headsComplete: false })

    evolve(state, { type: 'withdrawn', eventId: 1, userId: 'user-6', sequence: 6 })
    expect(state).toMatchObject({ nextHead: 0, waitlistHeadSequence: 4 })

    evolve(state, {
      type: 'promoted',
      eventId: 1,
      userId: 'user-5',
      entrySequence: 5,
      sequence: 21,
      offer: undefined,
    })
    expect(state).toMatchObject({ nextHead: 2, waitlistHeadSequence: 7, waitingCount: 2 })
  })

  it('moves the head of the waiting list past all sequence numbers when the list becomes empty', () => {
    const heads = [{ sequence: 5, userId: 'bob' }]
    const state = event({ waitingCount: 1, heads, headsComplete: false })

    evolve(state, { type: 'withdrawn', eventId: 1, userId: 'bob', sequence: 5 })

    expect(state).toMatchObject({ waitingCount: 0, waitlistHeadSequence: 21 })
  })

  it('leaves the number of free tickets unchanged after a cancellation and its promotion', () => {
    const heads = [{ sequence: 5, userId: 'bob' }]
    const state = event({
      waitingCount: 1,
      heads,
      claims: new Map([['ann', { kind: 'booking', sequence: 2 }]]),
    })

    evolve(state, { type: 'canceled', eventId: 1, userId: 'ann', sequence: 2 })
    evolve(state, {
      type: 'promoted',
      eventId: 1,
      userId: 'bob',
      entrySequence: 5,
      sequence: 21,
      offer: undefined,
    })

    expect(state).toMatchObject({ availableTickets: 0, waitingCount: 0, lastSequence: 21 })
    expect(state.claims).toEqual(new Map([['bob', { kind: 'booking', sequence: 21 }]]))
  })
})
