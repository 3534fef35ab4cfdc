import type { LiveStatus, TicketedEvent } from '@ticket-line/client'
import { describe, expect, it } from 'vitest'
import { eventOf, inMinutes, NOW_MS, statusOf } from './event/testing.js'
import {
  BUYER_PACE,
  isVisitRead,
  planRead,
  readAtMs,
  STAFF_PACE,
  type Update,
} from './read-again.js'

const seen = (changeNo: number, status: Partial<LiveStatus> = {}): Update => ({
  changeNo,
  status: statusOf(status),
})

describe('the page of an event', () => {
  const reads = (event: TicketedEvent, before: Update | undefined, now: Update): boolean =>
    planRead(undefined, event, before, now, BUYER_PACE) !== undefined

  it('reads the event again if its state does not match its settings', () => {
    const event = eventOf({ state: 'scheduled', opensAt: inMinutes(60) })
    expect(reads(event, undefined, seen(1, { state: 'open' }))).toBe(true)
    expect(reads(event, undefined, seen(1, { state: 'scheduled' }))).toBe(false)
  })

  it('reads it again after a change before the sale that moved no ticket', () => {
    const event = eventOf({ state: 'scheduled', opensAt: inMinutes(60) })
    const [before, now] = [seen(1, { state: 'scheduled' }), seen(2, { state: 'scheduled' })]
    expect(reads(event, before, now)).toBe(true)
    expect(reads(event, before, before)).toBe(false)
    const granted = seen(2, { state: 'scheduled', availableTickets: 41 })
    expect(reads(event, before, granted)).toBe(false)
  })

  it('does not read it again because of bookings and cancellations', () => {
    const event = eventOf()
    const before = seen(1, { availableTickets: 5 })
    expect(reads(event, before, seen(2, { availableTickets: 4 }))).toBe(false)
    expect(reads(event, before, seen(2, { availableTickets: 6 }))).toBe(false)
    expect(reads(event, before, seen(3, { availableTickets: 5 }))).toBe(false)
    const held = seen(9, { availableTickets: 0, heldTickets: 5 })
    expect(reads(event, before, held)).toBe(false)
    expect(reads(event, held, before)).toBe(false)
  })

  it('reads it again if there are many more tickets at once', () => {
    const before = seen(1, { availableTickets: 0 })
    expect(reads(eventOf(), before, seen(2, { availableTickets: 50 }))).toBe(true)
  })

  it('does not read it again if it is newer than the stream', () => {
    const event = eventOf({ serverTime: inMinutes(0) })
    expect(reads(event, seen(1), seen(2, { availableTickets: 90 }))).toBe(false)
  })

  it('reads it again when the visitor comes back after a minute', () => {
    const event = eventOf({ serverTime: inMinutes(0) })
    expect(isVisitRead(event, BUYER_PACE, NOW_MS + 59_999)).toBe(false)
    expect(isVisitRead(event, BUYER_PACE, NOW_MS + 60_000)).toBe(true)
  })
})

describe('the overview of the box office', () => {
  it('reads the event again after any change, at most once a minute', () => {
    const planned = planRead(undefined, eventOf(), seen(7), seen(8), STAFF_PACE)
    expect(planned).toMatchObject({ intervalMs: 60_000 })
    expect(planRead(undefined, eventOf(), seen(7), seen(7), STAFF_PACE)).toBeUndefined()
  })

  it('reads it again soon if the state of the sale has changed', () => {
    const planned = planRead(undefined, eventOf(), seen(7), seen(8), STAFF_PACE)
    const paused = seen(9, { state: 'paused' })
    expect(planRead(planned, eventOf(), seen(8), paused, STAFF_PACE)).toMatchObject({
      intervalMs: 5000,
    })
  })
})

describe('a planned read', () => {
  const grown = seen(2, { availableTickets: 90, serverTime: inMinutes(-4) })
  const planned = planRead(undefined, eventOf(), seen(1), grown, BUYER_PACE)
  const timeOf = (
    event: TicketedEvent,
    { triedAtMs = Number.NEGATIVE_INFINITY, spreadMs = 0 } = {},
  ): number => {
    if (planned === undefined) throw new Error('no read is planned')
    return readAtMs(planned, event, triedAtMs, spreadMs) - NOW_MS
  }

  it('is not later because there are more updates', () => {
    const next = seen(3, { availableTickets: 190, serverTime: inMinutes(-3) })
    expect(planRead(planned, eventOf(), grown, next, BUYER_PACE)).toEqual({
      ...planned,
      lastMs: NOW_MS - 180_000,
    })
  })

  it('is done when the event was read after the last update', () => {
    const during = eventOf({ serverTime: inMinutes(-4.5) })
    expect(planRead(planned, during, grown, grown, BUYER_PACE)).toEqual(planned)
    const after = eventOf({ serverTime: inMinutes(-3.5) })
    expect(planRead(planned, after, grown, grown, BUYER_PACE)).toBeUndefined()
  })

  it('happens at most once a minute, and at a different time on each page', () => {
    expect(timeOf(eventOf({ serverTime: inMinutes(-9) }))).toBe(-240_000)
    expect(timeOf(eventOf({ serverTime: inMinutes(-9) }), { spreadMs: 5000 })).toBe(-235_000)
    expect(timeOf(eventOf({ serverTime: inMinutes(-4.5) }))).toBe(-210_000)
  })

  it('happens again a minute after it has failed', () => {
    const triedAtMs = NOW_MS - 240_000
    expect(timeOf(eventOf({ serverTime: inMinutes(-9) }), { triedAtMs })).toBe(-180_000)
  })
})
