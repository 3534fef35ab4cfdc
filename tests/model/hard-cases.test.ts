import { decideBatch, loadRequestOf, stateOf, writesOf } from '@ticket-line/booking-worker/booking'
import {
  type AcceptedCommand,
  bookingIdOf,
  type CommandRequest,
  type EventPatch,
  NOBODY,
  type Outcome,
} from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { createRowStore, type EventRows } from './row-store.ts'

/** Cases in which other ticketing systems sold a ticket twice, lost one, or overtook somebody. */

type Sent = [type: CommandRequest['type'], userId: string, members?: { [name: string]: unknown }]

/**
 * One event with its rows in memory, a clock that the test moves, and settles when they are due.
 */
interface Line {
  rows: EventRows
  nowMs: number
  /** Decides commands in one batch. @returns their outcomes */
  apply(...commands: Sent[]): Outcome[]
  /** Decides one command in a batch of its own. @returns the kind of its outcome */
  apply1(...command: Sent): string
  /** Decides one settle, whether or not one is due. @returns how many changes it made */
  settle(): number
  /** Decides settles as long as one is due. @returns how many */
  settleAll(): number
  /** Users with a booking, and users with a hold, in order of their numbers. */
  booked(): string[]
  held(): string[]
}

function createLine(totalTickets: number, settings: EventPatch = {}): Line {
  const store = createRowStore([{ totalTickets, settings }], 0)
  let jobs = 0

  function decide(commands: Sent[]): { outcomes: Outcome[]; changes: number } {
    jobs += 1
    const jobId = `line-0.${String(jobs).padStart(21, '0')}.${commands.length}`
    const accepted = commands.map(
      ([type, userId, members], i) =>
        ({
          commandId: `${jobId}.${i}`,
          type,
          eventId: 1,
          userId,
          caller: userId,
          acceptedAtMs: line.nowMs,
          ...members,
        }) as AcceptedCommand,
    )
    const request = loadRequestOf([jobId], accepted, 'wait')
    const loaded = store.load(request, line.nowMs)
    const batch = stateOf(request, loaded)
    const result = decideBatch(batch, accepted, loaded.nowMs)
    store.apply(writesOf(batch.events, loaded, result))
    expectCountersAgree(line.rows)
    const changes = result.decided.reduce((sum, decided) => sum + decided.changes.length, 0)
    return { outcomes: result.outcomes as Outcome[], changes }
  }

  const withStatus = (status: 'confirmed' | 'held') => () =>
    [...line.rows.bookings.values()]
      .filter((booking) => booking.status === status)
      .map(({ userId }) => userId)

  const line: Line = {
    rows: store.events.get(1) as EventRows,
    nowMs: 1_700_000_000_000,
    apply: (...commands) => decide(commands).outcomes,
    apply1: (...command) => (decide([command]).outcomes[0] as Outcome).outcome,
    settle: () => decide([['settle', NOBODY]]).changes,
    settleAll() {
      for (let count = 0; ; count++) {
        const { dueAtMs } = line.rows.row
        if (dueAtMs === null || dueAtMs > line.nowMs) return count
        const before = JSON.stringify(line.rows.row)
        line.settle()
        if (count > 0) expect(JSON.stringify(line.rows.row)).not.toBe(before)
      }
    },
    booked: withStatus('confirmed'),
    held: withStatus('held'),
  }
  return line
}

function expectCountersAgree({ row, bookings, entries, claims }: EventRows): void {
  const count = (table: Map<unknown, { status: string }>, status: string) =>
    [...table.values()].filter((one) => one.status === status).length
  const held = count(bookings, 'held')
  const committed = held + count(bookings, 'confirmed')
  const waiting = count(entries, 'waiting')
  const live = [...claims.values()].filter(({ kind }) => kind !== 'lapsed').length
  expect({
    heldCount: row.heldCount,
    committed: row.totalTickets - row.availableTickets,
    waitingCount: row.waitingCount,
    live,
  }).toEqual({ heldCount: held, committed, waitingCount: waiting, live: committed + waiting })
  expect(row.availableTickets > 0 && waiting > 0).toBe(false)
}

