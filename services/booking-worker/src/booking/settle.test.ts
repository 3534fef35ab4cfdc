import { MAX_LOG_ROWS_PER_SETTLE } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import type { Change } from './change.js'
import type { Claim, DueClaim, EventState, ExpiringHold } from './event-state.js'
import { evolve } from './evolve.js'
import { logOf } from './log.js'
import { settle } from './settle.js'
import { eventUnderTest } from './testing/event-under-test.js'

const NOW = 1_700_000_000_000

/** A hold of `user-<sequence>`, as the batch of a settle loads it. */
const dueHold = (sequence: number, expiresAtMs: number): DueClaim => ({
  kind: 'held',
  sequence,
  userId: `user-${sequence}`,
  expiresAtMs,
})

const entriesFrom = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ sequence: first + i, userId: `user-${first + i}` }))

/** An event whose tickets are all held, as the batch of a settle loads it. */
function event(holds: DueClaim[], loaded: Partial<EventState> = {}): EventState {
  const total = loaded.totalTickets ?? holds.length
  return eventUnderTest({
    capacity: total,
    totalTickets: total,
    availableTickets: 0,
    heldCount: holds.length,
    lastSequence: 10_000,
    due: holds,
    ...loaded,
  })
}

function settled(state: EventState, nowMs = NOW): Change[] {
  return settle(state, nowMs, (changes) => {
    for (const change of changes) evolve(state, change)
  })
}

const typesOf = (changes: readonly Change[]): string[] => changes.map(({ type }) => type)

const logRowsOf = (changes: readonly Change[]): number => changes.flatMap(logOf).length

const withType = <Type extends Change['type']>(changes: Change[], type: Type) =>
  changes.filter((change): change is Change & { type: Type } => change.type === type)

