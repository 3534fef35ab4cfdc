import { describe, expect, it } from 'vitest'
import { readDelayMs } from '../read-intervals.js'
import { mayHaveChanged, reloadDelayMs } from './freshness.js'
import { eventOf, inMinutes, statusOf } from './testing.js'

const seen = (changeNo: number, status: Parameters<typeof statusOf>[0] = {}) => ({
  changeNo,
  status: statusOf(status),
})

describe('an event that was loaded', () => {
  it('has changed if its state does not match its settings', () => {
    const event = eventOf({ state: 'scheduled', opensAt: inMinutes(60) })
    expect(mayHaveChanged(event, undefined, seen(1, { state: 'open' }))).toBe(true)
    expect(mayHaveChanged(event, undefined, seen(1, { state: 'scheduled' }))).toBe(false)
  })

  it('has probably changed if there is a change before the sale that moved no ticket', () => {
    const event = eventOf({ state: 'scheduled', opensAt: inMinutes(60) })
    const [before, now] = [seen(1, { state: 'scheduled' }), seen(2, { state: 'scheduled' })]
    expect(mayHaveChanged(event, before, now)).toBe(true)
    expect(mayHaveChanged(event, before, before)).toBe(false)
    const granted = seen(2, { state: 'scheduled', availableTickets: 41 })
    expect(mayHaveChanged(event, before, granted)).toBe(false)
  })

  it('has not changed because of bookings and cancellations', () => {
    const event = eventOf()
    const before = seen(1, { availableTickets: 5 })
    expect(mayHaveChanged(event, before, seen(2, { availableTickets: 4 }))).toBe(false)
    expect(mayHaveChanged(event, before, seen(2, { availableTickets: 6 }))).toBe(false)
    expect(mayHaveChanged(event, before, seen(3, { availableTickets: 5 }))).toBe(false)
    const held = seen(9, { availableTickets: 0, heldTickets: 5 })
    expect(mayHaveChanged(event, before, held)).toBe(false)
    expect(mayHaveChanged(event, held, before)).toBe(false)
  })

  it('has probably grown if there are many more tickets at once', () => {
    const before = seen(1, { availableTickets: 0 })
    expect(mayHaveChanged(eventOf(), before, seen(2, { availableTickets: 50 }))).toBe(true)
  })

  it('has not changed if it is newer than the stream', () => {
    const event = eventOf({ serverTime: inMinutes(0) })
    expect(mayHaveChanged(event, seen(1), seen(2, { availableTickets: 90 }))).toBe(false)
  })
})

describe('loading an event again', () => {
  it('happens at most once a minute, and at a different time on each page', () => {
    expect(reloadDelayMs(120_000, 0)).toBe(0)
    expect(reloadDelayMs(120_000, 0.5)).toBe(5000)
    expect(reloadDelayMs(20_000, 0.5)).toBe(45_000)
  })

  it('happens when a visitor comes back after a minute', () => {
    expect(readDelayMs('settings', 59_999)).toBe(1)
    expect(readDelayMs('settings', 60_000)).toBe(0)
  })
})
