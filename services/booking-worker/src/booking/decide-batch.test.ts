import { type AcceptedCommand, DEFAULT_EVENT_DETAILS, type Outcome } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import type { Change } from './change.js'
import {
  type BatchResult,
  type BatchState,
  decideBatch,
  decidePoisoned,
  keyOf,
} from './decide-batch.js'
import type { Claim, EventState } from './event-state.js'
import { eventUnderTest, type MembersOf } from './testing/event-under-test.js'

const NOW = 1_700_000_000_000

function batch(...events: Partial<EventState>[]): BatchState {
  const states = events.map(eventUnderTest)
  return {
    events: new Map(states.map((state) => [state.eventId, state])),
    stored: new Map(),
    keys: new Map(),
  }
}

let commandCount = 0
function command(
  type: AcceptedCommand['type'],
  userId: string,
  more: MembersOf<AcceptedCommand> = {},
): AcceptedCommand {
  commandCount += 1
  return {
    commandId: `c${commandCount}`,
    type,
    eventId: 1,
    userId,
    caller: userId,
    acceptedAtMs: NOW,
    ...more,
  } as AcceptedCommand
}

const changesOf = ({ decided }: BatchResult): Change[] => decided.flatMap(({ changes }) => changes)

const kindsOf = (outcomes: { outcome: string }[]): string[] =>
  outcomes.map(({ outcome }) => outcome)

const HOUR_MS = 3_600_000

