import type { Asked, CommandRequest, Outcome, SettleRequest } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import type { Change } from './change.js'
import { decide } from './decide.js'
import type { Claim, EventState } from './event-state.js'
import { eventUnderTest, type MembersOf } from './testing/event-under-test.js'

const NOW = 1_700_000_000_000
const DAY_MS = 24 * 3_600_000

/** Ann's claims. Each has a number of its own, and the last number of the event is 10. */
const CLAIMS = {
  lapsed: { kind: 'lapsed', sequence: 2, lapsedAtMs: NOW - 5000 },
  waiting: { kind: 'waiting', sequence: 9, loadedPosition: 4 },
  held: {
    kind: 'held',
    sequence: 3,
    heldAtMs: NOW - 20_000,
    holdSeconds: 60,
    expiresAtMs: NOW + 40_000,
    offered: false,
  },
  booking: { kind: 'booking', sequence: 4 },
} satisfies Record<string, Claim>

type Held = keyof typeof CLAIMS | 'none'
type Requested = Exclude<CommandRequest, SettleRequest>

/**
 * An event with four tickets of which ann has what `claim` says, and all others are somebody's.
 *
 * @param free free tickets; without any, four users are on the waiting list
 */
function event(claim: Held, free: number, more: Partial<EventState> = {}): EventState {
  return eventUnderTest({
    eventId: 7,
    totalTickets: 4,
    availableTickets: free,
    heldCount: claim === 'held' ? 1 : 0,
    waitingCount: free > 0 ? 0 : 4,
    lastSequence: 10,
    claims: claim === 'none' ? new Map() : new Map([['ann', CLAIMS[claim]]]),
    heads:
      free > 0
        ? []
        : [6, 7, 8, 9].map((sequence) => ({
            sequence,
            userId: sequence === 9 && claim === 'waiting' ? 'ann' : `user-${sequence}`,
          })),
    ...more,
  })
}

function decideFor(
  state: EventState,
  type: Requested['type'],
  members: MembersOf<Requested> = {},
): { outcome: Outcome; changes: readonly Change[] } {
  const command = { type, eventId: 7, userId: 'ann', ...members } as Asked<Requested>
  return decide(state, command, NOW)
}

const own = { eventId: 7, userId: 'ann' } as const
/** What the next user on the waiting list gets. */
const promotion = {
  type: 'promoted',
  eventId: 7,
  userId: 'user-6',
  entrySequence: 6,
  sequence: 11,
  offer: undefined,
}

