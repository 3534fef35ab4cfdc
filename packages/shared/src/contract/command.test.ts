import { describe, expect, it } from 'vitest'
import { JOB_VERSION, type JobPayload, readJobPayload } from './command.js'

const command = { type: 'book', eventId: 7, userId: 'ann', caller: 'ann' } as const
const payload: JobPayload = {
  v: 1,
  replyTo: 'api-1',
  acceptedAtMs: 1_785_000_000_000,
  commands: [command],
}

describe('the payload of a job', () => {
  it('is read as it was written', () => {
    const written: JobPayload = {
      ...payload,
      commands: [command, { ...command, type: 'cancel', caller: 'staff', keyHash: 'hash' }],
    }

    expect(readJobPayload(JSON.parse(JSON.stringify(written)))).toEqual(written)
  })

  it('carries up to 256 commands', () => {
    const full = { ...payload, commands: Array.from({ length: 256 }, () => command) }

    expect(readJobPayload(full)).toEqual(full)
    expect(readJobPayload({ ...full, commands: [...full.commands, command] })).toBe('malformed')
  })

  it('of a newer version is left to those who understand it, whatever it holds', () => {
    expect(readJobPayload({ v: JOB_VERSION + 1, commands: 'packed' })).toBe('newer')
  })

  it.each([
    ['nothing', undefined],
    ['no object', 'text'],
    ['null', null],
    ['no version', { ...payload, v: undefined }],
    ['no commands', { ...payload, commands: [] }],
    ['commands that are no list', { ...payload, commands: {} }],
    ['nobody to reply to', { ...payload, replyTo: undefined }],
    ['no time', { ...payload, acceptedAtMs: 'now' }],
    ['a command that is null', { ...payload, commands: [null] }],
    ['a type that does not exist', { ...payload, commands: [{ ...command, type: 'refund' }] }],
    ['an event that cannot exist', { ...payload, commands: [{ ...command, eventId: 0 }] }],
    ['an event as text', { ...payload, commands: [{ ...command, eventId: '7' }] }],
    ['a user that cannot exist', { ...payload, commands: [{ ...command, userId: 'a\nb' }] }],
    ['no caller', { ...payload, commands: [{ ...command, caller: undefined }] }],
    ['a key that is no text', { ...payload, commands: [{ ...command, keyHash: 5 }] }],
    [
      'a bad command behind a good one',
      { ...payload, commands: [command, { ...command, userId: '' }] },
    ],
  ])('is malformed with %s', (_what, data) => {
    expect(readJobPayload(data)).toBe('malformed')
  })
})