describe('settle', () => {
  it('lets a hold lapse in the millisecond of its deadline, and frees its ticket', () => {
    const state = event([dueHold(1, NOW)])

    expect(settled(state)).toEqual([
      { type: 'lapsed', eventId: 1, userId: 'user-1', sequence: 1, lapsedAtMs: NOW },
      { type: 'available', eventId: 1 },
      { type: 'rescheduled', eventId: 1, dueAtMs: null },
    ])
    expect(state).toMatchObject({ availableTickets: 1, heldCount: 0, totalTickets: 1 })
    expect(state.claims.get('user-1')).toEqual({ kind: 'lapsed', sequence: 1, lapsedAtMs: NOW })
  })

  it('keeps a hold whose deadline is a millisecond away, and plans the next settle for it', () => {
    const state = event([dueHold(1, NOW + 1)], { dueAtMs: NOW })

    expect(settled(state)).toEqual([{ type: 'rescheduled', eventId: 1, dueAtMs: NOW + 1 }])
    expect(state).toMatchObject({ availableTickets: 0, heldCount: 1, dueAtMs: NOW + 1 })
  })

  it('plans no settle if nothing is left to come', () => {
    const state = event([], { totalTickets: 3, dueAtMs: NOW - 5 })

    expect(settled(state)).toEqual([{ type: 'rescheduled', eventId: 1, dueAtMs: null }])
    expect(state.dueAtMs).toBeNull()
  })

  it('lets holds lapse in the order in which they were loaded', () => {
    const state = event([dueHold(7, NOW - 20), dueHold(3, NOW - 10), dueHold(5, NOW - 10)])

    expect(withType(settled(state), 'lapsed').map(({ sequence }) => sequence)).toEqual([7, 3, 5])
  })

  it('gives the ticket of each lapsed hold to the next user on the waiting list', () => {
    const state = event([dueHold(1, NOW - 2), dueHold(2, NOW - 1)], {
      waitingCount: 3,
      heads: entriesFrom(11, 3),
      offerSeconds: 60,
    })

    const changes = settled(state)

    expect(typesOf(changes)).toEqual(['lapsed', 'promoted', 'lapsed', 'promoted', 'rescheduled'])
    expect(withType(changes, 'promoted')).toMatchObject([
      { userId: 'user-11', entrySequence: 11, sequence: 10_001, offer: { holdSeconds: 60 } },
      { userId: 'user-12', entrySequence: 12, sequence: 10_002, offer: { holdSeconds: 60 } },
    ])
    expect(state).toMatchObject({ heldCount: 2, waitingCount: 1, dueAtMs: NOW + 48_000 })
  })

  it('plans the next settle for the earlier of an old hold and the reminder of a new offer', () => {
    const loaded = { waitingCount: 1, heads: entriesFrom(11, 1), offerSeconds: 60 }
    const oldFirst = event([dueHold(1, NOW), dueHold(2, NOW + 47_999)], loaded)
    const newFirst = event([dueHold(1, NOW), dueHold(2, NOW + 48_001)], loaded)
    settled(oldFirst)
    settled(newFirst)

    expect([oldFirst.dueAtMs, newFirst.dueAtMs]).toEqual([NOW + 47_999, NOW + 48_000])
  })

  it.each([
    ['the sale is paused', { paused: true }],
    ['promotion is stopped', { promoting: false }],
    ['the sale is over', { closesAtMs: NOW }],
  ])('withholds the tickets of lapsed holds from the waiting list while %s', (_why, settings) => {
    const state = event([dueHold(1, NOW)], {
      waitingCount: 1,
      heads: entriesFrom(11, 1),
      ...settings,
    })

    expect(typesOf(settled(state))).toEqual(['lapsed', 'circulated', 'rescheduled'])
    expect(state).toMatchObject({
      totalTickets: 0,
      availableTickets: 0,
      waitingCount: 1,
      dueAtMs: null,
    })
  })

  it('withholds them until the sale opens, and plans the next settle for that time', () => {
    const state = event([dueHold(1, NOW)], {
      waitingCount: 1,
      heads: entriesFrom(11, 1),
      opensAtMs: NOW + 5000,
    })
    settled(state)
    expect(state).toMatchObject({ totalTickets: 0, dueAtMs: NOW + 5000 })

    const changes = settled(state, NOW + 5000)

    expect(typesOf(changes)).toEqual(['circulated', 'promoted', 'rescheduled'])
    expect(state).toMatchObject({ totalTickets: 1, waitingCount: 0, dueAtMs: null })
  })

  it('takes the tickets of lapsed holds out of an event that shrinks', () => {
    const holds = [dueHold(1, NOW), dueHold(2, NOW), dueHold(3, NOW)]
    const state = event(holds, { capacity: 1 })

    expect(typesOf(settled(state))).toEqual([
      ...['lapsed', 'circulated', 'lapsed', 'circulated', 'lapsed', 'available'],
      'rescheduled',
    ])
    expect(state).toMatchObject({ totalTickets: 1, availableTickets: 1 })
  })

  it('gives withheld tickets to the waiting list in its order, after the lapsed holds', () => {
    const state = event([dueHold(1, NOW)], {
      capacity: 3,
      waitingCount: 4,
      heads: entriesFrom(11, 4),
    })

    const changes = settled(state)

    expect(typesOf(changes)).toEqual([
      ...['lapsed', 'promoted', 'circulated', 'promoted', 'circulated', 'promoted'],
      'rescheduled',
    ])
    expect(withType(changes, 'promoted').map(({ userId }) => userId)).toEqual([
      ...['user-11', 'user-12', 'user-13'],
    ])
    expect(state).toMatchObject({ totalTickets: 3, waitingCount: 1, dueAtMs: null })
  })

  it('frees the withheld tickets that are left when the waiting list is empty', () => {
    const state = event([], {
      capacity: 5,
      totalTickets: 2,
      waitingCount: 1,
      heads: entriesFrom(11, 1),
    })

    expect(settled(state).slice(-3, -1)).toEqual([
      { type: 'circulated', eventId: 1, by: 2 },
      { type: 'available', eventId: 1 },
    ])
    expect(state).toMatchObject({ totalTickets: 5, availableTickets: 2, waitingCount: 0 })
  })
})

