import type { LoadedBatch, LoadRequest } from '@ticket-line/db'
import { eventRow } from '@ticket-line/db/testing'
import {
  type AcceptedCommand,
  DEFAULT_EVENT_DETAILS,
  DEFAULT_SALE_RULES,
} from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { decideBatch } from './decide-batch.js'
import { loadRequestOf, stateOf, writesOf } from './rows.js'
import type { MembersOf } from './testing/event-under-test.js'

function command(
  type: AcceptedCommand['type'],
  eventId: number,
  userId: string,
  keyHash?: string,
): AcceptedCommand {
  const commandId = `${type}-${eventId}-${userId}`
  const plain = { commandId, type, eventId, userId, caller: userId, acceptedAtMs: 900 }
  return (keyHash === undefined ? plain : { ...plain, keyHash }) as AcceptedCommand
}

const requestOf = (...commands: AcceptedCommand[]): LoadRequest =>
  loadRequestOf(['job'], commands, 'wait')

const nothing: LoadedBatch = {
  nowMs: 1000,
  events: [],
  claims: [],
  heads: [],
  stored: [],
  forgotten: [],
  keys: [],
  lapsed: [],
  due: [],
  expiring: [],
  details: [],
}

describe('loadRequestOf', () => {
  it('names events in ascending order, so that all batches lock them in the same order', () => {
    const { eventIds } = requestOf(
      command('book', 30, 'ann'),
      command('book', 4, 'ann'),
      command('cancel', 30, 'bob'),
    )

    expect(eventIds).toEqual([4, 30])
  })

  it('names each user of an event once, and asks for a position if the user books', () => {
    const { users } = requestOf(
      command('cancel', 1, 'ann'),
      command('book', 1, 'ann'),
      command('cancel', 1, 'bob'),
      command('cancel', 2, 'ann'),
    )

    expect(users).toEqual([
      { eventId: 1, userId: 'ann', wantPosition: true },
      { eventId: 1, userId: 'bob', wantPosition: false },
      { eventId: 2, userId: 'ann', wantPosition: false },
    ])
  })

  it('asks for as many entries of a waiting list as its cancels can take away', () => {
    const { heads } = requestOf(
      command('cancel', 1, 'ann'),
      command('cancel', 1, 'bob'),
      command('book', 2, 'ann'),
    )

    expect(heads).toEqual([{ eventId: 1, count: 2 }])
  })

  it('names each idempotency key once', () => {
    const { keys } = requestOf(
      command('book', 1, 'ann', 'k'),
      command('book', 2, 'ann', 'k'),
      command('book', 1, 'bob', 'k'),
      command('book', 1, 'eve'),
    )

    expect(keys).toEqual([
      { caller: 'ann', keyHash: 'k' },
      { caller: 'bob', keyHash: 'k' },
    ])
  })
})

describe('loadRequestOf for holds, grants and settings', () => {
  const members = (command: AcceptedCommand, more: MembersOf<AcceptedCommand>) =>
    ({ ...command, ...more }) as AcceptedCommand

  it('asks for a position for each command that a user on the waiting list may send', () => {
    const types = ['book', 'cancel', 'confirm', 'extend', 'grant'] as const

    const { users } = requestOf(...types.map((type) => command(type, 1, type)))

    expect(users.map(({ userId, wantPosition }) => [userId, wantPosition])).toEqual([
      ['book', true],
      ['cancel', false],
      ['confirm', true],
      ['extend', true],
      ['grant', false],
    ])
  })

  it('asks for the bookings that commands name, if the ids are of their events', () => {
    const { named } = requestOf(
      members(command('confirm', 1, 'ann'), { bookingId: '1-7' }),
      members(command('cancel', 1, 'bob'), { bookingId: '1-8' }),
      members(command('extend', 2, 'ann'), { bookingId: '1-9' }),
      members(command('confirm', 2, 'bob'), { bookingId: 'nonsense' }),
    )

    expect(named).toEqual([
      { eventId: 1, sequence: 7 },
      { eventId: 1, sequence: 8 },
    ])
  })

  it('asks for the entries that grants can take from a waiting list', () => {
    const { heads } = requestOf(command('grant', 1, 'ann'), command('cancel', 1, 'bob'))

    expect(heads).toEqual([{ eventId: 1, count: 2 }])
  })

  it('asks for the settings of an event that is configured, and not for the user who does it', () => {
    const request = requestOf(
      members(command('configure', 1, 'olga'), { patch: {} }),
      command('cancel_event', 2, 'olga'),
    )

    expect(request).toMatchObject({ eventIds: [1, 2], users: [], heads: [], details: [1] })
  })

  it('asks for one claim more than a settle can end, and for the entries it can promote', () => {
    const request = requestOf(command('settle', 1, ''))

    expect(request).toMatchObject({
      eventIds: [1],
      users: [],
      due: [{ eventId: 1, count: 257 }],
      heads: [{ eventId: 1, count: 256 }],
    })
  })
})

