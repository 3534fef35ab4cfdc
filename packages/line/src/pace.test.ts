import { describe, expect, it } from 'vitest'
import { estimateMs, type Pace, parsePace } from './pace.js'

const pace: Pace = { jobs: 100, commands: 800, tookMs: 2000, idleMs: 3 }

describe('the estimate of a wait', () => {
  it('is as long as the same jobs took before', () => {
    expect(estimateMs(pace, { jobs: 100, commands: 800 })).toBe(2000)
  })

  it('grows with the number of jobs like these', () => {
    expect(estimateMs(pace, { jobs: 1000, commands: 8000 })).toBe(20_000)
  })

  it('allows for jobs that are larger than those before', () => {
    const waitMs = estimateMs(pace, { jobs: 10, commands: 800 }) ?? 0

    expect(waitMs).toBeGreaterThan(200)
    expect(waitMs).toBeLessThan(2000)
  })

  it('is unknown without a pace, and until the pace has been measured for 100 ms', () => {
    expect(estimateMs(undefined, { jobs: 1, commands: 1 })).toBeUndefined()
    expect(estimateMs({ ...pace, tookMs: 99 }, { jobs: 1, commands: 1 })).toBeUndefined()
  })

  it('is unknown once no job has been decided for 10 s', () => {
    expect(estimateMs({ ...pace, idleMs: 10_000 }, { jobs: 100, commands: 800 })).toBe(2000)
    expect(estimateMs({ ...pace, idleMs: 10_001 }, { jobs: 1, commands: 1 })).toBeUndefined()
  })
})

describe('the pace in Redis', () => {
  it('is read from its fields', () => {
    expect(parsePace(3, ['2000', '100', '800.5'])).toEqual({ ...pace, commands: 800.5 })
  })

  it('is unknown while a field is missing', () => {
    expect(parsePace(0, [])).toBeUndefined()
    expect(parsePace(0, ['2000', null, '1'])).toBeUndefined()
  })
})
