import {
  type AcceptedCommand,
  DEFAULT_EVENT_DETAILS,
  type EventPatch,
  type Outcome,
} from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import type { Change } from './change.js'
import { decideBatch } from './decide-batch.js'
import type { Claim, EventState, WaitingEntry } from './event-state.js'
import { eventUnderTest, type MembersOf } from './testing/event-under-test.js'

const NOW = 1_700_000_000_000

/**
 * A sold-out event of four tickets. Users `booker-1` to `booker-4` have the bookings, and the users
 * in `waiting` are on the list from number 5 on.
 */
function event(waiting: string[], loaded: Partial<EventState> = {}): EventState {
  const heads = waiting.map((userId, i): WaitingEntry => ({ sequence: 5 + i, userId }))
  const total = loaded.totalTickets ?? 4
  return eventUnderTest({
    totalTickets: 4,
    availableTickets: 0,
    waitingCount: waiting.length,
    lastSequence: 20,
    heads,
    headsComplete: true,
    claims: new Map<string, Claim>([
      ...Array.from(
        { length: total - (loaded.availableTickets ?? 0) },
        (_, i) => [`booker-${i + 1}`, { kind: 'booking', sequence: i + 1 }] as const,
      ),
      ...heads.map(
        ({ userId, sequence }, i) =>
          [userId, { kind: 'waiting', sequence, loadedPosition: i + 1 }] as const,
      ),
    ]),
    details: { ...DEFAULT_EVENT_DETAILS, owner: 'olga' },
    ...loaded,
  })
}

let commands = 0

/** Decides one command in a batch of its own. */
function apply(
  state: EventState,
  type: AcceptedCommand['type'],
  userId: string,
  members: MembersOf<AcceptedCommand> = {},
): { outcome: Outcome; changes: readonly Change[] } {
  commands += 1
  const ids = { commandId: `c${commands}`, eventId: 1, userId, caller: userId }
  const command = { ...ids, type, acceptedAtMs: NOW, ...members } as AcceptedCommand
  const batch = { events: new Map([[1, state]]), stored: new Map(), keys: new Map() }
  const [decided] = decideBatch(batch, [command], NOW).decided
  return decided as { outcome: Outcome; changes: readonly Change[] }
}

const configure = (
  state: EventState,
  patch: EventPatch,
  more: { shrink?: boolean; ifVersion?: number } = {},
) => apply(state, 'configure', 'staff', { patch, ...more })

const typesOf = (changes: readonly Change[]): string[] => changes.map(({ type }) => type)

describe('a ticket that comes back', () => {
  it('goes to the head of the waiting list', () => {
    const { changes } = apply(event(['ann', 'bob']), 'cancel', 'booker-1')

    expect(typesOf(changes)).toEqual(['canceled', 'promoted'])
    expect(changes[1]).toMatchObject({ userId: 'ann', offer: undefined })
  })

  it('is free if nobody is on the waiting list', () => {
    const state = event([])

    expect(typesOf(apply(state, 'cancel', 'booker-1').changes)).toEqual(['canceled', 'available'])
    expect(state).toMatchObject({ totalTickets: 4, availableTickets: 1 })
  })

  it.each([
    ['the sale is paused', { paused: true }],
    ['promotion is stopped', { promoting: false }],
    ['the sale has not begun', { opensAtMs: NOW + 1 }],
    ['the sale is over', { closesAtMs: NOW }],
  ])('is withheld if somebody is on the waiting list and %s', (_why, settings) => {
    const state = event(['ann'], settings)

    const { outcome, changes } = apply(state, 'cancel', 'booker-1')

    expect(outcome).not.toHaveProperty('promotedUserId')
    expect(changes.slice(0, 2)).toMatchObject([
      { type: 'canceled' },
      { type: 'circulated', by: -1 },
    ])
    expect(state).toMatchObject({ totalTickets: 3, availableTickets: 0, waitingCount: 1 })
  })

  it.each([
    ['the sale is paused', { paused: true }],
    ['promotion is stopped', { promoting: false }],
    ['the sale is over', { closesAtMs: NOW }],
  ])('is free if nobody is on the waiting list, even if %s', (_why, settings) => {
    const state = event([], settings)
    apply(state, 'cancel', 'booker-1')

    expect(state).toMatchObject({ totalTickets: 4, availableTickets: 1 })
  })

  it('leaves an event that shrinks, whether or not somebody is on the waiting list', () => {
    for (const waiting of [[], ['ann']]) {
      const state = event(waiting, { capacity: 2 })
      const { changes } = apply(state, 'cancel', 'booker-1')

      expect(typesOf(changes)).toEqual(['canceled', 'circulated'])
      expect(state).toMatchObject({ totalTickets: 3, availableTickets: 0 })
    }
  })

  it('is an offer for as long as a hold lasts if the event has only holds', () => {
    const { changes } = apply(event(['ann'], { holdSeconds: 60 }), 'cancel', 'booker-1')

    expect(changes[1]).toMatchObject({
      type: 'promoted',
      offer: { heldAtMs: NOW, holdSeconds: 60, expiresAtMs: NOW + 60_000 },
    })
    expect(changes[2]).toEqual({ type: 'rescheduled', eventId: 1, dueAtMs: NOW + 48_000 })
  })

  it('is an offer for as long as an offer lasts if the event has holds, too', () => {
    const state = event(['ann'], { holdSeconds: 60, offerSeconds: 90 })
    const { changes } = apply(state, 'cancel', 'booker-1')

    expect(changes[1]).toMatchObject({ offer: { holdSeconds: 90, expiresAtMs: NOW + 90_000 } })
    expect(state.dueAtMs).toBe(NOW + 72_000)
  })
})