const users = (count: number, name = 'user'): string[] =>
  Array.from({ length: count }, (_, i) => `${name}-${i + 1}`)
const book = (userId: string): Sent => ['book', userId]
/** Holds of 60 s, and offers of 60 s. */
const HOLDS: EventPatch = { holdSeconds: 60 }

describe('a confirmation and the expiry of its hold in the same millisecond', () => {
  it('books the ticket if the confirmation entered the line first', () => {
    const line = createLine(1, HOLDS)
    line.apply(book('ann'), book('bob'))
    line.nowMs += 60_000

    expect(line.apply1('confirm', 'ann')).toBe('confirmed')
    line.settle()

    expect([line.booked(), line.held()]).toEqual([['ann'], []])
    expect(line.apply1('book', 'bob')).toBe('already_waiting')
  })

  it('gives the ticket to the next user if the expiry entered the line first', () => {
    const line = createLine(1, HOLDS)
    line.apply(book('ann'), book('bob'))
    line.nowMs += 60_000

    line.settle()
    expect(line.apply1('confirm', 'ann')).toBe('hold_expired')

    expect([line.booked(), line.held()]).toEqual([[], ['bob']])
  })

  it('books the ticket late if the expiry entered the line first and nobody wanted the ticket', () => {
    const line = createLine(1, HOLDS)
    line.apply(book('ann'))
    line.nowMs += 60_000

    line.settle()

    expect(line.apply(['confirm', 'ann'])).toMatchObject([
      { outcome: 'confirmed', bookingId: '1-1' },
    ])
    expect(line.booked()).toEqual(['ann'])
  })
})

describe('a confirmation that is late', () => {
  const LATE_MS = 61_000

  it('succeeds one second after the expiry if the ticket is free', () => {
    const line = createLine(1, HOLDS)
    line.apply(book('ann'))
    line.nowMs += LATE_MS
    line.settleAll()

    expect(line.apply1('confirm', 'ann')).toBe('confirmed')
    expect(line.rows.row).toMatchObject({ availableTickets: 0, heldCount: 0 })
  })

  it('fails one second after the expiry if somebody else has the ticket', () => {
    const line = createLine(1, HOLDS)
    line.apply(book('ann'))
    line.nowMs += LATE_MS
    line.settleAll()
    line.apply(book('bob'))

    expect(line.apply1('confirm', 'ann')).toBe('hold_expired')
    expect(line.held()).toEqual(['bob'])
  })

  it('fails one second after the expiry if somebody is on the waiting list', () => {
    const line = createLine(1, HOLDS)
    line.apply(book('ann'), book('bob'), book('cleo'))
    line.nowMs += LATE_MS
    line.settleAll()

    expect(line.apply1('confirm', 'ann')).toBe('hold_expired')
    expect(line.held()).toEqual(['bob'])
  })

  it('succeeds as long after the deadline as the expiry has not been decided', () => {
    const line = createLine(1, HOLDS)
    line.apply(book('ann'), book('bob'))
    line.nowMs += 48 * 3_600_000

    expect(line.apply1('confirm', 'ann')).toBe('confirmed')
  })

  it('answers already_waiting if the user has joined the waiting list since', () => {
    const line = createLine(1, HOLDS)
    line.apply(book('ann'), book('bob'))
    line.nowMs += LATE_MS
    line.settleAll()
    line.apply(book('ann'))

    expect(line.apply(['confirm', 'ann', { bookingId: '1-1' }])).toMatchObject([
      { outcome: 'already_waiting', position: 1 },
    ])
  })
})