describe('each command for each claim', () => {
  /**
   * The event, the command, and what it must decide. The outcome lacks the time of the decision.
   */
  const cells: [
    name: string,
    state: EventState,
    type: Requested['type'],
    outcome: Omit<Outcome, 'decidedAtMs'>,
    changes: object[],
    members?: MembersOf<Requested>,
  ][] = [
    [
      'books a free ticket for a user without a claim',
      event('none', 1),
      'book',
      { outcome: 'booked', bookingId: '7-11' },
      [{ type: 'booked', ...own, sequence: 11 }],
    ],
    [
      'holds a free ticket for a user without a claim if the event has holds',
      event('none', 1, { holdSeconds: 60 }),
      'book',
      { outcome: 'held', bookingId: '7-11', expiresAtMs: NOW + 60_000 },
      [
        {
          type: 'held',
          ...own,
          sequence: 11,
          heldAtMs: NOW,
          holdSeconds: 60,
          expiresAtMs: NOW + 60_000,
        },
      ],
    ],
    [
      'books a free ticket if the event has offers but no holds',
      event('none', 1, { offerSeconds: 60 }),
      'book',
      { outcome: 'booked', bookingId: '7-11' },
      [{ type: 'booked', ...own, sequence: 11 }],
    ],
    [
      'puts a user without a claim on the waiting list if no ticket is free',
      event('none', 0),
      'book',
      { outcome: 'waiting', position: 5 },
      [{ type: 'joined', ...own, sequence: 11, position: 5 }],
    ],
    [
      'holds a free ticket again for a user whose hold lapsed',
      event('lapsed', 1, { holdSeconds: 60 }),
      'book',
      { outcome: 'held', bookingId: '7-11', expiresAtMs: NOW + 60_000 },
      [
        {
          type: 'held',
          ...own,
          sequence: 11,
          heldAtMs: NOW,
          holdSeconds: 60,
          expiresAtMs: NOW + 60_000,
        },
      ],
    ],
    [
      'puts a user whose hold lapsed on the waiting list if no ticket is free',
      event('lapsed', 0),
      'book',
      { outcome: 'waiting', position: 5 },
      [{ type: 'joined', ...own, sequence: 11, position: 5 }],
    ],
    [
      'does not book for a user on the waiting list',
      event('waiting', 0),
      'book',
      { outcome: 'already_waiting', position: 4 },
      [],
    ],
    [
      'does not book for a user with a hold',
      event('held', 1),
      'book',
      { outcome: 'already_held', bookingId: '7-3', expiresAtMs: NOW + 40_000 },
      [],
    ],
    [
      'does not book for a user with a booking',
      event('booking', 1),
      'book',
      { outcome: 'already_booked', bookingId: '7-4' },
      [],
    ],

    [
      'finds nothing to confirm for a user without a claim',
      event('none', 1),
      'confirm',
      { outcome: 'booking_not_found' },
      [],
    ],
    [
      'confirms a lapsed hold late if a ticket is free',
      event('lapsed', 1),
      'confirm',
      { outcome: 'confirmed', bookingId: '7-2' },
      [{ type: 'confirmed', ...own, sequence: 2, origin: 'late' }],
    ],
    [
      'does not confirm a lapsed hold if no ticket is free',
      event('lapsed', 0),
      'confirm',
      { outcome: 'hold_expired' },
      [],
    ],
    [
      'does not confirm for a user on the waiting list',
      event('waiting', 0),
      'confirm',
      { outcome: 'already_waiting', position: 4 },
      [],
    ],
    [
      'confirms a hold',
      event('held', 0),
      'confirm',
      { outcome: 'confirmed', bookingId: '7-3' },
      [{ type: 'confirmed', ...own, sequence: 3, origin: 'hold' }],
    ],
    [
      'answers confirmed and changes nothing for a user with a booking',
      event('booking', 0),
      'confirm',
      { outcome: 'confirmed', bookingId: '7-4' },
      [],
    ],

    [
      'finds nothing to cancel for a user without a claim',
      event('none', 1),
      'cancel',
      { outcome: 'booking_not_found' },
      [],
    ],
    [
      'finds nothing to cancel for a user whose hold lapsed',
      event('lapsed', 1),
      'cancel',
      { outcome: 'booking_not_found' },
      [],
    ],
    [
      'takes a user off the waiting list and promotes nobody',
      event('waiting', 0),
      'cancel',
      { outcome: 'withdrawn' },
      [{ type: 'withdrawn', ...own, sequence: 9 }],
    ],
    [
      'releases a hold and gives its ticket to the waiting list',
      event('held', 0),
      'cancel',
      { outcome: 'released', bookingId: '7-3', promotedUserId: 'user-6' },
      [{ type: 'released', ...own, sequence: 3 }, promotion],
    ],
    [
      'releases a hold and frees its ticket if nobody is on the waiting list',
      event('held', 1),
      'cancel',
      { outcome: 'released', bookingId: '7-3' },
      [{ type: 'released', ...own, sequence: 3 }],
    ],
    [
      'cancels a booking and offers its ticket to the waiting list',
      event('booking', 0, { offerSeconds: 30 }),
      'cancel',
      { outcome: 'canceled', bookingId: '7-4', promotedUserId: 'user-6' },
      [
        { type: 'canceled', ...own, sequence: 4 },
        {
          ...promotion,
          offer: { heldAtMs: NOW, holdSeconds: 30, expiresAtMs: NOW + 30_000 },
        },
      ],
    ],

    [
      'finds nothing to extend for a user without a claim',
      event('none', 1),
      'extend',
      { outcome: 'booking_not_found' },
      [],
    ],
    [
      'does not extend a hold that lapsed',
      event('lapsed', 1),
      'extend',
      { outcome: 'hold_expired' },
      [],
    ],
    [
      'does not extend for a user on the waiting list',
      event('waiting', 0),
      'extend',
      { outcome: 'already_waiting', position: 4 },
      [],
    ],
    [
      'extends a hold by its first length',
      event('held', 0),
      'extend',
      { outcome: 'extended', bookingId: '7-3', expiresAtMs: NOW + 60_000 },
      [
        {
          type: 'extended',
          ...own,
          sequence: 3,
          heldAtMs: NOW - 20_000,
          expiresAtMs: NOW + 60_000,
        },
      ],
    ],
    [
      'does not extend a hold to a time before its deadline',
      event('held', 0),
      'extend',
      { outcome: 'hold_limit_reached' },
      [],
      { seconds: 40 },
    ],
    [
      'does not extend a booking',
      event('booking', 0),
      'extend',
      { outcome: 'already_booked', bookingId: '7-4' },
      [],
    ],

    [
      'grants a free ticket',
      event('none', 1),
      'grant',
      { outcome: 'booked', bookingId: '7-11' },
      [{ type: 'granted', ...own, sequence: 11, entrySequence: undefined }],
    ],
    [
      'grants a withheld ticket ahead of the waiting list',
      event('none', 0, { capacity: 5 }),
      'grant',
      { outcome: 'booked', bookingId: '7-11' },
      [
        { type: 'circulated', eventId: 7, by: 1 },
        { type: 'granted', ...own, sequence: 11, entrySequence: undefined },
      ],
    ],
    [
      'grants no ticket of an event that is sold out',
      event('none', 0),
      'grant',
      { outcome: 'sold_out' },
      [],
    ],
    [
      'grants one ticket more if the capacity may be raised',
      event('none', 0),
      'grant',
      { outcome: 'booked', bookingId: '7-11' },
      [
        { type: 'configured', eventId: 7, patch: { totalTickets: 5 } },
        { type: 'circulated', eventId: 7, by: 1 },
        { type: 'granted', ...own, sequence: 11, entrySequence: undefined },
      ],
      { raiseCapacity: true },
    ],
    [
      'grants a ticket to a user whose hold lapsed',
      event('lapsed', 1),
      'grant',
      { outcome: 'booked', bookingId: '7-11' },
      [{ type: 'granted', ...own, sequence: 11, entrySequence: undefined }],
    ],
    [
      'keeps the place on the waiting list of a user for whom no ticket can be granted',
      event('waiting', 0),
      'grant',
      { outcome: 'sold_out' },
      [],
    ],
    [
      'ends the place on the waiting list of a user who is granted a withheld ticket',
      event('waiting', 0, { capacity: 5 }),
      'grant',
      { outcome: 'booked', bookingId: '7-11' },
      [
        { type: 'circulated', eventId: 7, by: 1 },
        { type: 'granted', ...own, sequence: 11, entrySequence: 9 },
      ],
    ],
    [
      'confirms the hold of a user who is granted a ticket',
      event('held', 0),
      'grant',
      { outcome: 'confirmed', bookingId: '7-3' },
      [{ type: 'confirmed', ...own, sequence: 3, origin: 'hold' }],
    ],
    [
      'grants no second ticket to a user with a booking',
      event('booking', 1),
      'grant',
      { outcome: 'already_booked', bookingId: '7-4' },
      [],
    ],
  ]

  it.each(cells)('%s', (_name, state, type, outcome, changes, members) => {
    const decision = decideFor(state, type, members)

    expect(decision.outcome).toEqual({ ...outcome, decidedAtMs: NOW })
    expect(decision.changes).toEqual(changes)
  })
})

