import { describe, expect, it } from 'vitest'
import { askedPauseMs, retryPauseMs } from './retries.js'

describe('retryPauseMs', () => {
  it('pauses 5 s, 30 s, 2 min, 10 min, and then half an hour', () => {
    const pauses = [1, 2, 3, 4, 5, 6, 100].map((failures) => retryPauseMs(failures, 0, 0))
    expect(pauses).toEqual([5_000, 30_000, 120_000, 600_000, 1_800_000, 1_800_000, 1_800_000])
  })

  it('adds up to a tenth, so that retries do not come all at once', () => {
    expect(retryPauseMs(1, 0, 1)).toBeCloseTo(5500)
    expect(retryPauseMs(2, 0, 0.5)).toBeCloseTo(31_500)
  })

  it('waits for as long as the receiver asks, but not longer than an hour', () => {
    expect(retryPauseMs(1, 60_000, 0)).toBe(60_000)
    expect(retryPauseMs(3, 60_000, 0)).toBe(120_000)
    expect(retryPauseMs(1, 86_400_000, 0)).toBe(3_600_000)
    expect(askedPauseMs(86_400_000)).toBe(3_600_000)
    expect(askedPauseMs(undefined)).toBe(0)
  })
})
