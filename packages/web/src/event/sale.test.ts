import { describe, expect, it } from 'vitest'
import { mayHaveExpired, ticketsOf } from './sale.js'
import { eventOf, inMinutes, NOW_MS, statusOf } from './testing.js'

describe('the tickets of an event', () => {
  it('are booked unless they are free, held or withheld', () => {
    const event = eventOf({ availableTickets: 0, heldTickets: 3, withheldTickets: 2 })
    expect(ticketsOf(event, undefined)).toMatchObject({ total: 100, held: 3, booked: 95 })
  })

  it('are at least those that the stream counts', () => {
    const status = statusOf({ availableTickets: 150, heldTickets: 10 })
    expect(ticketsOf(eventOf(), status)).toMatchObject({ total: 160, booked: 0 })
  })
})

describe('a hold of an event', () => {
  it('cannot have expired if the event has no holds, or before the first one can end', () => {
    expect(mayHaveExpired(eventOf(), NOW_MS)).toBe(false)
    expect(mayHaveExpired(eventOf({ offerSeconds: 60 }), NOW_MS)).toBe(true)
    const event = eventOf({ holdSeconds: 60, offerSeconds: 600, opensAt: inMinutes(-1) })
    expect(mayHaveExpired(event, NOW_MS - 1)).toBe(false)
    expect(mayHaveExpired(event, NOW_MS)).toBe(true)
  })
})