describe('stateOf', () => {
  const row = eventRow({ availableTickets: 0, waitingCount: 2, lastSequence: 3 })

  it('knows that a waiting list was read to its end if fewer entries came than were requested', () => {
    const request = requestOf(command('cancel', 1, 'ann'), command('cancel', 1, 'bob'))
    const head = { eventId: 1, sequence: 2, userId: 'eve' }

    const short = stateOf(request, { ...nothing, events: [row], heads: [head] })
    const full = stateOf(request, {
      ...nothing,
      events: [row],
      heads: [head, { ...head, sequence: 3 }],
    })

    expect(short.events.get(1)?.headsComplete).toBe(true)
    expect(full.events.get(1)?.headsComplete).toBe(false)
  })

  it('moves the head of the waiting list to the first entry that was found', () => {
    const request = requestOf(command('cancel', 1, 'ann'))
    const head = { eventId: 1, sequence: 300_001, userId: 'eve' }

    const { events } = stateOf(request, {
      ...nothing,
      events: [{ ...row, waitlistHeadSequence: 2 }],
      heads: [head],
    })

    expect(events.get(1)?.waitlistHeadSequence).toBe(300_001)
  })

  it('does not take a waiting list that was not requested for complete', () => {
    const request = requestOf(command('book', 1, 'ann'))

    const { events } = stateOf(request, { ...nothing, events: [row] })

    expect(events.get(1)?.headsComplete).toBe(false)
  })

  it('keeps the number below which no claim of a canceled event is live', () => {
    const request = requestOf(command('settle', 1, ''))
    const head = { eventId: 1, sequence: 300, userId: 'eve' }

    const { events } = stateOf(request, {
      ...nothing,
      events: [{ ...row, canceledAtMs: 900, waitlistHeadSequence: 0 }],
      heads: [head],
    })

    expect(events.get(1)?.waitlistHeadSequence).toBe(0)
  })

  it('gives each claim what its kind needs', () => {
    const hold = { heldAtMs: 100, holdSeconds: 60, expiresAtMs: 60_100, offered: false }
    const { events } = stateOf(requestOf(command('book', 1, 'ann')), {
      ...nothing,
      events: [row],
      claims: [
        { eventId: 1, userId: 'ann', kind: 'booking', sequence: 1 },
        { eventId: 1, userId: 'bob', kind: 'waiting', sequence: 2, position: 1 },
        { eventId: 1, userId: 'cleo', kind: 'held', sequence: 3, ...hold },
        { eventId: 1, userId: 'dan', kind: 'lapsed', sequence: 4, lapsedAtMs: 500 },
      ],
      lapsed: [{ eventId: 1, sequence: 5, userId: 'eve', lapsedAtMs: 600 }],
    })

    expect(events.get(1)?.claims).toEqual(
      new Map<string, unknown>([
        ['ann', { kind: 'booking', sequence: 1 }],
        ['bob', { kind: 'waiting', sequence: 2, loadedPosition: 1 }],
        ['cleo', { kind: 'held', sequence: 3, ...hold }],
        ['dan', { kind: 'lapsed', sequence: 4, lapsedAtMs: 500 }],
      ]),
    )
    expect(events.get(1)?.lapsed).toEqual(new Map([[5, { userId: 'eve', lapsedAtMs: 600 }]]))
  })

  it('leaves out events that do not exist', () => {
    const request = requestOf(command('book', 1, 'ann'))

    expect(stateOf(request, nothing).events.size).toBe(0)
  })
})

