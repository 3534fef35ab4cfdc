import type { TicketedEvent } from '@ticket-line/client'
import { describe, expect, it } from 'vitest'
import { bookedOf, cancelPreview } from './cancel-preview.js'

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
      holds: 10,
      waiting: 17,
      unsold: 5,
      isUnused: false,
    })
  })

  it('knows that nobody has anything', () => {
    const unused = { ...event, availableTickets: 100, heldTickets: 0, withheldTickets: 0 }
    expect(cancelPreview({ ...unused, waitingListCount: 0 }).isUnused).toBe(true)
    expect(cancelPreview({ ...unused, waitingListCount: 1 }).isUnused).toBe(false)
  })

  it('has no bookings after the cancellation', () => {
    expect(bookedOf({ ...event, state: 'canceled' })).toBe(0)
  })
})
