import type { Command, Outcome } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { type BatchState, decideBatch, keyOf } from './decide-batch.js'
import { type LoadedEvent, startBatch } from './event-state.js'

const NOW = 1_700_000_000_000

function batch(...events: Partial<LoadedEvent>[]): BatchState {
  const states = events.map((loaded) =>
    startBatch({
      eventId: 1,
      totalTickets: 1,
      availableTickets: 1,
      waitingCount: 0,
      lastSequence: 0,
      waitlistHeadSequence: 0,
      claims: new Map(),
      heads: [],
      headsComplete: true,
      ...loaded,
    }),
  )
  return {
    events: new Map(states.map((state) => [state.eventId, state])),
    stored: new Map(),
    keys: new Map(),
  }
}

let commandCount = 0
function command(type: Command['type'], userId: string, more: Partial<Command> = {}): Command {
  commandCount += 1
  return { commandId: `c${commandCount}`, type, eventId: 1, userId, caller: userId, ...more }
}

const kindsOf = (outcomes: { outcome: string }[]): string[] =>
  outcomes.map(({ outcome }) => outcome)

const HOUR_MS = 3_600_000

describe('a batch', () => {
  it('is decided in order, each command seeing those before it', () => {
    const state = batch({})

    const { outcomes, decided } = decideBatch(
      state,
      [
        command('book', 'ann'),
        command('book', 'bob'),
        command('book', 'bob'),
        command('cancel', 'ann'),
        command('cancel', 'bob'),
        command('cancel', 'bob'),
      ],
      NOW,
    )

    expect(outcomes).toEqual([
      { outcome: 'booked', bookingId: '1-1', decidedAtMs: NOW },
      { outcome: 'waiting', position: 1, decidedAtMs: NOW },
      { outcome: 'already_waiting', position: 1, decidedAtMs: NOW },
      { outcome: 'canceled', bookingId: '1-1', promotedUserId: 'bob', decidedAtMs: NOW },
      { outcome: 'canceled', bookingId: '1-3', decidedAtMs: NOW },
      { outcome: 'booking_not_found', decidedAtMs: NOW },
    ])
    expect(decided).toHaveLength(6)
    expect(state.events.get(1)).toMatchObject({
      availableTickets: 1,
      waitingCount: 0,
      lastSequence: 3,
    })
  })

  it('keeps the changes of its events apart', () => {
    const state = batch({ eventId: 1 }, { eventId: 2 })

    const { changes } = decideBatch(
      state,
      [
        command('book', 'ann', { eventId: 2 }),
        command('book', 'ann'),
        command('book', 'bob', { eventId: 2 }),
      ],
      NOW,
    )

    expect(changes.get(1)).toEqual([{ type: 'booked', userId: 'ann', sequence: 1 }])
    expect(changes.get(2)).toEqual([
      { type: 'booked', userId: 'ann', sequence: 1 },
      { type: 'joined', userId: 'bob', sequence: 2 },
    ])
  })

  it('answers for an event that does not exist and decides the rest', () => {
    const { outcomes, decided } = decideBatch(
      batch({}),
      [command('book', 'ann', { eventId: 9 }), command('book', 'ann')],
      NOW,
    )

    expect(kindsOf(outcomes)).toEqual(['event_not_found', 'booked'])
    expect(decided).toHaveLength(2)
  })
})

describe('a command that was decided before', () => {
  it('gets its stored outcome again and changes nothing', () => {
    const state = batch({})
    const first = command('book', 'ann')
    const outcome: Outcome = { outcome: 'waiting', position: 12, decidedAtMs: NOW - 5000 }
    state.stored.set(first.commandId, outcome)

    const { outcomes, decided, changes } = decideBatch(state, [first], NOW)

    expect(outcomes).toEqual([outcome])
    expect(decided).toEqual([])
    expect(changes.size).toBe(0)
  })

  it('and refused stays refused', () => {
    const state = batch({})
    const refused = command('book', 'ann')
    state.stored.set(refused.commandId, { outcome: 'refused', decidedAtMs: NOW })

    const { outcomes, decided } = decideBatch(state, [refused, command('book', 'bob')], NOW)

    expect(kindsOf(outcomes)).toEqual(['refused', 'booked'])
    expect(decided).toHaveLength(1)
  })

  it('within the same batch is decided once', () => {
    const twin = command('book', 'ann')

    const { outcomes, decided } = decideBatch(batch({}), [twin, twin], NOW)

    expect(outcomes[1]).toEqual(outcomes[0])
    expect(decided).toHaveLength(1)
  })
})