describe('two confirmations at once', () => {
  it.each(['in one batch', 'in two batches'])('book one ticket and both succeed, %s', (how) => {
    const line = createLine(2, HOLDS)
    line.apply(book('ann'))

    const outcomes =
      how === 'in one batch'
        ? line.apply(['confirm', 'ann'], ['confirm', 'ann'])
        : [...line.apply(['confirm', 'ann']), ...line.apply(['confirm', 'ann'])]

    expect(outcomes).toMatchObject([
      { outcome: 'confirmed', bookingId: '1-1' },
      { outcome: 'confirmed', bookingId: '1-1' },
    ])
    expect(line.booked()).toEqual(['ann'])
    expect(line.rows.row.availableTickets).toBe(1)
  })
})

describe('a payment for a hold that lapsed', () => {
  it('does not confirm the second hold that the user has by now', () => {
    const line = createLine(2, HOLDS)
    line.apply(book('ann'))
    line.nowMs += 60_000
    line.settleAll()
    line.apply(book('ann'))

    expect(line.apply1('confirm', 'ann', { bookingId: '1-1' })).toBe('hold_expired')
    expect([line.booked(), line.held()]).toEqual([[], ['ann']])
    expect(line.apply1('confirm', 'ann', { bookingId: '1-2' })).toBe('confirmed')
  })

  it('confirms that hold late once the second one has been released', () => {
    const line = createLine(2, HOLDS)
    line.apply(book('ann'))
    line.nowMs += 60_000
    line.settleAll()
    line.apply(book('ann'), ['cancel', 'ann'])

    expect(line.apply1('confirm', 'ann')).toBe('booking_not_found')
    expect(line.apply(['confirm', 'ann', { bookingId: '1-1' }])).toMatchObject([
      { outcome: 'confirmed', bookingId: '1-1' },
    ])
    expect(line.apply1('confirm', 'ann', { bookingId: '1-1' })).toBe('confirmed')
    expect(line.booked()).toEqual(['ann'])
  })

  it('does not bring back a hold that the user released', () => {
    const line = createLine(2, HOLDS)
    line.apply(book('ann'), ['cancel', 'ann'])

    expect(line.apply1('confirm', 'ann', { bookingId: '1-1' })).toBe('booking_not_found')
  })

  it('does not bring back a late booking that the user canceled', () => {
    const line = createLine(2, HOLDS)
    line.apply(book('ann'))
    line.nowMs += 60_000
    line.settleAll()

    const outcomes = line.apply(
      ['confirm', 'ann', { bookingId: '1-1' }],
      ['cancel', 'ann'],
      ['confirm', 'ann', { bookingId: '1-1' }],
    )

    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      ...['confirmed', 'canceled', 'booking_not_found'],
    ])
    expect(line.apply1('confirm', 'ann', { bookingId: '1-1' })).toBe('booking_not_found')
  })
})

describe('300 offers that lapse at once with 299 people waiting', () => {
  it('become 299 offers in the order of the list, and one free ticket', () => {
    const line = createLine(300, { offerSeconds: 60 })
    const bookers = users(300, 'booker')
    line.apply(...bookers.slice(0, 250).map(book))
    line.apply(...bookers.slice(250).map(book))
    const waiting = users(599)
    for (let i = 0; i < waiting.length; i += 200) line.apply(...waiting.slice(i, i + 200).map(book))
    for (let i = 0; i < bookers.length; i += 150)
      line.apply(...bookers.slice(i, i + 150).map((userId): Sent => ['cancel', userId]))
    expect(line.held()).toEqual(waiting.slice(0, 300))

    line.nowMs += 60_000
    const settles = line.settleAll()

    expect(settles).toBeGreaterThan(1)
    expect(line.held()).toEqual(waiting.slice(300))
    expect(line.rows.row).toMatchObject({
      availableTickets: 1,
      heldCount: 299,
      waitingCount: 0,
      dueAtMs: line.nowMs + 48_000,
    })
  })
})

describe('a cancellation right after the confirmation of an offer', () => {
  it('promotes the next user and never offers the ticket to the same one again', () => {
    const line = createLine(1, { offerSeconds: 60 })
    line.apply(book('ann'), book('bob'), book('cleo'), ['cancel', 'ann'])

    expect(line.apply(['confirm', 'bob'], ['cancel', 'bob'])).toMatchObject([
      { outcome: 'confirmed' },
      { outcome: 'canceled', promotedUserId: 'cleo' },
    ])
    line.nowMs += 60_000
    line.settleAll()

    expect([line.booked(), line.held()]).toEqual([[], []])
    expect(line.rows.row).toMatchObject({ availableTickets: 1, waitingCount: 0 })
    expect(line.rows.claims.get('bob')).toBeUndefined()
  })
})

