import { describe, expect, it } from 'vitest'
import { readJobPayload } from './command.js'

/** As first released. Such jobs are in the lines while a newer release is rolled out. */
const VERSION_1 = {
  v: 1,
  replyTo: '6b2c0d52-8a3e-4a43-9f37-7c5f1b0f4d11',
  acceptedAtMs: 1_700_000_000_000,
  commands: [
    { type: 'book', eventId: 7, userId: 'ada', caller: 'ada' },
    { type: 'cancel', eventId: 7, userId: 'bob', caller: 'olga', keyHash: 'q1w2' },
  ],
}
const withCommand = (change: Record<string, unknown>) => ({
  ...VERSION_1,
  commands: [{ ...VERSION_1.commands[0], ...change }],
})

describe('readJobPayload of another release', () => {
  it('reads version 1, whatever version this build writes', () => {
    expect(readJobPayload(VERSION_1)).toEqual(VERSION_1)
  })

  it('accepts members that this build does not know', () => {
    const later = { ...withCommand({ colour: 'red' }), shape: 'round' }
    expect(readJobPayload(later)).toEqual(later)
  })

  it('accepts a trace of the request', () => {
    const trace = '00-abcdef0123456789abcdef0123456789-1111111111111111-01'
    expect(readJobPayload(withCommand({ trace }))).toEqual(withCommand({ trace }))
  })

  it('refuses a trace that is not a string', () => {
    expect(readJobPayload(withCommand({ trace: 7 }))).toBe('malformed')
  })
})
