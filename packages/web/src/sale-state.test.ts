import { describe, expect, it } from 'vitest'
import { eventOf, inMinutes, NOW_MS, statusOf } from './event/testing.js'
import { isOutdated, saleStateAt } from './sale-state.js'

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