describe('decideBatch', () => {
  it('decides commands in order, each on the result of those before it', () => {
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

  it('returns the changes of each command with their event', () => {
    const state = batch({ eventId: 1 }, { eventId: 2 })

    const { decided } = decideBatch(
      state,
      [
        command('book', 'ann', { eventId: 2 }),
        command('book', 'ann'),
        command('book', 'bob', { eventId: 2 }),
      ],
      NOW,
    )

    expect(decided.map(({ changes }) => changes)).toEqual([
      [
        { type: 'booked', eventId: 2, userId: 'ann', sequence: 1 },
        { type: 'sold_out', eventId: 2 },
      ],
      [
        { type: 'booked', eventId: 1, userId: 'ann', sequence: 1 },
        { type: 'sold_out', eventId: 1 },
      ],
      [{ type: 'joined', eventId: 2, userId: 'bob', sequence: 2, position: 1 }],
    ])
  })

  it('answers event_not_found for an unknown event and decides the other commands', () => {
    const { outcomes, decided } = decideBatch(
      batch({}),
      [command('book', 'ann', { eventId: 9 }), command('book', 'ann')],
      NOW,
    )

    expect(kindsOf(outcomes)).toEqual(['event_not_found', 'booked'])
    expect(decided).toHaveLength(2)
  })
})

describe('what follows from a command', () => {
  const sold = { totalTickets: 1, availableTickets: 0, lastSequence: 2 }
  const waiting = (): Partial<EventState> => ({
    waitingCount: 1,
    heads: [{ sequence: 2, userId: 'bob' }],
    claims: new Map<string, Claim>([
      ['ann', { kind: 'booking', sequence: 1 }],
      ['bob', { kind: 'waiting', sequence: 2, loadedPosition: 1 }],
    ]),
  })

  it('is recorded with the command that caused it', () => {
    const state = batch({ ...sold, ...waiting(), paused: true })

    const { decided } = decideBatch(
      state,
      [command('cancel', 'ann'), command('cancel', 'bob')],
      NOW,
    )

    expect(decided.map(({ changes }) => changes)).toEqual([
      [
        { type: 'canceled', eventId: 1, userId: 'ann', sequence: 1 },
        { type: 'circulated', eventId: 1, by: -1 },
      ],
      [
        { type: 'withdrawn', eventId: 1, userId: 'bob', sequence: 2 },
        { type: 'circulated', eventId: 1, by: 1 },
        { type: 'available', eventId: 1 },
      ],
    ])
  })

  it('shows in the event that a configure returns', () => {
    const state = batch({ ...sold, details: { ...DEFAULT_EVENT_DETAILS, owner: null } })

    const { outcomes } = decideBatch(
      state,
      [command('configure', 'olga', { patch: { totalTickets: 3 } })],
      NOW,
    )

    expect(outcomes[0]).toMatchObject({
      event: { totalTickets: 3, availableTickets: 2, withheldTickets: 0, version: 2 },
    })
  })

  it('is a settle when a fifth of the time of the first hold is left', () => {
    const state = batch({ totalTickets: 3, availableTickets: 3, holdSeconds: 60 })

    const first = decideBatch(state, [command('book', 'ann')], NOW)
    const second = decideBatch(state, [command('book', 'bob')], NOW + 1)

    expect(changesOf(first)).toContainEqual({
      type: 'rescheduled',
      eventId: 1,
      dueAtMs: NOW + 48_000,
    })
    expect(changesOf(second).map(({ type }) => type)).toEqual(['held'])
    expect(state.events.get(1)?.dueAtMs).toBe(NOW + 48_000)
  })

  it('is a settle when a fifth of the time of an extended hold is left, even if that is over', () => {
    const hold = { kind: 'held', sequence: 1, holdSeconds: 60, offered: false } as const
    const extended = (heldAtMs: number, seconds: number) => {
      const claims = new Map([['ann', { ...hold, heldAtMs, expiresAtMs: NOW + 1000 }]])
      const state = batch({ ...sold, heldCount: 1, claims, maxHoldSeconds: 600 })
      decideBatch(state, [command('extend', 'ann', { seconds })], NOW)
      return state.events.get(1)?.dueAtMs
    }

    expect(extended(NOW - 20_000, 80)).toBe(NOW + 60_000)
    expect(extended(NOW - 100_000, 5)).toBe(NOW - 16_000)
  })

  it('says that the event is sold out or has free tickets again, once for each command', () => {
    const state = batch({ totalTickets: 2, availableTickets: 2 })

    const { decided } = decideBatch(
      state,
      [
        command('book', 'ann'),
        command('book', 'bob'),
        command('cancel', 'ann'),
        command('cancel', 'bob'),
      ],
      NOW,
    )

    expect(decided.map(({ changes }) => changes.map(({ type }) => type))).toEqual([
      ['booked'],
      ['booked', 'sold_out'],
      ['canceled', 'available'],
      ['canceled'],
    ])
  })

  it('says nothing about the free tickets of an event that is canceled', () => {
    const { decided } = decideBatch(batch({}), [command('cancel_event', 'olga')], NOW)

    expect(decided[0]?.changes.map(({ type }) => type)).toEqual([
      ...['circulated', 'event_canceled', 'rescheduled'].slice(0, 2),
    ])
  })

  it('is nothing for a command that changes nothing, even if a settle is overdue', () => {
    const state = batch({ ...sold, ...waiting(), capacity: 2, dueAtMs: NOW - 1 })

    const { decided } = decideBatch(state, [command('book', 'bob')], NOW)

    expect(decided).toMatchObject([{ outcome: { outcome: 'already_waiting' }, changes: [] }])
  })

  it('is decided by a settle as by any other command', () => {
    const state = batch({ ...sold, ...waiting(), capacity: 2 })

    const { outcomes, decided } = decideBatch(state, [command('settle', '')], NOW)

    expect(outcomes).toEqual([{ outcome: 'settled', decidedAtMs: NOW }])
    expect(decided[0]?.changes.map(({ type }) => type)).toEqual([
      ...['circulated', 'promoted', 'rescheduled'],
    ])
  })

  it('is not planned for an event that does not exist', () => {
    const { outcomes } = decideBatch(batch(), [command('settle', '')], NOW)

    expect(outcomes).toEqual([{ outcome: 'event_not_found', decidedAtMs: NOW }])
  })
})

describe('decideBatch with a stored outcome', () => {
  it('returns the stored outcome and changes nothing', () => {
    const state = batch({})
    const first = command('book', 'ann')
    const outcome: Outcome = { outcome: 'waiting', position: 12, decidedAtMs: NOW - 5000 }
    state.stored.set(first.commandId, outcome)

    const { outcomes, decided } = decideBatch(state, [first], NOW)

    expect(outcomes).toEqual([outcome])
    expect(decided).toEqual([])
  })

  it('changes nothing for an abandoned command', () => {
    const state = batch({})
    const abandoned = command('book', 'ann')
    state.stored.set(abandoned.commandId, { outcome: 'abandoned', decidedAtMs: NOW })

    const { outcomes, decided } = decideBatch(state, [abandoned, command('book', 'bob')], NOW)

    expect(kindsOf(outcomes)).toEqual(['abandoned', 'booked'])
    expect(decided).toHaveLength(1)
  })

  it('decides a command that is in the batch twice once', () => {
    const twin = command('book', 'ann')

    const { outcomes, decided } = decideBatch(batch({}), [twin, twin], NOW)

    expect(outcomes[1]).toEqual(outcomes[0])
    expect(decided).toHaveLength(1)
  })
})

describe('decideBatch with an idempotency key', () => {
  const keyed = { keyHash: 'hash' }

  it('repeats the first answer unchanged and names the first command', () => {
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
  ])('answers idempotency_key_reused for a key with %s', (_what, other) => {
    const state = batch({ eventId: 1, totalTickets: 5, availableTickets: 5 }, { eventId: 2 })

    const { outcomes, decided } = decideBatch(state, [command('book', 'ann', keyed), other], NOW)

    expect(outcomes[1]).toEqual({ outcome: 'idempotency_key_reused', decidedAtMs: NOW })
    expect(decided[1]?.ownsKey).toBe(false)
    expect(state.events.get(1)?.availableTickets).toBe(4)
  })

  it('lets two callers use the same key', () => {
    const state = batch({ totalTickets: 2, availableTickets: 2 })

    const { outcomes } = decideBatch(
      state,
      [command('book', 'ann', keyed), command('book', 'bob', keyed)],
      NOW,
    )

    expect(kindsOf(outcomes)).toEqual(['booked', 'booked'])
  })

  it('repeats an answer that an earlier batch stored', () => {
    const state = batch({})
    const outcome: Outcome = { outcome: 'booked', bookingId: '1-1', decidedAtMs: NOW - 9 }
    state.keys.set(keyOf('ann', 'hash'), {
      command: command('book', 'ann', { commandId: 'first' }),
      acceptedAtMs: NOW - 9,
      outcome,
    })

    const result = decideBatch(state, [command('book', 'ann', keyed)], NOW)

    expect(result.outcomes).toEqual([{ ...outcome, replayOf: 'first' }])
    expect(changesOf(result)).toEqual([])
  })

  it('answers idempotency_key_reused for a key with another request hash', () => {
    const state = batch({ totalTickets: 5, availableTickets: 5 })
    const grant = (requestHash?: string) =>
      command('grant', 'ann', requestHash === undefined ? keyed : { ...keyed, requestHash })

    const { outcomes } = decideBatch(state, [grant('a'), grant('b'), grant(), grant('a')], NOW)

    expect(kindsOf(outcomes)).toEqual([
      ...['booked', 'idempotency_key_reused', 'idempotency_key_reused', 'booked'],
    ])
  })

  it('does not use up a key for a booking that came too early, or during a pause', () => {
    for (const settings of [{ opensAtMs: NOW + 1 }, { paused: true }]) {
      const state = batch(settings)

      const { outcomes, decided } = decideBatch(
        state,
        [command('book', 'ann', keyed), command('cancel', 'ann', keyed)],
        NOW,
      )

      expect(kindsOf(outcomes)[1]).toBe('booking_not_found')
      expect(decided.map(({ ownsKey }) => ownsKey)).toEqual([false, true])
    }
  })

  it('uses up a key for each other refusal', () => {
    const state = batch({ closesAtMs: NOW })

    const { decided } = decideBatch(state, [command('book', 'ann', keyed)], NOW)

    expect(decided).toMatchObject([{ outcome: { outcome: 'sales_closed' }, ownsKey: true }])
  })

  it('does not take a command that runs again for a repeat of its own key', () => {
    const state = batch({})
    const first = command('book', 'ann', keyed)
    decideBatch(state, [first], NOW)

    const { outcomes } = decideBatch(state, [first], NOW)

    expect(outcomes[0]).not.toHaveProperty('replayOf')
  })

  it('holds a key for requests accepted within 24 hours, however late they are decided', () => {
    const state = batch({ totalTickets: 2, availableTickets: 2 })
    const accepted = (acceptedAtMs: number) => command('book', 'ann', { ...keyed, acceptedAtMs })
    const first = accepted(NOW - 40 * HOUR_MS)
    const inTime = accepted(NOW - 16 * HOUR_MS - 1)
    const tooLate = accepted(NOW - 16 * HOUR_MS)

    const { outcomes, decided } = decideBatch(
      state,
      [first, command('cancel', 'ann'), inTime, tooLate],
      NOW,
    )

    expect(kindsOf(outcomes)).toEqual(['booked', 'canceled', 'booked', 'booked'])
    expect(outcomes[2]).toMatchObject({ bookingId: '1-1', replayOf: first.commandId })
    expect(outcomes[3]).toMatchObject({ bookingId: '1-2' })
    expect(decided.map(({ ownsKey }) => ownsKey)).toEqual([true, false, false, true])
  })
})

describe('decidePoisoned', () => {
  it('answers rejected and changes nothing', () => {
    const state = batch({})
    const poisoned = command('book', 'ann', { keyHash: 'hash' })

    const { outcomes, decided } = decidePoisoned(state, [poisoned], NOW)

    expect(outcomes).toEqual([{ outcome: 'rejected', decidedAtMs: NOW }])
    expect(decided).toEqual([
      { command: poisoned, outcome: outcomes[0], changes: [], ownsKey: true },
    ])
    expect(state.events.get(1)?.availableTickets).toBe(1)
  })

  it('gives the answer of an idempotency key that has one', () => {
    const state = batch({})
    const first = command('book', 'ann', { keyHash: 'hash' })
    decideBatch(state, [first], NOW)

    const { outcomes, decided } = decidePoisoned(
      state,
      [command('book', 'ann', { keyHash: 'hash' }), command('cancel', 'ann', { keyHash: 'hash' })],
      NOW,
    )

    expect(outcomes).toMatchObject([
      { outcome: 'booked', bookingId: '1-1', replayOf: first.commandId },
      { outcome: 'idempotency_key_reused' },
    ])
    expect(decided.map(({ ownsKey }) => ownsKey)).toEqual([false, false])
  })

  it('gives the outcome of a command that was decided in the meantime', () => {
    const state = batch({})
    const first = command('book', 'ann')
    const { outcomes } = decideBatch(state, [first], NOW)

    const again = decidePoisoned(state, [first], NOW + 1)

    expect(again).toEqual({ outcomes, decided: [] })
  })
})
