import { describe, expect, it } from 'vitest'
import { readJobReply } from './replies.js'

const reply = {
  jobId: 'event-1.x.2',
  outcomes: [
    { outcome: 'booked', bookingId: '1-1', decidedAtMs: 1 },
    { outcome: 'abandoned', decidedAtMs: 2 },
  ],
}

describe('a reply from Redis', () => {
  it('is read as a worker sent it', () => {
    expect(readJobReply(JSON.stringify(reply))).toEqual(reply)
  })

  it('may have an outcome of a newer release', () => {
    const newer = { jobId: 'event-1.x.1', outcomes: [{ outcome: 'held', decidedAtMs: 1 }] }

    expect(readJobReply(JSON.stringify(newer))).toEqual(newer)
  })

  it.each([
    ['no JSON', '{'],
    ['null', 'null'],
    ['a number', '7'],
    ['without a job', JSON.stringify({ outcomes: [] })],
    ['without outcomes', JSON.stringify({ jobId: 'event-1.x.1' })],
    ['with an outcome that is null', JSON.stringify({ ...reply, outcomes: [null] })],
    [
      'with an outcome without a kind',
      JSON.stringify({ ...reply, outcomes: [{ decidedAtMs: 1 }] }),
    ],
    [
      'with an outcome without a time',
      JSON.stringify({ ...reply, outcomes: [{ outcome: 'booked' }] }),
    ],
  ])('is not read if it is %s', (_what, json) => {
    expect(readJobReply(json)).toBeUndefined()
  })
})