describe('a command that names a booking', () => {
  it.each(['cancel', 'confirm', 'extend'] as const)(
    'decides a %s as without the name if the user has that hold',
    (type) => {
      const named = decideFor(event('held', 0), type, { bookingId: '7-3' })

      expect(named).toEqual(decideFor(event('held', 0), type))
      expect(named.changes).not.toEqual([])
    },
  )

  it.each(['cancel', 'confirm', 'extend'] as const)(
    'answers hold_expired to a %s if the user has another hold or booking by now',
    (type) => {
      for (const claim of ['held', 'booking'] as const) {
        const lapsed = new Map([[2, { userId: 'ann', lapsedAtMs: NOW - 1 }]])
        const state = event(claim, 1, { lapsed })

        expect(decideFor(state, type, { bookingId: '7-2' })).toEqual({
          outcome: { outcome: 'hold_expired', decidedAtMs: NOW },
          changes: [],
        })
      }
    },
  )

  it('answers a user on the waiting list with hold_expired to a cancel and else with the position', () => {
    const outcomes = (['cancel', 'confirm', 'extend'] as const).map(
      (type) => decideFor(event('waiting', 0), type, { bookingId: '7-9' }).outcome,
    )

    expect(outcomes).toEqual([
      { outcome: 'hold_expired', decidedAtMs: NOW },
      { outcome: 'already_waiting', position: 4, decidedAtMs: NOW },
      { outcome: 'already_waiting', position: 4, decidedAtMs: NOW },
    ])
  })

  it('confirms late the lapsed hold that is named and not the last one', () => {
    const lapsed = new Map([[1, { userId: 'ann', lapsedAtMs: NOW - 1000 }]])

    const { outcome, changes } = decideFor(event('lapsed', 1, { lapsed }), 'confirm', {
      bookingId: '7-1',
    })

    expect(outcome).toMatchObject({ outcome: 'confirmed', bookingId: '7-1' })
    expect(changes).toEqual([{ type: 'confirmed', ...own, sequence: 1, origin: 'late' }])
  })

  it('finds the named lapsed hold of a user without a claim', () => {
    const lapsed = new Map([[1, { userId: 'ann', lapsedAtMs: NOW - 1000 }]])

    const confirmed = decideFor(event('none', 1, { lapsed }), 'confirm', { bookingId: '7-1' })
    const extended = decideFor(event('none', 1, { lapsed }), 'extend', { bookingId: '7-1' })

    expect(confirmed.outcome).toMatchObject({ outcome: 'confirmed', bookingId: '7-1' })
    expect(extended.outcome).toMatchObject({ outcome: 'hold_expired' })
  })

  it('does not find a lapsed hold of another user', () => {
    const lapsed = new Map([[1, { userId: 'bob', lapsedAtMs: NOW - 1000 }]])

    const { outcome } = decideFor(event('none', 1, { lapsed }), 'confirm', { bookingId: '7-1' })

    expect(outcome.outcome).toBe('booking_not_found')
  })

  it.each(['7-5', '8-2', '2', '', '7-2.5', '7-NaN', '7--2', '7-02', 'hold'])(
    'finds no lapsed hold with the id "%s"',
    (bookingId) => {
      const { outcome } = decideFor(event('lapsed', 1), 'confirm', { bookingId })

      expect(outcome.outcome).toBe('booking_not_found')
    },
  )
})