describe('withheld tickets', () => {
  it('become free as soon as the last user leaves the waiting list, even during a pause', () => {
    const state = event(['ann', 'bob'], { capacity: 6, paused: true })

    expect(typesOf(apply(state, 'cancel', 'ann').changes)).toEqual(['withdrawn'])
    expect(state).toMatchObject({ totalTickets: 4, availableTickets: 0 })
    expect(typesOf(apply(state, 'cancel', 'bob').changes)).toEqual([
      ...['withdrawn', 'circulated', 'available'],
    ])
    expect(state).toMatchObject({ totalTickets: 6, availableTickets: 2 })
  })

  it('become free if the last user on the waiting list is granted one of them', () => {
    const state = event(['ann'], { capacity: 6, paused: true })

    const { changes } = apply(state, 'grant', 'ann')

    expect(typesOf(changes)).toEqual(['circulated', 'granted', 'circulated', 'available'])
    expect(state).toMatchObject({ totalTickets: 6, availableTickets: 1, waitingCount: 0 })
  })

  it('are due at once if promotion becomes possible', () => {
    for (const [stopped, patch] of [
      [{ paused: true }, { paused: false }],
      [{ promoting: false }, { promoting: true }],
      [{ closesAtMs: NOW }, { closesAtMs: NOW + 1 }],
      [{ opensAtMs: NOW + 1 }, { opensAtMs: NOW }],
    ]) {
      const state = event(['ann'], { capacity: 6, ...stopped })
      configure(state, patch as EventPatch)

      expect(state.dueAtMs).toBe(NOW)
    }
  })

  it('are due when the sale opens', () => {
    const state = event(['ann'], { opensAtMs: NOW + 5000 })
    apply(state, 'cancel', 'booker-1')

    expect(state.dueAtMs).toBe(NOW + 5000)
  })

  it.each([
    ['the sale is paused', { paused: true }],
    ['promotion is stopped', { promoting: false }],
    ['the sale is over', { closesAtMs: NOW }],
    ['the sale ends before it begins', { opensAtMs: NOW + 5000, closesAtMs: NOW + 4000 }],
  ])('are not due while %s', (_why, settings) => {
    const state = event(['ann'], settings)
    apply(state, 'cancel', 'booker-1')

    expect(state).toMatchObject({ totalTickets: 3, dueAtMs: null })
  })
})