describe('leaving the waiting list', () => {
  it('never promotes anybody, even if tickets are withheld', () => {
    const line = createLine(1)
    line.apply(book('ann'), book('bob'), book('cleo'), book('dan'))
    line.apply(['configure', 'staff', { patch: { totalTickets: 2, promoting: false } }])

    expect(line.apply(['cancel', 'bob'])).toEqual([
      { outcome: 'withdrawn', decidedAtMs: line.nowMs },
    ])

    expect(line.booked()).toEqual(['ann'])
    expect(line.rows.row).toMatchObject({ totalTickets: 1, capacity: 2, waitingCount: 2 })
  })
})

describe('a capacity that is raised and lowered within a second', () => {
  it('promotes exactly the users who got a ticket in between', () => {
    const line = createLine(1)
    line.apply(book('ann'), ...users(200).map(book))
    line.apply(...users(400).slice(200).map(book))
    line.apply(['configure', 'staff', { patch: { totalTickets: 401 } }])
    line.settle()
    const promoted = line.booked().length - 1
    expect(promoted).toBeGreaterThan(50)
    expect(promoted).toBeLessThan(400)
    line.nowMs += 500

    expect(line.apply(['configure', 'staff', { patch: { totalTickets: 1 } }])).toMatchObject([
      { outcome: 'capacity_below_committed', committed: promoted + 1 },
    ])
    line.apply(['configure', 'staff', { patch: { totalTickets: 1 }, shrink: true }])
    line.settleAll()

    expect(line.booked()).toEqual(['ann', ...users(promoted)])
    expect(line.apply1('cancel', 'ann')).toBe('canceled')
    expect(line.booked()).toHaveLength(promoted)
  })

  it('takes free tickets away again if nobody is on the waiting list', () => {
    const line = createLine(1)
    line.apply(book('ann'))

    line.apply(
      ['configure', 'staff', { patch: { totalTickets: 5 } }],
      ['configure', 'staff', { patch: { totalTickets: 1 } }],
      book('bob'),
    )

    expect(line.rows.row).toMatchObject({ totalTickets: 1, availableTickets: 0, waitingCount: 1 })
  })
})

describe('an event that shrinks to 0 and grows back', () => {
  it('gives its tickets to those who waited, in their order', () => {
    const line = createLine(2, HOLDS)
    line.apply(book('ann'), ['confirm', 'ann'], book('bob'), book('cleo'), book('dan'))
    line.apply(['configure', 'staff', { patch: { totalTickets: 0 }, shrink: true }])
    line.nowMs += 60_000
    line.settleAll()
    line.apply(['cancel', 'ann'])
    expect(line.rows.row).toMatchObject({ totalTickets: 0, availableTickets: 0, waitingCount: 2 })

    line.apply(['configure', 'staff', { patch: { totalTickets: 3 } }])
    line.settleAll()

    expect(line.held()).toEqual(['cleo', 'dan'])
    expect(line.rows.row).toMatchObject({ totalTickets: 3, availableTickets: 1, heldCount: 2 })
  })
})

