import { createLog } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createChangeWatch } from './change-watch.js'

/** A watch whose announcements and reads the test makes. */
function given(initial: Record<number, number> = { 1: 10 }) {
  const database = { epoch: 'one', lastChanges: new Map(entriesOf(initial)) }
  const read = vi.fn(async (_eventIds: number[]) => ({
    epoch: database.epoch,
    lastChanges: new Map(database.lastChanges),
  }))
  let handlers = {
    onChange: (_eventId: number, _no: number): void => undefined,
    onListening: (): void => undefined,
  }
  const announcements = { start: vi.fn(), stop: vi.fn(), close: vi.fn() }
  const onAdvance = vi.fn()
  const watch = createChangeWatch({
    read,
    follow(given) {
      handlers = given
      return announcements
    },
    onAdvance,
    log: createLog('test', 'silent'),
  })
  return {
    watch,
    database,
    read,
    announcements,
    onAdvance,
    announce: (eventId: number, no: number) => handlers.onChange(eventId, no),
    reconnect: () => handlers.onListening(),
  }
}

const entriesOf = (record: Record<number, number>): [number, number][] =>
  Object.entries(record).map(([key, value]) => [Number(key), value])
const second = () => vi.advanceTimersByTimeAsync(1000)

describe('the watch of changes', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('calls all listeners of an event at once for an announced change', () => {
    const { watch, announce, onAdvance } = given()
    const told: string[] = []
    watch.watch(1, (no) => told.push(`a${no}`))
    watch.watch(1, (no) => told.push(`b${no}`))
    watch.watch(2, (no) => told.push(`c${no}`))
    announce(1, 11)
    announce(1, 11)
    announce(1, 9)
    announce(3, 5)
    expect(told).toEqual(['a11', 'b11'])
    expect(onAdvance.mock.calls).toEqual([['announcement']])
  })

  it('reads the last changes of all watched events once a second, however many watch', async () => {
    const { watch, read } = given({ 1: 10, 2: 20 })
    for (let n = 0; n < 1000; n++) watch.watch((n % 2) + 1, () => undefined)
    for (let n = 0; n < 5; n++) await second()
    expect(read.mock.calls).toEqual(Array.from({ length: 5 }, () => [[1, 2]]))
    expect(watch.known(2)).toEqual({ lastChange: 20, epoch: 'one' })
    expect(watch.counts()).toEqual({ events: 2, listeners: 1000 })
  })

  it('finds a change that was not announced', async () => {
    const { watch, database, onAdvance } = given()
    const listener = vi.fn()
    watch.watch(1, listener)
    await second()
    database.lastChanges.set(1, 12)
    await second()
    expect(listener.mock.calls).toEqual([[10], [12]])
    expect(onAdvance.mock.calls).toEqual([['read']])
    await second()
    expect(listener).toHaveBeenCalledTimes(2)
  })

  it('keeps a change that is announced while an older state is read', async () => {
    const { watch, read, announce } = given()
    const listener = vi.fn()
    watch.watch(1, listener)
    await second()
    const { promise, resolve } = Promise.withResolvers<void>()
    read.mockImplementationOnce(async () => {
      await promise
      return { epoch: 'one', lastChanges: new Map([[1, 10]]) }
    })
    await second()
    announce(1, 11)
    resolve()
    await vi.advanceTimersByTimeAsync(0)
    expect(watch.known(1)?.lastChange).toBe(11)
    expect(listener.mock.calls).toEqual([[10], [11]])
  })

  it('takes over a lower number after a restore', async () => {
    const { watch, database } = given()
    const listener = vi.fn()
    watch.watch(1, listener)
    await second()
    database.lastChanges.set(1, 4)
    await second()
    expect(watch.known(1)?.lastChange).toBe(4)
    expect(listener).toHaveBeenLastCalledWith(4)
  })

  it('calls its listeners for a new epoch even if no number differs', async () => {
    const { watch, database } = given()
    const listener = vi.fn()
    watch.watch(1, listener)
    await second()
    database.epoch = 'two'
    await second()
    expect(listener.mock.calls).toEqual([[10], [10]])
    expect(watch.known(1)).toEqual({ lastChange: 10, epoch: 'two' })
  })

  it('calls its listeners if an event was deleted', async () => {
    const { watch, database } = given()
    const listener = vi.fn()
    watch.watch(1, listener)
    await second()
    database.lastChanges.delete(1)
    await second()
    expect(listener).toHaveBeenLastCalledWith(undefined)
    expect(watch.known(1)).toBeUndefined()
  })

  it('calls its listeners if an event was deleted before anything was known of it', async () => {
    const { watch, database } = given()
    const listener = vi.fn()
    watch.watch(1, listener)
    database.lastChanges.delete(1)
    await second()
    expect(listener).toHaveBeenCalledExactlyOnceWith(undefined)
    await second()
    expect(listener).toHaveBeenCalledOnce()
  })

  it('reads at once when it begins to receive announcements', async () => {
    const { watch, reconnect } = given()
    const listener = vi.fn()
    watch.watch(1, listener)
    reconnect()
    await vi.advanceTimersByTimeAsync(0)
    expect(listener).toHaveBeenCalledExactlyOnceWith(10)
  })

  it('knows an event for 5 s after its last listener has left', async () => {
    const { watch, read, announcements, announce } = given()
    const stop = watch.watch(1, () => expect.unreachable())
    stop()
    announce(1, 11)
    expect(watch.known(1)).toBeUndefined()
    await second()
    expect(watch.known(1)).toEqual({ lastChange: 10, epoch: 'one' })
    for (let n = 0; n < 5; n++) await second()
    expect(watch.counts()).toEqual({ events: 0, listeners: 0 })
    expect(watch.known(1)).toBeUndefined()
    expect(announcements.stop).toHaveBeenCalled()
    const reads = read.mock.calls.length
    await second()
    expect(read).toHaveBeenCalledTimes(reads)
    watch.watch(1, () => undefined)
    expect(announcements.start).toHaveBeenCalledTimes(2)
  })

  it('leaves out of one read what its only listener has just read', async () => {
    const { watch, read } = given({ 1: 10, 2: 20 })
    for (const eventId of [1, 2, 2]) watch.watch(eventId, () => undefined)
    watch.skip([1, 2, 3])
    await second()
    expect(read.mock.lastCall).toEqual([[2]])
    await second()
    expect(read.mock.lastCall).toEqual([[1, 2]])
    const reads = read.mock.calls.length
    const alone = given()
    alone.watch.watch(1, () => undefined)
    alone.watch.skip([1])
    await second()
    expect(alone.read).not.toHaveBeenCalled()
    expect(read).toHaveBeenCalledTimes(reads + 1)
  })

  it('continues after a read that failed', async () => {
    const { watch, read } = given()
    const listener = vi.fn()
    watch.watch(1, listener)
    read.mockRejectedValueOnce(new Error('the connection broke'))
    await second()
    expect(listener).not.toHaveBeenCalled()
    await second()
    expect(listener).toHaveBeenCalledExactlyOnceWith(10)
  })

  it('calls all listeners when the process stops', () => {
    const { watch } = given()
    const listeners = [vi.fn(), vi.fn()]
    for (const listener of listeners) watch.watch(1, listener)
    watch.drain()
    for (const listener of listeners) expect(listener).toHaveBeenCalledOnce()
  })
})
