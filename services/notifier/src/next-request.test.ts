import type { ChangeType, LoggedChange } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { type NextRequestInput, nextRequest } from './next-request.js'

function changesOf(...types: ChangeType[]): LoggedChange[] {
  return types.map((type, i) => ({
    eventId: 1,
    no: i + 1,
    type,
    atMs: 0,
    userId: null,
    sequence: null,
    actor: null,
    commandId: null,
    data: null,
  }))
}

const promoted = (count: number): LoggedChange[] =>
  changesOf(...Array.from({ length: count }, () => 'waitlist.promoted' as const))

function next(input: Partial<NextRequestInput>) {
  const result = nextRequest({
    cursor: { deliveredNo: 0, batchTo: null },
    changes: promoted(3),
    wants: (type) => type === 'waitlist.promoted',
    format: 'single',
    ...input,
  })
  return result.kind === 'send'
    ? { ...result, changes: result.changes.map(({ no }) => no) }
    : result
}

describe('nextRequest', () => {
  it('sends the first change after the cursor, with the format single', () => {
    expect(next({ cursor: { deliveredNo: 1, batchTo: null } })).toEqual({
      kind: 'send',
      changes: [2],
      toNo: 2,
    })
  })

  it('moves past unwanted changes together with the next wanted one', () => {
    const changes = changesOf('event.created', 'event.updated', 'waitlist.promoted')
    expect(next({ changes })).toEqual({ kind: 'send', changes: [3], toNo: 3 })
  })

  it('skips changes without a request if none is wanted', () => {
    expect(next({ changes: changesOf('event.created', 'event.updated') })).toEqual({
      kind: 'skip',
      toNo: 2,
    })
  })

  it('has nothing to send if there are no changes', () => {
    expect(next({ changes: [] })).toEqual({ kind: 'none' })
  })

  it('ends a batch at 100 wanted changes', () => {
    const result = next({ changes: promoted(150), format: 'batch' })
    expect(result).toMatchObject({ kind: 'send', toNo: 100 })
    expect(result).toHaveProperty('changes.length', 100)
  })

  it('ends a batch at the last change, even if that one is not wanted', () => {
    const changes = changesOf('waitlist.promoted', 'waitlist.promoted', 'event.updated')
    expect(next({ changes, format: 'batch' })).toEqual({ kind: 'send', changes: [1, 2], toNo: 3 })
  })

  it('repeats a batch that was begun, although there are more changes now', () => {
    const cursor = { deliveredNo: 0, batchTo: 2 }
    expect(next({ cursor, format: 'batch' })).toEqual({ kind: 'send', changes: [1, 2], toNo: 2 })
  })

  it('skips a batch that was begun if none of its changes is wanted any longer', () => {
    const cursor = { deliveredNo: 0, batchTo: 2 }
    expect(next({ cursor, format: 'batch', wants: () => false })).toEqual({ kind: 'skip', toNo: 2 })
  })

  it('skips a batch that was begun if its changes were pruned', () => {
    const cursor = { deliveredNo: 0, batchTo: 2 }
    const changes = promoted(3).slice(2)
    expect(next({ cursor, changes, format: 'batch' })).toEqual({ kind: 'skip', toNo: 2 })
  })
})
