import { describe, expect, it } from 'vitest'
import { isOutdated, mayHaveExpired, saleStateAt, ticketsOf } from './sale.js'
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

describe('the state of a sale', () => {
  it('becomes closed by the clock', () => {
    const event = eventOf({ closesAt: inMinutes(1) })
    const status = statusOf()
    expect(saleStateAt(event, status, NOW_MS)).toBe('open')
    expect(saleStateAt(event, status, NOW_MS + 60_000)).toBe('closed')
  })

  it('stays canceled', () => {
    const event = eventOf({ state: 'canceled', closesAt: inMinutes(-1) })
    expect(saleStateAt(event, undefined, NOW_MS)).toBe('canceled')
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

describe('an event that was loaded', () => {
  const event = eventOf({ state: 'scheduled', opensAt: inMinutes(-3) })

  it('is up to date if the sale opened at the time that it names', () => {
    expect(isOutdated(event, statusOf({ state: 'open' }))).toBe(false)
    expect(isOutdated(event, undefined)).toBe(false)
  })

  it('is outdated if the sale has not opened at the time that it names', () => {
    expect(isOutdated(event, statusOf({ state: 'scheduled' }))).toBe(true)
  })

  it('is outdated if the sale was paused', () => {
    expect(isOutdated(eventOf(), statusOf({ state: 'paused' }))).toBe(true)
  })

  it('is up to date if it is newer than the stream', () => {
    const old = statusOf({ state: 'paused', serverTime: inMinutes(-9) })
    expect(isOutdated(eventOf(), old)).toBe(false)
  })
})
