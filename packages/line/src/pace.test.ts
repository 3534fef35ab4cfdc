import { describe, expect, it } from 'vitest'
import { estimateMs, type Pace, parsePace } from './pace.js'

/** A line that has decided the same jobs for a minute: 50 a second, with 8 commands each. */
const STEADY: Pace = {
  long: { jobs: 500, commands: 4000, tookMs: 10_000 },
  short: { jobs: 50, commands: 400, tookMs: 1000 },
  idleMs: 3,
}
const ONE_JOB = { jobs: 1, commands: 8 }

/** @returns the estimate, in seconds of the steady line */
const seconds = (pace: Pace, work: { jobs: number; commands: number }): number =>
  (estimateMs(pace, work) ?? Number.NaN) / 1000

describe('the estimate of a wait', () => {
  it('is as long as the same jobs took before', () => {
    expect(seconds(STEADY, { jobs: 500, commands: 4000 })).toBeCloseTo(10, 0)
    expect(seconds(STEADY, { jobs: 5000, commands: 40_000 })).toBeCloseTo(100, 0)
  })

  it('allows for jobs that are larger than those before', () => {
    const large = seconds(STEADY, { jobs: 10, commands: 800 })

    expect(large).toBeGreaterThan(0.2)
    expect(large).toBeLessThan(2)
  })

  it('is shorter at once if the line has become faster', () => {
    const faster = { ...STEADY, short: { jobs: 100, commands: 800, tookMs: 1000 } }

    expect(seconds(faster, { jobs: 1000, commands: 8000 })).toBeCloseTo(10, 0)
  })

  it('stays as it was for a while if the line pauses', () => {
    const paused = { ...STEADY, short: { jobs: 5, commands: 40, tookMs: 2000 } }

    expect(seconds(paused, { jobs: 500, commands: 4000 })).toBeCloseTo(10, 0)
  })

  it('expects a line to become faster in its first seconds', () => {
    const second = { jobs: 50, commands: 400, tookMs: 1000 }
    const wait = seconds({ long: second, short: second, idleMs: 3 }, { jobs: 500, commands: 4000 })

    expect(wait).toBeGreaterThan(7)
    expect(wait).toBeLessThan(9)
  })

  it('is unknown without a pace, and until the pace has been measured for a second', () => {
    const started = { ...STEADY, long: { jobs: 49, commands: 399, tookMs: 999 } }

    expect(estimateMs(undefined, ONE_JOB)).toBeUndefined()
    expect(estimateMs(started, ONE_JOB)).toBeUndefined()
  })

  it('is unknown once no job has been decided for 10 s', () => {
    expect(estimateMs({ ...STEADY, idleMs: 10_000 }, ONE_JOB)).toBeDefined()
    expect(estimateMs({ ...STEADY, idleMs: 10_001 }, ONE_JOB)).toBeUndefined()
  })
})

describe('the pace in Redis', () => {
  it('is read from its fields', () => {
    expect(parsePace(3, ['10000', '500', '4000', '1000', '50', '400'])).toEqual(STEADY)
  })

  it('is unknown while a field is missing', () => {
    expect(parsePace(0, [])).toBeUndefined()
    expect(parsePace(0, ['10000', '500', '4000', '1000', null, '400'])).toBeUndefined()
  })
})
