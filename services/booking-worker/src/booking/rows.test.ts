import type { LoadedBatch, LoadRequest } from '@ticket-line/db'
import { eventRow } from '@ticket-line/db/testing'
import type { AcceptedCommand } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { decideBatch } from './decide-batch.js'
import { loadRequestOf, stateOf, writesOf } from './rows.js'

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

  it('leaves out events that do not exist', () => {
    const request = requestOf(command('book', 1, 'ann'))

    expect(stateOf(request, nothing).events.size).toBe(0)
  })
})

describe('writesOf', () => {
  const row = eventRow()

  function writesAfter(
    loaded: Partial<LoadedBatch>,
    wanted: [AcceptedCommand['type'], userId: string][],
  ) {
    const commands = wanted.map(
      ([type, userId], i): AcceptedCommand => ({
        ...command(type, 1, userId),
        commandId: `job.${i}`,
      }),
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

  it('writes a booking, a claim and the counters of the event for a command that booked', () => {
    const writes = writesAfter({}, [['book', 'ann']])

    expect(writes).toMatchObject({
      decided: [{ command: { acceptedAtMs: 900 } }],
      nowMs: 1000,
      events: [{ ...row, availableTickets: 0, lastSequence: 1 }],
      claimsAdded: [{ eventId: 1, userId: 'ann', kind: 'booking', sequence: 1 }],
      bookingsAdded: [
        { eventId: 1, sequence: 1, userId: 'ann', promoted: false, status: 'confirmed' },
      ],
    })
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
})