describe('a hold that is about to lapse', () => {
  /** A hold that began 100 s before it ends. A fifth of its time is left 20 s before that. */
  const expiringHold = (sequence: number, expiresAtMs: number): ExpiringHold => ({
    sequence,
    userId: `user-${sequence}`,
    heldAtMs: expiresAtMs - 100_000,
    expiresAtMs,
  })

  const withHolds = (...holds: ExpiringHold[]) =>
    event(
      holds.map(({ sequence, expiresAtMs }) => dueHold(sequence, expiresAtMs)),
      { expiring: holds },
    )

  it('is logged when a fifth of its time is left, and the next settle ends it', () => {
    const state = withHolds(expiringHold(1, NOW + 20_000))

    expect(settled(state)).toEqual([
      {
        type: 'reminded',
        eventId: 1,
        userId: 'user-1',
        sequence: 1,
        expiresAtMs: NOW + 20_000,
      },
      { type: 'rescheduled', eventId: 1, dueAtMs: NOW + 20_000 },
    ])
    expect(state).toMatchObject({ availableTickets: 0, heldCount: 1 })
  })

  it('is not logged a millisecond earlier, and the next settle is planned for that time', () => {
    const state = withHolds(expiringHold(1, NOW + 20_001))

    expect(settled(state)).toEqual([{ type: 'rescheduled', eventId: 1, dueAtMs: NOW + 1 }])
  })

  it('is logged in the first whole millisecond in which at most a fifth is left', () => {
    const hold = { ...expiringHold(1, NOW + 2), heldAtMs: NOW - 9 }

    expect(typesOf(settled(withHolds(hold), NOW - 1))).toEqual(['rescheduled'])
    expect(typesOf(settled(withHolds(hold), NOW))).toEqual(['reminded', 'rescheduled'])
  })

  it('is not logged if it lapses in the same settle', () => {
    const state = withHolds(expiringHold(1, NOW), expiringHold(2, NOW + 5))

    expect(typesOf(settled(state))).toEqual(['lapsed', 'reminded', 'available', 'rescheduled'])
    expect(state.dueAtMs).toBe(NOW + 5)
  })

  it('is logged in order, after lapsed holds and promotions', () => {
    const state = event([dueHold(9, NOW)], {
      capacity: 2,
      waitingCount: 3,
      heads: entriesFrom(11, 3),
      expiring: [expiringHold(4, NOW + 10), expiringHold(3, NOW + 20)],
    })

    const changes = settled(state)

    expect(typesOf(changes)).toEqual([
      ...['lapsed', 'promoted', 'circulated', 'promoted', 'reminded', 'reminded', 'rescheduled'],
    ])
    expect(withType(changes, 'reminded').map(({ sequence }) => sequence)).toEqual([4, 3])
  })

  it('is not logged if the event is canceled', () => {
    const state = event([{ ...dueHold(1, NOW + 10), expiresAtMs: null }], {
      canceledAtMs: NOW,
      expiring: [expiringHold(1, NOW + 10)],
    })

    expect(typesOf(settled(state))).toEqual(['ended', 'rescheduled'])
  })
})

describe('what a settle says about free tickets', () => {
  it('is said once, at its end', () => {
    const state = event([dueHold(1, NOW), dueHold(2, NOW), dueHold(3, NOW)])

    expect(typesOf(settled(state))).toEqual([
      ...['lapsed', 'lapsed', 'lapsed', 'available', 'rescheduled'],
    ])
  })

  it('is nothing if tickets were free before', () => {
    const state = event([dueHold(1, NOW)], { totalTickets: 2, availableTickets: 1 })

    expect(typesOf(settled(state))).toEqual(['lapsed', 'rescheduled'])
  })
})