describe('an idempotency key', () => {
  const keyed = { keyHash: 'hash' }

  it('repeats the first answer as it was then, naming the first command', () => {
    const first = command('book', 'bob', keyed)
    const again = command('book', 'bob', keyed)
    const commands = [
      command('book', 'ann'),
      command('book', 'eve'),
      first,
      command('cancel', 'eve'),
      again,
    ]

    const { outcomes, decided } = decideBatch(batch({}), commands, NOW)

    expect(outcomes[4]).toEqual({
      outcome: 'waiting',
      position: 2,
      decidedAtMs: NOW,
      replayOf: first.commandId,
    })
    expect(decided.map(({ ownsKey }) => ownsKey)).toEqual([false, false, true, false, false])
  })

  it.each([
    ['another type', command('cancel', 'ann', keyed)],
    ['another event', command('book', 'ann', { ...keyed, eventId: 2 })],
    ['another user', command('book', 'bob', { ...keyed, caller: 'ann' })],
  ])('with %s is reused, and has no effect', (_what, other) => {
    const state = batch({ eventId: 1, totalTickets: 5, availableTickets: 5 }, { eventId: 2 })

    const { outcomes, decided } = decideBatch(state, [command('book', 'ann', keyed), other], NOW)

    expect(outcomes[1]).toEqual({ outcome: 'idempotency_key_reused', decidedAtMs: NOW })
    expect(decided[1]?.ownsKey).toBe(false)
    expect(state.events.get(1)?.availableTickets).toBe(4)
  })

  it('belongs to its caller: two may use the same', () => {
    const state = batch({ totalTickets: 2, availableTickets: 2 })

    const { outcomes } = decideBatch(
      state,
      [command('book', 'ann', keyed), command('book', 'bob', keyed)],
      NOW,
    )

    expect(kindsOf(outcomes)).toEqual(['booked', 'booked'])
  })

  it('that was stored by an earlier batch counts as well', () => {
    const state = batch({})
    const outcome: Outcome = { outcome: 'booked', bookingId: '1-1', decidedAtMs: NOW - 9 }
    state.keys.set(keyOf('ann', 'hash'), {
      acceptedAtMs: NOW - 9,
      commandId: 'first',
      type: 'book',
      eventId: 1,
      userId: 'ann',
      outcome,
    })

    const { outcomes, changes } = decideBatch(state, [command('book', 'ann', keyed)], NOW)

    expect(outcomes).toEqual([{ ...outcome, replayOf: 'first' }])
    expect(changes.size).toBe(0)
  })

  it('is looked at after the stored outcome: the same command again is no repeat of itself', () => {
    const state = batch({})
    const first = command('book', 'ann', keyed)
    decideBatch(state, [first], NOW)

    const { outcomes } = decideBatch(state, [first], NOW)

    expect(outcomes[0]).not.toHaveProperty('replayOf')
  })

  it('holds for requests that are accepted within 24 hours, however late they are decided', () => {
    const state = batch({ totalTickets: 2, availableTickets: 2 })
    const first = command('book', 'ann', keyed)
    const inTime = command('book', 'ann', keyed)
    const tooLate = command('book', 'ann', keyed)
    const acceptedAtMs = new Map([
      [first, NOW - 40 * HOUR_MS],
      [inTime, NOW - 16 * HOUR_MS - 1],
      [tooLate, NOW - 16 * HOUR_MS],
    ])

    const { outcomes, decided } = decideBatch(
      state,
      [first, command('cancel', 'ann'), inTime, tooLate],
      NOW,
      (one) => acceptedAtMs.get(one) ?? NOW,
    )

    expect(kindsOf(outcomes)).toEqual(['booked', 'canceled', 'booked', 'booked'])
    expect(outcomes[2]).toMatchObject({ bookingId: '1-1', replayOf: first.commandId })
    expect(outcomes[3]).toMatchObject({ bookingId: '1-2' })
    expect(decided.map(({ ownsKey }) => ownsKey)).toEqual([true, false, false, true])
  })
})
