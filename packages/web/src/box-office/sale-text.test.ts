import type { TicketedEvent } from '@ticket-line/client'
import { describe, expect, it } from 'vitest'
import { capacityNote, promotionText, saleText, withheldText } from './sale-text.js'

const event = {
  state: 'open',
  totalTickets: 500,
  availableTickets: 100,
  heldTickets: 20,
  withheldTickets: 0,
  waitingListCount: 0,
  maxWaiting: null,
  opensAt: '2030-01-31T18:00:00.000Z',
  closesAt: '2030-02-28T18:00:00.000Z',
  timezone: 'UTC',
  promotion: 'on',
} as TicketedEvent

describe('the sentence about a sale', () => {
  it('says what people can do while it is open', () => {
    expect(saleText(event)).toBe('People can book now.')
    const soldOut = { ...event, availableTickets: 0 }
    expect(saleText(soldOut)).toBe('All tickets are taken. People join the waiting list.')
    expect(saleText({ ...soldOut, maxWaiting: 0 })).toBe('All tickets are taken.')
  })

  it('says when it opens, and when it ended', () => {
    expect(saleText({ ...event, state: 'scheduled' })).toMatch(/^The sale opens on .*31.*\.$/)
    expect(saleText({ ...event, state: 'closed' })).toMatch(/^The sale ended on .*28.*\./)
  })

  it('says what is stopped while it is paused, and what a cancellation ended', () => {
    expect(saleText({ ...event, state: 'paused' })).toMatch(/^Nobody can book/)
    expect(saleText({ ...event, state: 'canceled' })).toMatch(/^The event is canceled/)
  })
})

describe('the sentence about withheld tickets', () => {
  it('says when the waiting list gets them', () => {
    const withheld = { ...event, withheldTickets: 3 }
    expect(withheldText(withheld)).toBe('3 tickets are on the way to the waiting list.')
    expect(withheldText({ ...withheld, promotion: 'off' })).toMatch(/when promotion is on again\.$/)
    expect(withheldText({ ...withheld, state: 'paused' })).toMatch(/when the sale is open\.$/)
  })

  it('is left out if there are none', () => {
    expect(withheldText(event)).toBeUndefined()
  })
})

describe('the sentence about promotion', () => {
  it('is there only while it is stopped', () => {
    expect(promotionText(event)).toBeUndefined()
    expect(promotionText({ ...event, promotion: 'off' })).toMatch(/^Promotion is stopped/)
    expect(promotionText({ ...event, promotion: 'off', state: 'canceled' })).toBeUndefined()
  })
})

describe('the preview of another number of tickets', () => {
  it('says that new tickets are free if nobody waits', () => {
    expect(capacityNote(event, 600)).toEqual({
      kind: 'possible',
      text: '100 tickets will be added and are free at once.',
    })
  })

  it('says how many people on the waiting list get one', () => {
    const soldOut = { ...event, availableTickets: 0, waitingListCount: 17 }
    expect(capacityNote(soldOut, 600)).toMatchObject({
      text: '100 tickets will be added. The first 17 people on the waiting list will get one.',
    })
    expect(capacityNote({ ...soldOut, promotion: 'off' }, 600)).toMatchObject({
      text: '100 tickets will be added. The waiting list gets them when promotion is possible.',
    })
  })

  it('says that free tickets are removed', () => {
    expect(capacityNote(event, 400)).toEqual({
      kind: 'possible',
      text: '100 tickets will be removed at once.',
    })
  })

  it('asks for a decision if the size is below the booked and held tickets', () => {
    const note = capacityNote(event, 399)
    expect(note).toMatchObject({ kind: 'needs_shrink' })
    expect(note).toMatchObject({
      text: expect.stringMatching(/^400 tickets are booked or held, 1 /),
    })
    expect(capacityNote(event, 399, 420)).toMatchObject({
      text: expect.stringMatching(/^420 tickets are booked or held, 21 /),
    })
  })

  it('says nothing about the present size or an invalid one', () => {
    for (const wanted of [500, -1, 1.5, Number.NaN])
      expect(capacityNote(event, wanted)).toEqual({ kind: 'same' })
  })
})
