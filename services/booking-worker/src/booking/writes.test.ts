import type { LoadedBatch } from '@ticket-line/db'
import type { Command } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { decideBatch } from './decide-batch.js'
import { batchStateOf, loadRequestOf } from './load.js'
import { writesOf } from './writes.js'

const row = {
  eventId: 1,
  totalTickets: 1,
  availableTickets: 1,
  waitingCount: 0,
  lastSequence: 0,
  waitlistHeadSequence: 0,
}
const nothing: LoadedBatch = {
  nowMs: 1000,
  events: [row],
  claims: [],
  heads: [],
  stored: [],
  forgotten: [],
  keys: [],
}

function writesAfter(loaded: Partial<LoadedBatch>, asks: [Command['type'], userId: string][]) {
  const commands = asks.map(
    ([type, userId], i): Command => ({
      commandId: `job.${i}`,
      type,
      eventId: 1,
      userId,
      caller: userId,
    }),
  )
  const request = loadRequestOf(['job'], commands)
  const rows = { ...nothing, ...loaded }
  const state = batchStateOf(request, rows)
  return writesOf(state.events, rows, decideBatch(state, commands, rows.nowMs), () => 900)
}

describe('the rows of a batch', () => {
  it('of which nothing changed are its answers alone', () => {
    const writes = writesAfter({}, [['cancel', 'ann']])

    expect(writes.decided).toHaveLength(1)
    expect(writes.events).toEqual([])
  })

  it('are a booking, a claim and the counters for one who booked', () => {
    const writes = writesAfter({}, [['book', 'ann']])

    expect(writes).toMatchObject({
      decided: [{ acceptedAtMs: 900 }],
      nowMs: 1000,
      events: [{ ...row, availableTickets: 0, lastSequence: 1 }],
      claimsAdded: [{ eventId: 1, userId: 'ann', kind: 'booking', sequence: 1 }],
      bookingsAdded: [{ eventId: 1, sequence: 1, userId: 'ann', promoted: false, canceled: false }],
    })
  })

  it('hold no claim of somebody who came and went', () => {
    const writes = writesAfter({}, [
      ['book', 'ann'],
      ['cancel', 'ann'],
    ])

    expect(writes.bookingsAdded).toEqual([
      { eventId: 1, sequence: 1, userId: 'ann', promoted: false, canceled: true },
    ])
    expect(writes.bookingsCanceled).toEqual([])
    expect([...writes.claimsAdded, ...writes.claimsMoved, ...writes.claimsRemoved]).toEqual([])
  })

  it('write a place in the list once, with how it ended, and leave its stretch uncounted', () => {
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

  it('move the claim of somebody who was promoted without being named', () => {
    const writes = writesAfter(
      {
        events: [{ ...row, availableTickets: 0, waitingCount: 1, lastSequence: 1030 }],
        claims: [{ eventId: 1, userId: 'ann', kind: 'booking', sequence: 1, rank: null }],
        heads: [{ eventId: 1, sequence: 1025, userId: 'bob' }],
      },
      [['cancel', 'ann']],
    )

    expect(writes).toMatchObject({
      claimsAdded: [],
      claimsMoved: [{ eventId: 1, userId: 'bob', kind: 'booking', sequence: 1031 }],
      claimsRemoved: [{ eventId: 1, userId: 'ann' }],
      bookingsCanceled: [{ eventId: 1, sequence: 1 }],
      bookingsAdded: [
        { eventId: 1, sequence: 1031, userId: 'bob', promoted: true, canceled: false },
      ],
      entriesLeft: [{ eventId: 1, sequence: 1025, status: 'promoted' }],
      blocks: [{ eventId: 1, block: 1, delta: -1 }],
    })
    expect(writes.events[0]?.waitlistHeadSequence).toBe(1031)
  })

  it('move the claim of somebody who gave up a place and took another', () => {
    const writes = writesAfter(
      {
        events: [{ ...row, availableTickets: 0, waitingCount: 1, lastSequence: 1023 }],
        claims: [{ eventId: 1, userId: 'ann', kind: 'waiting', sequence: 7, rank: 1 }],
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