describe('a grant beside a promotion of the same person in one batch', () => {
  it('finds the booking if the promotion came first', () => {
    const line = createLine(1)
    line.apply(book('ann'), book('bob'), book('cleo'))

    expect(line.apply(['cancel', 'ann'], ['grant', 'bob', { raiseCapacity: true }])).toMatchObject([
      { outcome: 'canceled', promotedUserId: 'bob' },
      { outcome: 'already_booked' },
    ])
    expect(line.booked()).toEqual(['bob'])
  })

  it('confirms the offer if the promotion came first and made an offer', () => {
    const line = createLine(1, { offerSeconds: 60 })
    line.apply(book('ann'), book('bob'), book('cleo'))

    expect(line.apply(['cancel', 'ann'], ['grant', 'bob'])).toMatchObject([
      { outcome: 'canceled', promotedUserId: 'bob' },
      { outcome: 'confirmed' },
    ])
    expect([line.booked(), line.held()]).toEqual([['bob'], []])
  })

  it('promotes the next user if the grant came first', () => {
    const line = createLine(1)
    line.apply(book('ann'), book('bob'), book('cleo'))

    expect(line.apply(['grant', 'bob', { raiseCapacity: true }], ['cancel', 'ann'])).toMatchObject([
      { outcome: 'booked', bookingId: bookingIdOf(1, 4) },
      { outcome: 'canceled', promotedUserId: 'cleo' },
    ])
    expect(line.booked()).toEqual(['bob', 'cleo'])
    expect(line.rows.row).toMatchObject({ capacity: 2, totalTickets: 2, waitingCount: 0 })
  })
})

describe('resuming a sale', () => {
  it('leaves tickets free if the last user left the waiting list during the pause', () => {
    const line = createLine(1)
    line.apply(book('ann'), book('bob'))
    line.apply(['configure', 'staff', { patch: { paused: true } }], ['cancel', 'ann'])
    expect(line.rows.row).toMatchObject({ totalTickets: 0, availableTickets: 0 })
    line.apply(['cancel', 'bob'])
    expect(line.rows.row).toMatchObject({ totalTickets: 1, availableTickets: 1 })

    line.apply(['configure', 'staff', { patch: { paused: false } }])
    line.settleAll()

    expect(line.rows.row).toMatchObject({ totalTickets: 1, availableTickets: 1, dueAtMs: null })
    expect(line.apply1('book', 'cleo')).toBe('booked')
  })

  it('hands out what was withheld in the order of the list, before anybody else can book', () => {
    const line = createLine(3)
    line.apply(...users(3, 'booker').map(book), ...users(4).map(book))
    line.apply(['configure', 'staff', { patch: { paused: true } }])
    line.apply(...users(3, 'booker').map((userId): Sent => ['cancel', userId]))
    expect(line.rows.row).toMatchObject({ totalTickets: 0, waitingCount: 4, dueAtMs: null })

    line.apply(['configure', 'staff', { patch: { paused: false } }])
    expect(line.apply1('book', 'late')).toBe('waiting')
    line.settleAll()

    expect(line.booked()).toEqual(users(3))
    expect(line.rows.row).toMatchObject({ totalTickets: 3, waitingCount: 2 })
  })
})

describe('an event with thousands of claims that is canceled', () => {
  it('ends every claim in order, in portions, and refuses every command in between', () => {
    const line = createLine(600, HOLDS)
    for (let i = 0; i < 4; i++) {
      const some = users(250, `group-${i}`)
      line.apply(...some.map(book))
      if (i === 0) line.apply(...some.map((userId): Sent => ['confirm', userId]))
    }

    line.apply(['cancel_event', 'staff', {}])
    let settles = 0
    for (; line.rows.row.dueAtMs !== null && settles < 100; settles++) {
      const first = [...line.rows.claims.values()]
        .map(({ sequence }) => sequence)
        .reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
      expect(line.rows.row.waitlistHeadSequence).toBeLessThanOrEqual(first)
      expect(line.settle()).toBeLessThanOrEqual(256)
      for (const type of ['book', 'cancel', 'confirm', 'grant'] as const)
        expect(line.apply1(type, 'group-3-7')).toBe('event_canceled')
    }

    expect(settles).toBeGreaterThan(3)
    expect(line.rows.claims.size).toBe(0)
    expect([line.booked(), line.held()]).toEqual([[], []])
    expect(line.rows.row).toMatchObject({
      totalTickets: 0,
      availableTickets: 0,
      heldCount: 0,
      waitingCount: 0,
    })
    expect(line.apply1('cancel_event', 'staff')).toBe('event_ended')
  })
})