describe('a late confirmation', () => {
  const lapsedFor = (ms: number) =>
    event('none', 1, {
      claims: new Map([['ann', { kind: 'lapsed', sequence: 2, lapsedAtMs: NOW - ms }]]),
    })

  it('is possible until 24 hours after the hold has lapsed', () => {
    expect(decideFor(lapsedFor(DAY_MS - 1), 'confirm').outcome.outcome).toBe('confirmed')
    expect(decideFor(lapsedFor(DAY_MS), 'confirm').outcome.outcome).toBe('booking_not_found')
    expect(decideFor(lapsedFor(DAY_MS - 1), 'extend').outcome.outcome).toBe('hold_expired')
    expect(decideFor(lapsedFor(DAY_MS), 'extend').outcome.outcome).toBe('booking_not_found')
  })

  it('of a named hold is possible until 24 hours after it has lapsed', () => {
    const outcomeAfter = (ms: number, type: 'confirm' | 'extend') => {
      const lapsed = new Map([[1, { userId: 'ann', lapsedAtMs: NOW - ms }]])
      return decideFor(event('none', 1, { lapsed }), type, { bookingId: '7-1' }).outcome.outcome
    }

    expect(outcomeAfter(DAY_MS - 1, 'confirm')).toBe('confirmed')
    expect(outcomeAfter(DAY_MS, 'confirm')).toBe('booking_not_found')
    expect(outcomeAfter(DAY_MS - 1, 'extend')).toBe('hold_expired')
    expect(outcomeAfter(DAY_MS, 'extend')).toBe('booking_not_found')
  })

  it.each([
    ['before the sale', { opensAtMs: NOW + 1 }],
    ['after the sale', { closesAtMs: NOW }],
    ['while the sale is paused', { paused: true }],
    ['while promotion is stopped', { promoting: false }],
  ])('succeeds %s', (_when, settings) => {
    const { outcome } = decideFor(event('lapsed', 1, settings), 'confirm')

    expect(outcome.outcome).toBe('confirmed')
  })

  it('fails while the event shrinks, because a ticket that came back has left the event', () => {
    const shrinking = event('lapsed', 0, { capacity: 2, waitingCount: 0, heads: [] })

    expect(decideFor(shrinking, 'confirm').outcome.outcome).toBe('hold_expired')
  })
})

