import { type Change, type ChangeType, TicketLineError } from '@ticket-line/client'
import { expect, test } from 'vitest'
import { type ChangeCalls, readChanges } from './read-changes.js'

/** The log of an event whose every tenth change is a cancellation. */
function log(last: number, oldest = 1) {
  const calls: Parameters<ChangeCalls['read']>[0][] = []
  const changeCalls: ChangeCalls = {
    lastChangeNo: async () => last,
    async read(query) {
      calls.push(query)
      const { after, limit, type } = query
      if (after + 1 < oldest) throw pruned(oldest)
      const changes = Array.from({ length: last - after }, (_, index) => change(after + 1 + index))
        .filter((one) => type === undefined || type.includes(one.type))
        .slice(0, limit)
      return { changes, next: changes.at(-1)?.no ?? after, epoch: 'e' }
    },
  }
  return { calls, changeCalls }
}

function change(no: number): Change {
  const type: ChangeType = no % 10 === 0 ? 'booking.canceled' : 'booking.confirmed'
  const at = '2030-01-31T18:00:00.000Z'
  return { no, type, at, userId: 'ada', actor: { kind: 'user', id: 'ada' } }
}

function pruned(oldest: number): TicketLineError {
  const message = 'These changes were pruned.'
  return new TicketLineError({
    type: 'about:blank',
    title: 'Gone',
    status: 410,
    code: 'changes_pruned',
    message,
    detail: message,
    oldest,
  })
}

const numbersOf = (changes: Change[]): number[] => changes.map(({ no }) => no)

test('reads the last 50 changes, the latest first', async () => {
  const { calls, changeCalls } = log(1025)
  const { changes, window, next } = await readChanges(changeCalls, undefined, undefined)
  expect(calls).toEqual([{ after: 975, limit: 50 }])
  expect(changes).toHaveLength(50)
  expect(numbersOf(changes).slice(0, 2)).toEqual([1025, 1024])
  expect(window).toEqual({ after: 975, to: 1025 })
  expect(next).toBe('975')
})

test('reads older changes up to a given one', async () => {
  const { changes, next } = await readChanges(log(1025).changeCalls, 25, undefined)
  expect(numbersOf(changes)).toEqual(Array.from({ length: 25 }, (_, index) => 25 - index))
  expect(next).toBeNull()
})

test('searches 1,000 changes for one type, and shows no later changes', async () => {
  const { calls, changeCalls } = log(5000)
  const { changes, window } = await readChanges(changeCalls, 3000, 'booking.canceled')
  expect(calls).toEqual([{ after: 2000, limit: 1000, type: ['booking.canceled'] }])
  expect(changes).toHaveLength(100)
  expect(numbersOf(changes).slice(0, 2)).toEqual([3000, 2990])
  expect(window).toEqual({ after: 2000, to: 3000 })
})

test('shows what is left if some of the changes are no longer kept', async () => {
  const { changes, window, next } = await readChanges(
    log(1025, 1000).changeCalls,
    undefined,
    undefined,
  )
  expect(numbersOf(changes)).toEqual(Array.from({ length: 26 }, (_, index) => 1025 - index))
  expect(window).toEqual({ after: 999, to: 1025 })
  expect(next).toBeNull()
})

test('makes no call for an event without changes', async () => {
  const { calls, changeCalls } = log(0)
  const none = { changes: [], type: undefined, window: { after: 0, to: 0 }, next: null }
  expect(await readChanges(changeCalls, undefined, undefined)).toEqual(none)
  expect(calls).toEqual([])
})
