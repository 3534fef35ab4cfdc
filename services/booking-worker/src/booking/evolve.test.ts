import { DEFAULT_EVENT_DETAILS } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { type EventState, InvariantError } from './event-state.js'
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

const JOINED = { type: 'joined', eventId: 1, position: 1 } as const
const EXTENDED = {
  type: 'extended',
  eventId: 1,
  userId: 'ann',
  sequence: 7,
  heldAtMs: 1000,
} as const
const HOLD = { heldAtMs: 1000, holdSeconds: 5, expiresAtMs: 6000 }

/** The event with a hold of ann, under number 7. */
function withHold(loaded: Partial<EventState> = {}): EventState {
  return event({
    heldCount: 1,
    claims: new Map([['ann', { kind: 'held', sequence: 7, offered: false, ...HOLD }]]),
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

    evolve(state, { ...JOINED, userId: 'ann', sequence: 21 })

    expect(state.heads).toEqual([{ sequence: 21, userId: 'ann' }])
    expect(state).toMatchObject({ waitingCount: 1, lastSequence: 21 })
  })

  it('does not add an entry that joins a waiting list of which only the head was loaded', () => {
    const state = event({
      waitingCount: 9,
      heads: [{ sequence: 5, userId: 'bob' }],
      headsComplete: false,
    })

    evolve(state, { ...JOINED, userId: 'ann', sequence: 21 })

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
    evolve(state, { ...JOINED, userId: 'ann', sequence: 21 })

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

  it('takes a ticket and a sequence number for a hold', () => {
    const state = event({ availableTickets: 2 })

    evolve(state, { type: 'held', eventId: 1, userId: 'ann', sequence: 21, ...HOLD })

    expect(state).toMatchObject({ availableTickets: 1, heldCount: 1, lastSequence: 21 })
    expect(state.claims.get('ann')).toEqual({
      kind: 'held',
      sequence: 21,
      offered: false,
      ...HOLD,
    })
  })

  it('makes a booking of a hold without another ticket', () => {
    const state = withHold()

    evolve(state, { type: 'confirmed', eventId: 1, userId: 'ann', sequence: 7, origin: 'hold' })

    expect(state).toMatchObject({ availableTickets: 0, heldCount: 0, lastSequence: 20 })
    expect(state.claims.get('ann')).toEqual({ kind: 'booking', sequence: 7 })
  })

  it('takes a free ticket for a late confirmation, and the hold is no longer lapsed', () => {
    const state = event({
      availableTickets: 1,
      claims: new Map([['ann', { kind: 'lapsed', sequence: 7, lapsedAtMs: 900 }]]),
      lapsed: new Map([[7, { userId: 'ann', lapsedAtMs: 900 }]]),
    })

    evolve(state, { type: 'confirmed', eventId: 1, userId: 'ann', sequence: 7, origin: 'late' })

    expect(state).toMatchObject({ availableTickets: 0, heldCount: 0, lastSequence: 20 })
    expect(state.claims.get('ann')).toEqual({ kind: 'booking', sequence: 7 })
    expect(state.lapsed.size).toBe(0)
  })

  it('moves the deadline of a hold and nothing else', () => {
    const state = withHold()

    evolve(state, { ...EXTENDED, expiresAtMs: 9000 })

    expect(state.claims.get('ann')).toEqual({
      kind: 'held',
      sequence: 7,
      offered: false,
      ...HOLD,
      expiresAtMs: 9000,
    })
    expect(state).toMatchObject({ availableTickets: 0, heldCount: 1, lastSequence: 20 })
  })

  it('throws if the hold to be extended was not loaded', () => {
    expect(() => evolve(event(), { ...EXTENDED, expiresAtMs: 9 })).toThrow(InvariantError)
  })

  it('frees the ticket of a hold that is released', () => {
    const state = withHold()

    evolve(state, { type: 'released', eventId: 1, userId: 'ann', sequence: 7 })

    expect(state).toMatchObject({ availableTickets: 1, heldCount: 0 })
    expect(state.claims.size).toBe(0)
  })

  it('frees the ticket of a hold that lapses, and remembers when', () => {
    const state = withHold()

    evolve(state, { type: 'lapsed', eventId: 1, userId: 'ann', sequence: 7, lapsedAtMs: 2000 })

    expect(state).toMatchObject({ availableTickets: 1, heldCount: 0, nextDue: 1 })
    expect(state.claims.get('ann')).toEqual({ kind: 'lapsed', sequence: 7, lapsedAtMs: 2000 })
  })

  it('holds a ticket for a promoted user who gets an offer', () => {
    const heads = [{ sequence: 5, userId: 'bob' }]
    const state = event({ waitingCount: 1, heads })

    evolve(state, { type: 'circulated', eventId: 1, by: 1 })
    evolve(state, {
      type: 'promoted',
      eventId: 1,
      userId: 'bob',
      entrySequence: 5,
      sequence: 21,
      offer: HOLD,
    })

    expect(state).toMatchObject({
      totalTickets: 4,
      availableTickets: 0,
      heldCount: 1,
      waitingCount: 0,
      lastSequence: 21,
    })
    expect(state.claims.get('bob')).toEqual({
      kind: 'held',
      sequence: 21,
      offered: true,
      ...HOLD,
    })
  })

  it('ends the waiting-list entry of a user who is granted a ticket', () => {
    const heads = [5, 6].map((sequence) => ({ sequence, userId: `user-${sequence}` }))
    const state = event({ waitingCount: 2, heads })

    evolve(state, { type: 'circulated', eventId: 1, by: 1 })
    evolve(state, {
      type: 'granted',
      eventId: 1,
      userId: 'user-6',
      sequence: 21,
      entrySequence: 6,
    })

    expect(state).toMatchObject({ availableTickets: 0, waitingCount: 1, lastSequence: 21 })
    expect(state.departed).toEqual(new Set([6]))
    expect(state.claims.get('user-6')).toEqual({ kind: 'booking', sequence: 21 })
  })

  it('takes the tickets of ended bookings and holds out of the event', () => {
    const state = withHold({ waitingCount: 1, canceledAtMs: 900 })
    const ended = (kind: 'booking' | 'held' | 'waiting', userId: string, sequence: number) =>
      evolve(state, { type: 'ended', eventId: 1, kind, userId, sequence })

    ended('booking', 'bob', 2)
    expect(state).toMatchObject({ totalTickets: 2, heldCount: 1, waitlistHeadSequence: 3 })
    ended('held', 'ann', 7)
    expect(state).toMatchObject({ totalTickets: 1, heldCount: 0, waitlistHeadSequence: 8 })
    ended('waiting', 'cleo', 9)
    expect(state).toMatchObject({ totalTickets: 1, waitingCount: 0, waitlistHeadSequence: 10 })
    expect(state).toMatchObject({ availableTickets: 0, nextDue: 3 })
    expect(state.claims.size).toBe(0)
  })

  it('changes settings and counts the version up, but moves no ticket', () => {
    const state = event({ availableTickets: 2, holdSeconds: 60 })

    evolve(state, {
      type: 'configured',
      eventId: 1,
      patch: { totalTickets: 9, holdSeconds: null, paused: true },
    })

    expect(state).toMatchObject({
      version: 2,
      capacity: 9,
      totalTickets: 3,
      availableTickets: 2,
      holdSeconds: null,
      paused: true,
      details: undefined,
    })
  })

  it('changes the details of an event if they were loaded', () => {
    const state = event({ details: { ...DEFAULT_EVENT_DETAILS, owner: 'olga' } })

    evolve(state, { type: 'configured', eventId: 1, patch: { name: 'Gala', listed: false } })

    expect(state.details).toMatchObject({ name: 'Gala', listed: false, owner: 'olga' })
    expect(state).not.toHaveProperty('name')
  })

  it('begins the search for claims of a canceled event at its first number', () => {
    const state = event()

    evolve(state, {
      type: 'event_canceled',
      eventId: 1,
      canceledAtMs: 1000,
      reason: undefined,
    })

    expect(state).toMatchObject({ canceledAtMs: 1000, waitlistHeadSequence: 0 })
  })

  it('goes on to the next hold after one was logged as expiring', () => {
    const expiring = [3, 4].map((sequence) => ({ sequence, userId: `user-${sequence}`, ...HOLD }))
    const state = event({ expiring })

    evolve(state, {
      type: 'reminded',
      eventId: 1,
      userId: 'user-4',
      sequence: 4,
      expiresAtMs: 6000,
    })

    expect(state.nextExpiring).toBe(2)
    expect(state.claims.size).toBe(0)
  })

  it('plans the next settle', () => {
    const state = event()

    evolve(state, { type: 'rescheduled', eventId: 1, dueAtMs: 5000 })
    expect(state.dueAtMs).toBe(5000)
    evolve(state, { type: 'rescheduled', eventId: 1, dueAtMs: null })
    expect(state.dueAtMs).toBeNull()
  })
})