describe('an extension', () => {
  it('can move the deadline as far as twice the first length of the hold', () => {
    const { outcome } = decideFor(event('held', 0), 'extend', { seconds: 1000 })

    expect(outcome).toMatchObject({ outcome: 'extended', expiresAtMs: NOW - 20_000 + 120_000 })
  })

  it('can move the deadline as far as maxHoldSeconds after the beginning of the hold', () => {
    const state = event('held', 0, { maxHoldSeconds: 61 })

    expect(decideFor(state, 'extend', { seconds: 1000 }).outcome).toMatchObject({
      outcome: 'extended',
      expiresAtMs: NOW + 41_000,
    })
  })

  it('never moves the deadline back, even if the limit was lowered since', () => {
    const state = event('held', 0, { maxHoldSeconds: 30 })

    expect(decideFor(state, 'extend')).toEqual({
      outcome: { outcome: 'hold_limit_reached', decidedAtMs: NOW },
      changes: [],
    })
  })

  it('moves the deadline of a hold that is due but did not lapse yet', () => {
    const hold: Claim = { ...CLAIMS.held, expiresAtMs: NOW - 1 }
    const state = event('held', 0, { claims: new Map([['ann', hold]]) })

    expect(decideFor(state, 'extend').outcome).toMatchObject({ expiresAtMs: NOW + 60_000 })
  })
})

describe('a booking outside the sale', () => {
  it.each([
    ['sales_not_open', 'before the sale', { opensAtMs: NOW + 1 }],
    ['sales_not_open', 'before a sale that is paused', { opensAtMs: NOW + 1, paused: true }],
    ['sales_paused', 'during a pause', { paused: true }],
    ['sales_closed', 'after the sale', { closesAtMs: NOW }],
    ['sales_closed', 'if it ends before it begins', { opensAtMs: NOW + 9, closesAtMs: NOW - 9 }],
  ])('answers %s %s', (name, _when, settings) => {
    const { outcome, changes } = decideFor(event('none', 1, settings), 'book')

    const opens = name === 'sales_not_open' ? { opensAtMs: NOW + 1 } : {}
    expect(outcome).toEqual({ outcome: name, ...opens, decidedAtMs: NOW })
    expect(changes).toEqual([])
  })

  it('books in the millisecond in which the sale opens, and not in that in which it closes', () => {
    const atOpening = event('none', 1, { opensAtMs: NOW })
    const atClosing = event('none', 1, { closesAtMs: NOW })
    const beforeClosing = event('none', 1, { closesAtMs: NOW + 1 })

    expect(decideFor(atOpening, 'book').outcome.outcome).toBe('booked')
    expect(decideFor(atClosing, 'book').outcome.outcome).toBe('sales_closed')
    expect(decideFor(beforeClosing, 'book').outcome.outcome).toBe('booked')
  })

  it.each([
    ['already_waiting', 'waiting', 0],
    ['already_held', 'held', 1],
    ['already_booked', 'booking', 1],
  ] as const)('answers %s first', (outcome, claim, free) => {
    for (const settings of [{ paused: true }, { opensAtMs: NOW + 1 }, { closesAtMs: NOW }])
      expect(decideFor(event(claim, free, settings), 'book').outcome.outcome).toBe(outcome)
  })

  it.each(['cancel', 'confirm', 'extend'] as const)('does not refuse a %s', (type) => {
    for (const settings of [{ paused: true }, { opensAtMs: NOW + 1 }, { closesAtMs: NOW }])
      expect(decideFor(event('held', 1, settings), type)).toEqual(decideFor(event('held', 1), type))
  })

  it('grants a ticket in every state of the sale', () => {
    for (const settings of [{ paused: true }, { opensAtMs: NOW + 1 }, { closesAtMs: NOW }])
      expect(decideFor(event('none', 1, settings), 'grant').outcome.outcome).toBe('booked')
  })
})