describe('writesOf', () => {
  const row = eventRow()

  function writesAfter(
    loaded: Partial<LoadedBatch>,
    wanted: [AcceptedCommand['type'], userId: string, members?: MembersOf<AcceptedCommand>][],
  ) {
    const commands = wanted.map(
      ([type, userId, members], i) =>
        ({ ...command(type, 1, userId), commandId: `job.${i}`, ...members }) as AcceptedCommand,
    )
    const request = requestOf(...commands)
    const rows = { ...nothing, events: [row], ...loaded }
    const state = stateOf(request, rows)
    return writesOf(state.events, rows, decideBatch(state, commands, rows.nowMs))
  }

  it('writes only outcomes if no command changed anything', () => {
    const writes = writesAfter({}, [['cancel', 'ann']])

    expect(writes.decided).toHaveLength(1)
    expect(writes.events).toEqual([])
  })

  it('writes the counters of the event and one row for a command that booked a free ticket', () => {
    const writes = writesAfter({}, [['book', 'ann']])

    expect(writes).toMatchObject({
      decided: [{ command: { acceptedAtMs: 900 }, booked: { sequence: 1, no: 1 } }],
      nowMs: 1000,
      events: [{ ...row, availableTickets: 0, lastSequence: 1, lastChange: 2 }],
      log: [{ no: 2, type: 'event.sold_out' }],
      claimsAdded: [],
      bookingsAdded: [],
    })
  })

  it('writes a ticket that was booked again in the batch that canceled it as one booking', () => {
    const writes = writesAfter({}, [
      ['book', 'ann'],
      ['cancel', 'ann'],
      ['book', 'ann'],
    ])

    expect(writes).toMatchObject({
      decided: [
        { command: { commandId: 'job.0' }, booked: undefined },
        { command: { commandId: 'job.1' }, booked: undefined },
        { command: { commandId: 'job.2' }, booked: { sequence: 2, no: 5 } },
      ],
      bookingsAdded: [{ sequence: 1, status: 'canceled' }],
    })
    expect([...writes.claimsAdded, ...writes.claimsMoved, ...writes.claimsRemoved]).toEqual([])
    expect(writes.log.map(({ no, type }) => [no, type])).toEqual([
      [1, 'booking.confirmed'],
      [2, 'event.sold_out'],
      [3, 'booking.canceled'],
      [4, 'event.available'],
      [6, 'event.sold_out'],
    ])
  })

  it('moves the claim of a user who books after a hold of theirs has lapsed', () => {
    const writes = writesAfter(
      {
        events: [{ ...row, lastSequence: 1 }],
        claims: [{ eventId: 1, userId: 'ann', kind: 'lapsed', sequence: 1, lapsedAtMs: 900 }],
      },
      [['book', 'ann']],
    )

    expect(writes).toMatchObject({
      decided: [{ command: { commandId: 'job.0' }, booked: undefined }],
      claimsMoved: [{ userId: 'ann', kind: 'booking', sequence: 2 }],
      bookingsAdded: [{ sequence: 2, status: 'confirmed' }],
    })
  })

  it('numbers the changes of each event in order of decision, with their commands and callers', () => {
    const other = { ...row, eventId: 2, availableTickets: 0, waitingCount: 0 }
    const writes = writesAfter(
      {
        events: [
          { ...row, capacity: 2, totalTickets: 2, availableTickets: 2, lastChange: 40 },
          other,
        ],
      },
      [
        ['book', 'ann'],
        ['book', 'bob', { eventId: 2, caller: 'olga' }],
        ['cancel', 'zoe'],
        ['book', 'bob'],
      ],
    )

    const ofBob = { userId: null, actor: 'bob', commandId: 'job.3', data: null }
    expect(writes.decided.map(({ booked }) => booked)).toEqual([
      { sequence: 1, no: 41 },
      undefined,
      undefined,
      { sequence: 2, no: 42 },
    ])
    expect(writes.log).toEqual([
      {
        eventId: 2,
        no: 1,
        type: 'waitlist.joined',
        userId: 'bob',
        sequence: 1,
        actor: 'olga',
        commandId: 'job.1',
        data: { position: 1 },
      },
      { eventId: 1, no: 43, type: 'event.sold_out', sequence: null, ...ofBob },
    ])
    expect(writes.events).toMatchObject([{ lastChange: 43 }, { lastChange: 1 }])
  })

  it('writes a hold that is about to lapse, and leaves its claim as it is', () => {
    const event = { ...heldEvent, dueAtMs: 1000, lastChange: 5 }
    const expiring = { eventId: 1, sequence: 1, userId: 'ann', heldAtMs: 100, expiresAtMs: 1100 }
    const due = { ...expiring, kind: 'held' as const }
    const writes = writesAfter({ events: [event], due: [due], expiring: [expiring] }, [
      ['settle', '', { caller: '' }],
    ])

    expect(writes.bookingsChanged).toEqual(changeOf({ status: 'held', reminded: true }))
    expect(writes.log).toMatchObject([
      { no: 6, type: 'booking.expiring', userId: 'ann', actor: null, commandId: 'job.0' },
    ])
    expect(writes.events).toMatchObject([{ dueAtMs: 1100, lastChange: 6 }])
    expect([...writes.claimsAdded, ...writes.claimsMoved, ...writes.claimsRemoved]).toEqual([])
  })

  it('writes no claim of a user who booked and canceled in the same batch', () => {
    const writes = writesAfter({}, [
      ['book', 'ann'],
      ['cancel', 'ann'],
    ])

    expect(writes.bookingsAdded).toEqual([
      {
        eventId: 1,
        sequence: 1,
        userId: 'ann',
        promoted: false,
        granted: false,
        status: 'canceled',
        holdSeconds: null,
        expiresAtMs: null,
        confirmed: false,
      },
    ])
    expect(writes.bookingsChanged).toEqual([])
    expect([...writes.claimsAdded, ...writes.claimsMoved, ...writes.claimsRemoved]).toEqual([])
  })

  it('writes a waiting-list entry that joined and left in the same batch once, and no block', () => {
    const writes = writesAfter({}, [
      ['book', 'ann'],
      ['book', 'bob'],
      ['cancel', 'ann'],
    ])

    expect(writes.entriesAdded).toEqual([
      { eventId: 1, sequence: 2, userId: 'bob', status: 'promoted' },
    ])
    expect(writes.entriesLeft).toEqual([])
    expect(writes.blocks).toEqual([])
    expect(writes.claimsAdded).toEqual([
      { eventId: 1, userId: 'bob', kind: 'booking', sequence: 3 },
    ])
  })

  it('moves the claim of a user who was promoted and is not named in the batch', () => {
    const writes = writesAfter(
      {
        events: [{ ...row, availableTickets: 0, waitingCount: 1, lastSequence: 1030 }],
        claims: [{ eventId: 1, userId: 'ann', kind: 'booking', sequence: 1 }],
        heads: [{ eventId: 1, sequence: 1025, userId: 'bob' }],
      },
      [['cancel', 'ann']],
    )

    expect(writes).toMatchObject({
      claimsAdded: [],
      claimsMoved: [{ eventId: 1, userId: 'bob', kind: 'booking', sequence: 1031 }],
      claimsRemoved: [{ eventId: 1, userId: 'ann' }],
      bookingsChanged: [{ eventId: 1, sequence: 1, was: 'confirmed', status: 'canceled' }],
      bookingsAdded: [
        { eventId: 1, sequence: 1031, userId: 'bob', promoted: true, status: 'confirmed' },
      ],
      entriesLeft: [{ eventId: 1, sequence: 1025, status: 'promoted' }],
      blocks: [{ eventId: 1, block: 1, delta: -1 }],
    })
    expect(writes.events[0]?.waitlistHeadSequence).toBe(1031)
  })

  it('moves the claim of a user who left the waiting list and joined it again', () => {
    const writes = writesAfter(
      {
        events: [{ ...row, availableTickets: 0, waitingCount: 1, lastSequence: 1023 }],
        claims: [{ eventId: 1, userId: 'ann', kind: 'waiting', sequence: 7, position: 1 }],
        heads: [{ eventId: 1, sequence: 7, userId: 'ann' }],
      },
      [
        ['cancel', 'ann'],
        ['book', 'ann'],
      ],
    )

    expect(writes.claimsMoved).toEqual([
      { eventId: 1, userId: 'ann', kind: 'waiting', sequence: 1024 },
    ])
    expect(writes.blocks).toEqual([
      { eventId: 1, block: 0, delta: -1 },
      { eventId: 1, block: 1, delta: 1 },
    ])
  })

  const heldEvent = { ...row, availableTickets: 0, heldCount: 1, lastSequence: 1 }
  const hold = { heldAtMs: 100, holdSeconds: 60, expiresAtMs: 60_100, offered: false }
  const held: LoadedBatch['claims'][number] = {
    eventId: 1,
    userId: 'ann',
    kind: 'held',
    sequence: 1,
    ...hold,
  }
  /** What is written of the booking or hold with number 1, which began in an earlier batch. */
  const changeOf = (change: object) => [
    {
      eventId: 1,
      sequence: 1,
      was: 'held',
      expiresAtMs: null,
      confirmed: false,
      reminded: false,
      ...change,
    },
  ]

  it('writes a hold with its deadline, which the event has as its next one', () => {
    const writes = writesAfter({ events: [{ ...row, holdSeconds: 60 }] }, [['book', 'ann']])

    expect(writes.bookingsAdded).toEqual([
      {
        eventId: 1,
        sequence: 1,
        userId: 'ann',
        promoted: false,
        granted: false,
        status: 'held',
        holdSeconds: 60,
        expiresAtMs: 61_000,
        confirmed: false,
      },
    ])
    expect(writes).toMatchObject({
      events: [{ availableTickets: 0, heldCount: 1, dueAtMs: 49_000 }],
      claimsAdded: [{ eventId: 1, userId: 'ann', kind: 'held', sequence: 1 }],
    })
  })

  it('writes a hold once that was extended and confirmed in the batch in which it began', () => {
    const writes = writesAfter({ events: [{ ...row, holdSeconds: 60 }] }, [
      ['book', 'ann'],
      ['extend', 'ann', { seconds: 90 }],
      ['confirm', 'ann'],
    ])

    expect(writes.bookingsAdded).toMatchObject([
      { status: 'confirmed', holdSeconds: 60, expiresAtMs: 91_000, confirmed: true },
    ])
    expect(writes.bookingsChanged).toEqual([])
    expect(writes.claimsAdded).toMatchObject([{ kind: 'booking', sequence: 1 }])
  })

  it('writes the confirmation of a hold that began earlier', () => {
    const writes = writesAfter({ events: [heldEvent], claims: [held] }, [['confirm', 'ann']])

    expect(writes.bookingsChanged).toEqual(changeOf({ status: 'confirmed', confirmed: true }))
    expect(writes).toMatchObject({
      events: [{ heldCount: 0, availableTickets: 0 }],
      claimsAdded: [],
      claimsMoved: [{ userId: 'ann', kind: 'booking', sequence: 1 }],
    })
  })

  it('writes the confirmation of a hold that was canceled in the same batch', () => {
    const writes = writesAfter({ events: [heldEvent], claims: [held] }, [
      ['confirm', 'ann'],
      ['cancel', 'ann'],
    ])

    expect(writes.bookingsChanged).toEqual(changeOf({ status: 'canceled', confirmed: true }))
    expect(writes.claimsRemoved).toEqual([{ eventId: 1, userId: 'ann' }])
  })

  it('writes only the deadline of a hold that was extended', () => {
    const writes = writesAfter({ events: [heldEvent], claims: [held] }, [['extend', 'ann']])

    expect(writes.bookingsChanged).toEqual(changeOf({ status: 'held', expiresAtMs: 61_000 }))
    expect(writes.claimsMoved).toMatchObject([{ kind: 'held', sequence: 1 }])
  })

  it('writes the end of a hold that was released', () => {
    const writes = writesAfter({ events: [heldEvent], claims: [held] }, [['cancel', 'ann']])

    expect(writes.bookingsChanged).toEqual(changeOf({ status: 'canceled' }))
    expect(writes.events).toMatchObject([{ heldCount: 0, availableTickets: 1 }])
    expect(writes.claimsRemoved).toEqual([{ eventId: 1, userId: 'ann' }])
  })

  it('writes a late confirmation of a hold that has the last claim of its user', () => {
    const writes = writesAfter(
      {
        events: [{ ...row, lastSequence: 1 }],
        claims: [{ eventId: 1, userId: 'ann', kind: 'lapsed', sequence: 1, lapsedAtMs: 900 }],
      },
      [['confirm', 'ann']],
    )

    expect(writes.bookingsChanged).toEqual(
      changeOf({ was: 'expired', status: 'confirmed', confirmed: true }),
    )
    expect(writes.claimsMoved).toMatchObject([{ kind: 'booking', sequence: 1 }])
  })

  it('adds a claim for a late confirmation of a hold whose claim is gone', () => {
    const writes = writesAfter(
      {
        events: [{ ...row, lastSequence: 1 }],
        lapsed: [{ eventId: 1, sequence: 1, userId: 'ann', lapsedAtMs: 900 }],
      },
      [['confirm', 'ann', { bookingId: '1-1' }]],
    )

    expect(writes.claimsAdded).toMatchObject([{ userId: 'ann', kind: 'booking', sequence: 1 }])
    expect(writes.claimsMoved).toEqual([])
  })

  it('keeps the claim of a hold that lapsed, and moves the claim of the user who gets its ticket', () => {
    const writes = writesAfter(
      {
        events: [{ ...heldEvent, waitingCount: 1, lastSequence: 5 }],
        due: [{ eventId: 1, kind: 'held', sequence: 1, userId: 'ann', expiresAtMs: 1000 }],
        heads: [{ eventId: 1, sequence: 5, userId: 'bob' }],
      },
      [['settle', '']],
    )

    expect(writes).toMatchObject({
      claimsAdded: [],
      claimsRemoved: [],
      claimsMoved: [
        { userId: 'ann', kind: 'lapsed', sequence: 1 },
        { userId: 'bob', kind: 'booking', sequence: 6 },
      ],
      bookingsAdded: [{ sequence: 6, userId: 'bob', promoted: true, status: 'confirmed' }],
      entriesLeft: [{ eventId: 1, sequence: 5, status: 'promoted' }],
      events: [{ heldCount: 0, waitingCount: 0, availableTickets: 0, dueAtMs: null }],
    })
    expect(writes.bookingsChanged).toEqual(changeOf({ status: 'expired' }))
  })

  it('writes that a booking was granted, and the entry that it ended', () => {
    const writes = writesAfter(
      {
        events: [
          {
            ...row,
            capacity: 2,
            availableTickets: 0,
            waitingCount: 2,
            lastSequence: 3,
            paused: true,
          },
        ],
        claims: [{ eventId: 1, userId: 'ann', kind: 'waiting', sequence: 2, position: 1 }],
        heads: [{ eventId: 1, sequence: 2, userId: 'ann' }],
      },
      [['grant', 'ann']],
    )

    expect(writes).toMatchObject({
      events: [{ totalTickets: 2, availableTickets: 0, waitingCount: 1 }],
      bookingsAdded: [{ sequence: 4, userId: 'ann', granted: true, promoted: false }],
      entriesLeft: [{ sequence: 2, status: 'granted' }],
      claimsMoved: [{ userId: 'ann', kind: 'booking', sequence: 4 }],
      blocks: [{ block: 0, delta: -1 }],
    })
  })

  it('writes the end of each kind of claim of a canceled event', () => {
    const due = { eventId: 1, expiresAtMs: null }
    const writes = writesAfter(
      {
        events: [
          {
            ...row,
            totalTickets: 2,
            availableTickets: 0,
            heldCount: 1,
            waitingCount: 1,
            canceledAtMs: 900,
          },
        ],
        due: [
          { ...due, kind: 'held', sequence: 1, userId: 'ann' },
          { ...due, kind: 'booking', sequence: 2, userId: 'bob' },
          { ...due, kind: 'waiting', sequence: 3, userId: 'cleo' },
        ],
      },
      [['settle', '']],
    )

    expect(writes.bookingsChanged).toEqual([
      ...changeOf({ status: 'event_canceled' }),
      ...changeOf({ sequence: 2, was: 'confirmed', status: 'event_canceled' }),
    ])
    expect(writes).toMatchObject({
      events: [{ totalTickets: 0, heldCount: 0, waitingCount: 0, waitlistHeadSequence: 4 }],
      entriesLeft: [{ sequence: 3, status: 'event_canceled' }],
      claimsRemoved: [{ userId: 'ann' }, { userId: 'bob' }, { userId: 'cleo' }],
      blocks: [{ block: 0, delta: -1 }],
    })
  })

  it('writes all settings of an event of which one was changed, and of no other event', () => {
    const details = { eventId: 1, ...DEFAULT_EVENT_DETAILS, owner: null }
    const patch = { name: 'Gala', holdSeconds: 60 }

    const changed = writesAfter({ details: [details] }, [['configure', 'olga', { patch }]])
    const same = writesAfter({ details: [details] }, [['configure', 'olga', { patch: {} }]])
    const granted = writesAfter({ events: [{ ...row, availableTickets: 0 }] }, [
      ['grant', 'ann', { raiseCapacity: true }],
    ])

    expect(changed.settings).toEqual([
      { ...DEFAULT_EVENT_DETAILS, ...DEFAULT_SALE_RULES, eventId: 1, totalTickets: 1, ...patch },
    ])
    expect(changed.events).toMatchObject([{ version: 2, holdSeconds: 60 }])
    expect(same).toMatchObject({ settings: [], events: [] })
    expect(granted).toMatchObject({ settings: [], events: [{ capacity: 2, version: 2 }] })
  })
})