describe('a change of the size', () => {
  it('makes more tickets free at once if nobody is on the waiting list', () => {
    const state = event([])

    const { outcome } = configure(state, { totalTickets: 9 })

    expect(outcome).toMatchObject({
      outcome: 'configured',
      event: {
        totalTickets: 9,
        availableTickets: 5,
        heldTickets: 0,
        withheldTickets: 0,
        waitingListCount: 0,
        version: 2,
        owner: 'olga',
      },
    })
    expect(state).toMatchObject({
      capacity: 9,
      totalTickets: 9,
      availableTickets: 5,
      dueAtMs: null,
    })
  })

  it('withholds more tickets for the waiting list, and a settle is due at once', () => {
    const state = event(['ann', 'bob'])

    const { outcome } = configure(state, { totalTickets: 9 })

    expect(outcome.event).toMatchObject({
      totalTickets: 9,
      availableTickets: 0,
      withheldTickets: 5,
      waitingListCount: 2,
    })
    expect(state).toMatchObject({ totalTickets: 4, dueAtMs: NOW })
  })

  it('removes free tickets at once', () => {
    const state = event([], { availableTickets: 3 })

    const { outcome, changes } = configure(state, { totalTickets: 2 })

    expect(outcome.event).toMatchObject({
      totalTickets: 2,
      availableTickets: 1,
      withheldTickets: 0,
    })
    expect(changes).toEqual([
      { type: 'circulated', eventId: 1, by: -2 },
      { type: 'configured', eventId: 1, patch: { totalTickets: 2 } },
    ])
  })

  it('refuses to go below the bookings and holds, and changes nothing', () => {
    const state = event([], { availableTickets: 1, heldCount: 1 })

    const { outcome, changes } = configure(state, { totalTickets: 2, name: 'Gala' })

    expect(outcome).toEqual({
      outcome: 'capacity_below_committed',
      committed: 3,
      decidedAtMs: NOW,
    })
    expect(changes).toEqual([])
    expect(configure(state, { totalTickets: 3 }).outcome.outcome).toBe('configured')
  })

  it('shrinks the event below the bookings and holds if that is asked for', () => {
    const state = event([], { availableTickets: 1 })

    const { outcome } = configure(state, { totalTickets: 1 }, { shrink: true })

    expect(outcome.event).toMatchObject({
      totalTickets: 1,
      availableTickets: 0,
      withheldTickets: 0,
    })
    expect(state).toMatchObject({ capacity: 1, totalTickets: 3, availableTickets: 0 })
    for (const userId of ['booker-1', 'booker-2', 'booker-3']) apply(state, 'cancel', userId)
    expect(state).toMatchObject({ capacity: 1, totalTickets: 1, availableTickets: 1 })
  })

  it('needs no shrink for other settings of an event that is shrinking', () => {
    const state = event([], { capacity: 1 })

    const same = configure(state, { totalTickets: 1, name: 'Gala' })
    const larger = configure(state, { totalTickets: 2 })

    expect(same.outcome.event).toMatchObject({ totalTickets: 1, name: 'Gala' })
    expect(larger.outcome).toMatchObject({ outcome: 'capacity_below_committed', committed: 4 })
  })

  it('stops a shrinking event from losing tickets if it grows again', () => {
    const state = event(['ann'])
    configure(state, { totalTickets: 0 }, { shrink: true })
    apply(state, 'cancel', 'booker-1')
    expect(state).toMatchObject({ totalTickets: 3, availableTickets: 0, dueAtMs: null })

    configure(state, { totalTickets: 5 })

    expect(state).toMatchObject({ totalTickets: 3, dueAtMs: NOW })
    apply(state, 'settle', '')
    expect(state).toMatchObject({ totalTickets: 5, availableTickets: 1, waitingCount: 0 })
  })

  it('can make an event empty and give it its tickets back', () => {
    const state = event([], { availableTickets: 4 })

    configure(state, { totalTickets: 0 })
    expect(state).toMatchObject({ totalTickets: 0, availableTickets: 0 })
    expect(apply(state, 'book', 'ann').outcome).toMatchObject({ outcome: 'waiting', position: 1 })
    configure(state, { totalTickets: 4 })
    expect(state).toMatchObject({ totalTickets: 0, availableTickets: 0, dueAtMs: NOW })
    apply(state, 'settle', '')

    expect(state).toMatchObject({ totalTickets: 4, availableTickets: 3, waitingCount: 0 })
    expect(state.claims.get('ann')).toMatchObject({ kind: 'booking' })
  })
})

describe('a change of settings', () => {
  it('counts the version up and shows the event as decided', () => {
    const state = event([])

    const { outcome, changes } = configure(state, { name: 'Gala', holdSeconds: 60, listed: true })

    expect(outcome.event).toMatchObject({ name: 'Gala', holdSeconds: 60, version: 2 })
    expect(changes).toEqual([
      { type: 'configured', eventId: 1, patch: { name: 'Gala', holdSeconds: 60 } },
    ])
    expect(state).toMatchObject({ holdSeconds: 60, details: { name: 'Gala' } })
  })

  it('keeps the version if it changes nothing', () => {
    const state = event([], { holdSeconds: 60 })

    const { outcome, changes } = configure(state, { holdSeconds: 60, totalTickets: 4, name: null })

    expect(outcome).toMatchObject({ outcome: 'configured', event: { version: 1 } })
    expect(changes).toEqual([])
  })

  it('is refused with version_mismatch for another version, before its size is looked at', () => {
    const state = event([], { version: 5 })

    for (const ifVersion of [4, 6])
      expect(configure(state, { totalTickets: 0 }, { ifVersion }).outcome).toEqual({
        outcome: 'version_mismatch',
        decidedAtMs: NOW,
      })
    expect(configure(state, { name: 'Gala' }, { ifVersion: 5 }).outcome.outcome).toBe('configured')
  })

  it('does not change holds that exist', () => {
    const claims = new Map([
      [
        'ann',
        {
          kind: 'held',
          sequence: 1,
          heldAtMs: NOW,
          holdSeconds: 60,
          expiresAtMs: NOW + 60_000,
          offered: false,
        },
      ],
    ] as const)
    const state = event([], { heldCount: 1, holdSeconds: 60, claims: new Map(claims) })

    configure(state, { holdSeconds: null, offerSeconds: 5 })

    expect(state.claims).toEqual(claims)
  })
})

describe('the cancellation of an event', () => {
  it('frees nothing, and a settle is due at once', () => {
    const state = event(['ann'], { waitlistHeadSequence: 5 })

    const { outcome } = apply(state, 'cancel_event', 'staff', { reason: 'rain' })

    expect(outcome).toEqual({ outcome: 'event_ended', decidedAtMs: NOW })
    expect(state).toMatchObject({
      canceledAtMs: NOW,
      totalTickets: 4,
      availableTickets: 0,
      waitlistHeadSequence: 0,
      dueAtMs: NOW,
    })
  })

  it('leaves nothing to settle if nobody has a claim', () => {
    const state = event([], { availableTickets: 4 })

    apply(state, 'cancel_event', 'staff')

    expect(state).toMatchObject({ totalTickets: 0, availableTickets: 0, dueAtMs: null })
  })
})