describe('a bound of the waiting list', () => {
  it('refuses further entries with waiting_list_full, also if it is below the present length', () => {
    for (const maxWaiting of [1, 4])
      expect(decideFor(event('none', 0, { maxWaiting }), 'book')).toEqual({
        outcome: { outcome: 'waiting_list_full', decidedAtMs: NOW },
        changes: [],
      })
    expect(decideFor(event('none', 0, { maxWaiting: 5 }), 'book').outcome).toMatchObject({
      outcome: 'waiting',
      position: 5,
    })
  })

  it('refuses entries with sold_out if it is 0', () => {
    const state = event('none', 0, { maxWaiting: 0, waitingCount: 0, heads: [] })

    expect(decideFor(state, 'book').outcome).toEqual({ outcome: 'sold_out', decidedAtMs: NOW })
  })

  it('does not refuse a free ticket', () => {
    expect(decideFor(event('none', 1, { maxWaiting: 0 }), 'book').outcome.outcome).toBe('booked')
  })

  it('is ignored by a grant', () => {
    const state = event('none', 0, { maxWaiting: 0, waitingCount: 0, heads: [] })

    expect(decideFor(state, 'grant', { raiseCapacity: true }).outcome.outcome).toBe('booked')
  })
})

describe('a canceled event', () => {
  const canceled = (claim: Held) => event(claim, 0, { canceledAtMs: NOW - 1 })

  it.each(['book', 'cancel', 'confirm', 'extend', 'grant', 'configure'] as const)(
    'refuses each %s, whatever the user has or names',
    (type) => {
      for (const claim of ['none', 'lapsed', 'waiting', 'held', 'booking'] as const)
        for (const members of [{}, { bookingId: '7-1' }])
          expect(decideFor(canceled(claim), type, { patch: {}, ...members })).toEqual({
            outcome: { outcome: 'event_canceled', decidedAtMs: NOW },
            changes: [],
          })
    },
  )

  it('answers event_ended to another cancel_event and changes nothing', () => {
    expect(decideFor(canceled('none'), 'cancel_event')).toEqual({
      outcome: { outcome: 'event_ended', decidedAtMs: NOW },
      changes: [],
    })
  })
})

describe('decide for cancel_event', () => {
  it('takes the free tickets out of the event and ends it', () => {
    expect(decideFor(event('booking', 3), 'cancel_event', { reason: 'rain' })).toEqual({
      outcome: { outcome: 'event_ended', decidedAtMs: NOW },
      changes: [
        { type: 'circulated', eventId: 7, by: -3 },
        { type: 'event_canceled', eventId: 7, canceledAtMs: NOW, reason: 'rain' },
      ],
    })
  })
})

describe('decide for a grant that raises the capacity', () => {
  it('takes a withheld ticket first', () => {
    const { changes } = decideFor(event('none', 0, { capacity: 5 }), 'grant', {
      raiseCapacity: true,
    })

    expect(changes.map(({ type }) => type)).toEqual(['circulated', 'granted'])
  })

  it('answers sold_out at the largest size of an event', () => {
    const state = event('none', 0, { totalTickets: 1_000_000, capacity: 1_000_000 })

    expect(decideFor(state, 'grant', { raiseCapacity: true }).outcome.outcome).toBe('sold_out')
  })

  it('keeps an event shrinking to one ticket more', () => {
    const { changes } = decideFor(event('none', 0, { capacity: 2 }), 'grant', {
      raiseCapacity: true,
    })

    expect(changes).toEqual([
      { type: 'configured', eventId: 7, patch: { totalTickets: 3 } },
      { type: 'circulated', eventId: 7, by: 1 },
      { type: 'granted', ...own, sequence: 11, entrySequence: undefined },
    ])
  })
})
