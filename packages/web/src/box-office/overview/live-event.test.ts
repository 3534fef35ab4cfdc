import type { LiveStatus, TicketedEvent } from '@ticket-line/client'
import { describe, expect, it } from 'vitest'
import { countsOf, liveEvent } from './live-event.js'

const event = {
  eventId: 1001,
  name: 'Concert',
  state: 'open',
  totalTickets: 100,
  availableTickets: 40,
  heldTickets: 0,
  withheldTickets: 0,
  waitingListCount: 0,
  serverTime: '2030-01-31T18:00:00.000Z',
} as TicketedEvent

const status: LiveStatus = {
  eventId: 1001,
  state: 'open',
  availableTickets: 30,
  heldTickets: 10,
  waitingListCount: 0,
  serverTime: '2030-01-31T18:00:01.000Z',
}

describe('an event and its stream', () => {
  it('show the counts of the latest update', () => {
    const live = liveEvent(event, status)
    expect(live).toMatchObject({ name: 'Concert', totalTickets: 100, availableTickets: 30 })
    expect(countsOf(live, 7)).toEqual({
      atMs: Date.parse(status.serverTime),
      changeNo: 7,
      booked: 60,
      waiting: 0,
    })
  })

  it('show the event if it was read after the update', () => {
    expect(liveEvent(event, { ...status, serverTime: event.serverTime })).toBe(event)
    expect(liveEvent(event, undefined)).toBe(event)
  })

  it('count withheld tickets only while somebody waits', () => {
    const withheld = { ...event, withheldTickets: 5 }
    expect(liveEvent(withheld, status).withheldTickets).toBe(0)
    expect(liveEvent(withheld, { ...status, waitingListCount: 3 }).withheldTickets).toBe(5)
  })

  it('show no bookings of a canceled event', () => {
    const canceled = { ...status, state: 'canceled' as const, availableTickets: 0, heldTickets: 0 }
    expect(countsOf(liveEvent(event, canceled), 8).booked).toBe(0)
  })
})
