import { describe, expect, it } from 'vitest'
import { callerOfKey, isCaller, keyIdOf } from './api-key.js'
import { JOB_VERSION, type JobPayload, jobVersionOf, readJobPayload } from './command.js'

const command = { type: 'book', eventId: 7, userId: 'ann', caller: 'ann' } as const
const payload: JobPayload = {
  v: 1,
  replyTo: 'api-1',
  acceptedAtMs: 1_785_000_000_000,
  commands: [command],
}

describe('readJobPayload', () => {
  it('reads a payload as it was written', () => {
    const written: JobPayload = {
      ...payload,
      commands: [command, { ...command, type: 'cancel', caller: 'staff', keyHash: 'hash' }],
    }

    expect(readJobPayload(JSON.parse(JSON.stringify(written)))).toEqual(written)
  })

  it('reads each type of command in version 2, and only book and cancel in version 1', () => {
    const settle = { type: 'settle', eventId: 7, userId: '', caller: '' }
    const later = [
      { ...command, type: 'confirm', bookingId: '7-1' },
      { ...command, type: 'extend', bookingId: '7-1', seconds: 60 },
      { ...command, type: 'grant', raiseCapacity: true },
      { ...command, type: 'configure', patch: { paused: true }, ifVersion: 3, shrink: true },
      { ...command, type: 'cancel_event', reason: 'rain' },
      settle,
    ]

    for (const one of later) {
      const written = { ...payload, v: 2, commands: [one] }
      expect(readJobPayload(written)).toEqual(written)
      expect(readJobPayload({ ...written, v: 1 })).toBe('malformed')
    }
  })

  it('reads a payload of version 2 that nobody waits for', () => {
    const { replyTo, ...unawaited } = { ...payload, v: 2 }

    expect(readJobPayload(unawaited)).toEqual(unawaited)
  })

  it('reads a command of an API key, and gives its job a version that earlier workers leave alone', () => {
    const caller = callerOfKey('Zx81kQ4fWm2Rb7Yp')
    const commands = [command, { ...command, caller }]
    const written = { ...payload, v: jobVersionOf(commands), commands }

    expect(written.v).toBe(4)
    expect(readJobPayload(JSON.parse(JSON.stringify(written)))).toEqual(written)
    expect(jobVersionOf([command])).toBe(3)
  })

  it('accepts at most 256 commands', () => {
    const full = { ...payload, commands: Array.from({ length: 256 }, () => command) }

    expect(readJobPayload(full)).toEqual(full)
    expect(readJobPayload({ ...full, commands: [...full.commands, command] })).toBe('malformed')
  })

  it('recognizes a newer version, whatever else the payload contains', () => {
    expect(readJobPayload({ v: JOB_VERSION + 1, commands: 'packed' })).toBe('newer')
  })

  it.each([
    ['undefined', undefined],
    ['a string', 'text'],
    ['null', null],
    ['no version', { ...payload, v: undefined }],
    ['no commands', { ...payload, commands: [] }],
    ['commands that are not an array', { ...payload, commands: {} }],
    ['no reply stream', { ...payload, replyTo: undefined }],
    ['no time', { ...payload, acceptedAtMs: 'now' }],
    ['a command that is null', { ...payload, commands: [null] }],
    ['an unknown type', { ...payload, commands: [{ ...command, type: 'refund' }] }],
    ['an impossible event id', { ...payload, commands: [{ ...command, eventId: 0 }] }],
    ['an event id as a string', { ...payload, commands: [{ ...command, eventId: '7' }] }],
    ['an impossible user id', { ...payload, commands: [{ ...command, userId: 'a\nb' }] }],
    [
      'a caller that is neither a user nor a key',
      { ...payload, commands: [{ ...command, caller: 'key\u0001x' }] },
    ],
    ['no caller', { ...payload, commands: [{ ...command, caller: undefined }] }],
    ['a key hash that is not a string', { ...payload, commands: [{ ...command, keyHash: 5 }] }],
    [
      'a settle beside another command',
      {
        ...payload,
        v: 2,
        commands: [command, { ...command, type: 'settle', userId: '', caller: '' }],
      },
    ],
    ['a settle of a user', { ...payload, v: 2, commands: [{ ...command, type: 'settle' }] }],
    [
      'a bookingId that is not a string',
      { ...payload, v: 2, commands: [{ ...command, type: 'confirm', bookingId: 7 }] },
    ],
    ['no patch', { ...payload, v: 2, commands: [{ ...command, type: 'configure' }] }],
    [
      'a bad command after a good one',
      { ...payload, commands: [command, { ...command, userId: '' }] },
    ],
  ])('refuses as malformed: %s', (_what, data) => {
    expect(readJobPayload(data)).toBe('malformed')
  })
})

it('tells API keys and users apart', () => {
  const caller = callerOfKey('Zx81kQ4fWm2Rb7Yp')
  expect([isCaller(caller), keyIdOf(caller)]).toEqual([true, 'Zx81kQ4fWm2Rb7Yp'])
  for (const userId of ['ada', 'key', 'keyZx81kQ4fWm2Rb7Yp', 'key u0001Zx81kQ4fWm2Rb7Yp'])
    expect([isCaller(userId), keyIdOf(userId)]).toEqual([true, undefined])
  for (const other of ['', 'key\u0001', `${caller}x`, 'ke\u0001y', 7])
    expect(isCaller(other)).toBe(false)
})
