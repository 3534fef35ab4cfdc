import { describe, expect, it } from 'vitest'
import { exitCodeOf } from './failure.js'
import { EXIT } from './report.js'
import { describeStandby, explainCanceled } from './standby.js'

const failure = (code: string) => Object.assign(new Error('failed'), { code })

describe('explainCanceled', () => {
  it('names the remedy if a standby canceled a statement to apply changes', () => {
    const explained = explainCanceled(failure('40001')) as Error
    expect(explained.message).toMatch(/hot_standby_feedback = on .* max_standby_streaming_delay/)
    expect(exitCodeOf(explained)).toBe(EXIT.unreachable)
  })

  it('passes every other error on', () => {
    const error = failure('57014')
    expect(explainCanceled(error)).toBe(error)
  })
})

describe('describeStandby', () => {
  it('says how far the standby was behind, if that is known', () => {
    const pool = undefined as never
    expect(describeStandby({ pool, lagMs: 2400 })).toMatch(/was about 2 s behind/)
    expect(describeStandby({ pool, lagMs: undefined })).toMatch(/is unknown, because DATABASE_URL/)
  })
})
