import type { TicketedEvent } from '@ticket-line/client'
import { describe, expect, it } from 'vitest'
import { bookedOf, bookingsToFind, cancelPreview } from './cancel-preview.js'

const event = {
  state: 'open',
  totalTickets: 100,
  availableTickets: 0,
  heldTickets: 10,
  withheldTickets: 5,
  waitingListCount: 17,
} as TicketedEvent

describe('the preview of a cancellation', () => {
  it('counts what everybody loses', () => {
    expect(cancelPreview(event)).toEqual({
      bookings: 85,
      isAtLeast: false,
      holds: 10,
      waiting: 17,
      unsold: 5,
      isUnused: false,
    })
  })

  it('looks for bookings above the size of an event that may shrink', () => {
    const full = { ...event, withheldTickets: 0 }
    expect(bookingsToFind(full)).toBe(91)
    expect(cancelPreview(full, 90)).toMatchObject({ bookings: 90, isAtLeast: false })
    expect(cancelPreview(full, 91)).toMatchObject({ bookings: 91, isAtLeast: true })
    const empty = { ...full, totalTickets: 0, heldTickets: 0, waitingListCount: 0 }
    expect(bookingsToFind(empty)).toBe(1)
    expect(cancelPreview(empty, 1)).toMatchObject({ bookings: 1, isAtLeast: true, isUnused: false })
  })

  it('does not look if the event cannot shrink, or if the list is too long', () => {
    expect(bookingsToFind(event)).toBe(0)
    expect(bookingsToFind({ ...event, withheldTickets: 0, state: 'canceled' })).toBe(0)
    expect(bookingsToFind({ ...event, withheldTickets: 0, totalTickets: 1010 })).toBe(0)
  })

  it('says whether anybody has a claim', () => {
    const unused = { ...event, availableTickets: 100, heldTickets: 0, withheldTickets: 0 }
    expect(cancelPreview({ ...unused, waitingListCount: 0 }).isUnused).toBe(true)
    expect(cancelPreview({ ...unused, waitingListCount: 1 }).isUnused).toBe(false)
  })

  it('has no bookings after the cancellation', () => {
    expect(bookedOf({ ...event, state: 'canceled' })).toBe(0)
  })
})