describe('a portion of a settle', () => {
  const lapsing = (count: number) =>
    Array.from({ length: Math.min(count, MAX_LOG_ROWS_PER_SETTLE + 1) }, (_, i) =>
      dueHold(i + 1, NOW - count + i),
    )

  it('adds at most 256 rows to the log, and the next one is due at once', () => {
    const state = event(lapsing(300), { totalTickets: 300, heldCount: 300 })

    const changes = settled(state)

    expect(logRowsOf(changes)).toBeLessThanOrEqual(256)
    expect(logRowsOf(changes)).toBeGreaterThan(250)
    expect(state.dueAtMs).toBeLessThan(NOW)
    expect(state.heldCount).toBe(300 - withType(changes, 'lapsed').length)
  })

  it('adds at most 256 rows to the log if each hold that lapses promotes somebody', () => {
    const state = event(lapsing(300), {
      totalTickets: 300,
      heldCount: 300,
      waitingCount: 400,
      heads: entriesFrom(1001, 256),
      headsComplete: false,
      offerSeconds: 5,
    })

    const changes = settled(state)

    expect(logRowsOf(changes)).toBeLessThanOrEqual(256)
    expect(withType(changes, 'promoted')).toHaveLength(withType(changes, 'lapsed').length)
    expect(state).toMatchObject({ heldCount: 300 })
    expect(state.dueAtMs).toBeLessThan(NOW)
  })

  it('adds at most 256 rows to the log if it hands out withheld tickets, and the next one is due at once', () => {
    const state = event([], {
      capacity: 10_000,
      totalTickets: 0,
      waitingCount: 10_000,
      heads: entriesFrom(1, 256),
      headsComplete: false,
    })

    const changes = settled(state)

    expect(logRowsOf(changes)).toBeLessThanOrEqual(256)
    expect(withType(changes, 'promoted').length).toBeGreaterThan(250)
    expect(state.dueAtMs).toBe(NOW)
  })

  it('adds at most 256 rows to the log if holds are about to lapse, and the next one is due at once', () => {
    const expiring = Array.from({ length: 257 }, (_, i) => ({
      sequence: i + 1,
      userId: `user-${i + 1}`,
      heldAtMs: NOW - 100_000,
      expiresAtMs: NOW + 10 + i,
    }))
    const holds = expiring.map(({ sequence, expiresAtMs }) => dueHold(sequence, expiresAtMs))
    const state = event(holds, { expiring })

    const changes = settled(state)

    expect(logRowsOf(changes)).toBeLessThanOrEqual(256)
    expect(withType(changes, 'reminded').length).toBeGreaterThan(250)
    expect(state.dueAtMs).toBeLessThanOrEqual(NOW)
  })

  it('adds at most 256 rows to the log if it ends claims, and the next one is due at once', () => {
    const claims = Array.from(
      { length: 257 },
      (_, i): DueClaim => ({
        ...dueHold(i + 1, NOW),
        kind: 'booking',
        expiresAtMs: null,
      }),
    )
    const state = event(claims, { canceledAtMs: NOW - 1, totalTickets: 500, heldCount: 0 })

    const changes = settled(state)

    expect(logRowsOf(changes)).toBeLessThanOrEqual(256)
    expect(withType(changes, 'ended').length).toBeGreaterThan(250)
    expect(state.dueAtMs).toBe(NOW)
  })
})

describe('a settle of a canceled event', () => {
  const claims: DueClaim[] = [
    { kind: 'booking', sequence: 1, userId: 'ann', expiresAtMs: null },
    { kind: 'held', sequence: 2, userId: 'bob', expiresAtMs: null },
    { kind: 'waiting', sequence: 3, userId: 'cleo', expiresAtMs: null },
  ]
  const canceled = (loaded: Partial<EventState> = {}) =>
    event(claims, {
      canceledAtMs: NOW - 1,
      capacity: 9,
      totalTickets: 2,
      heldCount: 1,
      waitingCount: 1,
      heads: [{ sequence: 3, userId: 'cleo' }],
      claims: new Map<string, Claim>([['ann', { kind: 'booking', sequence: 1 }]]),
      ...loaded,
    })

  it('ends claims in order of their numbers and promotes nobody', () => {
    const state = canceled()

    expect(settled(state)).toEqual([
      { type: 'ended', eventId: 1, kind: 'booking', sequence: 1, userId: 'ann' },
      { type: 'ended', eventId: 1, kind: 'held', sequence: 2, userId: 'bob' },
      { type: 'ended', eventId: 1, kind: 'waiting', sequence: 3, userId: 'cleo' },
      { type: 'rescheduled', eventId: 1, dueAtMs: null },
    ])
    expect(state).toMatchObject({
      totalTickets: 0,
      availableTickets: 0,
      heldCount: 0,
      waitingCount: 0,
      waitlistHeadSequence: 4,
    })
    expect(state.claims).toEqual(new Map())
  })

  it('does not repeat without effect if a counter is higher than the number of claims', () => {
    const state = canceled({ due: [], totalTickets: 2 })

    expect(settled(state)).toEqual([{ type: 'rescheduled', eventId: 1, dueAtMs: null }])
  })
})
