import type { LoadedBatch } from '@ticket-line/db'
import type { Command } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { batchStateOf, loadRequestOf } from './load.js'

function command(
  type: Command['type'],
  eventId: number,
  userId: string,
  keyHash?: string,
): Command {
  const asked = { commandId: `${type}-${eventId}-${userId}`, type, eventId, userId, caller: userId }
  return keyHash === undefined ? asked : { ...asked, keyHash }
}

const nothing: LoadedBatch = {
  nowMs: 0,
  events: [],
  claims: [],
  heads: [],
  stored: [],
  forgotten: [],
  keys: [],
}
const row = {
  totalTickets: 1,
  availableTickets: 0,
  waitingCount: 2,
  lastSequence: 3,
  waitlistHeadSequence: 0,
}

describe('what a batch asks the database for', () => {
  it('names events in ascending order, so that everybody locks them alike', () => {
    const { eventIds } = loadRequestOf(
      ['job'],
      [command('book', 30, 'ann'), command('book', 4, 'ann'), command('cancel', 30, 'bob')],
    )

    expect(eventIds).toEqual([4, 30])
  })

  it('names each user of an event once, with a rank where one may be told', () => {
    const { users } = loadRequestOf(
      ['job'],
      [
        command('cancel', 1, 'ann'),
        command('book', 1, 'ann'),
        command('cancel', 1, 'bob'),
        command('cancel', 2, 'ann'),
      ],
    )

    expect(users).toEqual([
      { eventId: 1, userId: 'ann', wantRank: true },
      { eventId: 1, userId: 'bob', wantRank: false },
      { eventId: 2, userId: 'ann', wantRank: false },
    ])
  })

  it('wants as much of the head of a list as its cancels can reach', () => {
    const { heads } = loadRequestOf(
      ['job'],
      [command('cancel', 1, 'ann'), command('cancel', 1, 'bob'), command('book', 2, 'ann')],
    )

    expect(heads).toEqual([{ eventId: 1, count: 2 }])
  })

  it('names each key once', () => {
    const { keys } = loadRequestOf(
      ['job'],
      [
        command('book', 1, 'ann', 'k'),
        command('book', 2, 'ann', 'k'),
        command('book', 1, 'bob', 'k'),
        command('book', 1, 'eve'),
      ],
    )

    expect(keys).toEqual([
      { caller: 'ann', keyHash: 'k' },
      { caller: 'bob', keyHash: 'k' },
    ])
  })
})

describe('the state that is built from the rows', () => {
  it('knows that a list was read to its end when fewer came than were asked for', () => {
    const request = loadRequestOf(
      ['job'],
      [command('cancel', 1, 'ann'), command('cancel', 1, 'bob')],
    )
    const head = { eventId: 1, sequence: 2, userId: 'eve' }

    const short = batchStateOf(request, {
      ...nothing,
      events: [{ ...row, eventId: 1 }],
      heads: [head],
    })
    const full = batchStateOf(request, {
      ...nothing,
      events: [{ ...row, eventId: 1 }],
      heads: [head, { ...head, sequence: 3 }],
    })

    expect(short.events.get(1)?.headsComplete).toBe(true)
    expect(full.events.get(1)?.headsComplete).toBe(false)
  })

  it('takes the first that was found for the head of the list', () => {
    const request = loadRequestOf(['job'], [command('cancel', 1, 'ann')])
    const head = { eventId: 1, sequence: 300_001, userId: 'eve' }

    const { events } = batchStateOf(request, {
      ...nothing,
      events: [{ ...row, eventId: 1, waitlistHeadSequence: 2 }],
      heads: [head],
    })

    expect(events.get(1)?.waitlistHeadSequence).toBe(300_001)
  })

  it('does not take a list for read that nobody asked for', () => {
    const request = loadRequestOf(['job'], [command('book', 1, 'ann')])

    const { events } = batchStateOf(request, { ...nothing, events: [{ ...row, eventId: 1 }] })

    expect(events.get(1)?.headsComplete).toBe(false)
  })

  it('leaves out events that do not exist', () => {
    const request = loadRequestOf(['job'], [command('book', 1, 'ann')])

    expect(batchStateOf(request, nothing).events.size).toBe(0)
  })
})
