import { describe, expect, it } from 'vitest'
import {
  type CommandState,
  type CommandStorage,
  forgetCommand,
  isKept,
  isRepeatable,
  progressed,
  slowed,
  storeCommand,
  storedCommand,
} from './commands.js'
import { commandOf, NOW_MS } from './testing.js'

function storageOf(): CommandStorage {
  const items = new Map<string, string>()
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  }
}

const MINUTE_MS = 60_000

describe('a stored command', () => {
  it('is found after a reload, with its key and its job', () => {
    const storage = storageOf()
    const command = { ...commandOf(), jobId: 'event-1001.1.0' }
    storeCommand(storage, command)
    expect(storedCommand(storage, 1001, 'ada', NOW_MS)).toEqual(command)
  })

  it('is not sent for another event or another user', () => {
    const storage = storageOf()
    storeCommand(storage, commandOf())
    expect(storedCommand(storage, 1002, 'ada', NOW_MS)).toBeUndefined()
    expect(storedCommand(storage, 1001, 'grace', NOW_MS)).toBeUndefined()
  })

  it('is gone once it is forgotten', () => {
    const storage = storageOf()
    storeCommand(storage, commandOf())
    forgetCommand(storage, 1001)
    expect(storedCommand(storage, 1001, 'ada', NOW_MS)).toBeUndefined()
  })

  it('is not sent again after a quarter of an hour if it was never accepted', () => {
    const storage = storageOf()
    storeCommand(storage, commandOf())
    expect(storedCommand(storage, 1001, 'ada', NOW_MS + 14 * MINUTE_MS)).toBeDefined()
    expect(storedCommand(storage, 1001, 'ada', NOW_MS + 15 * MINUTE_MS)).toBeUndefined()
  })

  it('is followed for a day if it was accepted', () => {
    const storage = storageOf()
    storeCommand(storage, { ...commandOf(), jobId: 'event-1001.1.0' })
    const dayMs = 24 * 60 * MINUTE_MS
    expect(storedCommand(storage, 1001, 'ada', NOW_MS + dayMs - 1)).toBeDefined()
    expect(storedCommand(storage, 1001, 'ada', NOW_MS + dayMs)).toBeUndefined()
  })

  it('does not exist if the storage is forbidden or damaged', () => {
    const forbidden = (): never => {
      throw new DOMException('The operation is insecure.', 'SecurityError')
    }
    const storage = { getItem: forbidden, setItem: forbidden, removeItem: forbidden }
    expect(() => storeCommand(storage, commandOf())).not.toThrow()
    expect(() => forgetCommand(storage, 1001)).not.toThrow()
    expect(storedCommand(storage, 1001, 'ada', NOW_MS)).toBeUndefined()
    const damaged = { ...storageOf(), getItem: () => '{' }
    expect(storedCommand(damaged, 1001, 'ada', NOW_MS)).toBeUndefined()
  })
})

describe('the state of a command', () => {
  const command = commandOf()
  const sending: CommandState = { kind: 'sending', command, isSlow: false }
  const accepted: CommandState = { kind: 'accepted', command, ahead: 9, etaSeconds: 1 }
  const decided: CommandState = { kind: 'decided', command, outcome: 'booked' }

  it('shows its progress until it is decided', () => {
    const progress = { ahead: 9, etaSeconds: 1 }
    expect(progressed(sending, progress)).toEqual(accepted)
    expect(progressed(accepted, { ahead: 0, etaSeconds: 0 })).toMatchObject({ ahead: 0 })
    expect(progressed(decided, progress)).toBe(decided)
  })

  it('is slow only while the server has not accepted it', () => {
    expect(slowed(sending)).toMatchObject({ isSlow: true })
    expect(slowed(accepted)).toBe(accepted)
  })

  it('allows a repetition if nothing has happened or nobody knows', () => {
    expect(isRepeatable({ code: 'no_answer' })).toBe(true)
    expect(isRepeatable({ code: 'busy' })).toBe(true)
    expect(isRepeatable({ code: 'sold_out' })).toBe(false)
    expect(isRepeatable({ code: 'rejected' })).toBe(false)
  })

  it('stays stored after a failure only if the server may have it', () => {
    expect(isKept({ code: 'no_answer' })).toBe(true)
    expect(isKept({ code: 'unknown' })).toBe(true)
    expect(isKept({ code: 'rate_limited' })).toBe(false)
    expect(isKept({ code: 'sold_out' })).toBe(false)
  })
})
