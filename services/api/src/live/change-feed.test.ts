import type { Pool } from '@ticket-line/db'
import type { ChangeType, Clock } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createChangeFeed } from './change-feed.js'
import type { ChangeListener } from './change-watch.js'

/** Event 1 with a change of each of these types, and everything around its feed. */
function given(types: ChangeType[]) {
  const database = { epoch: 'one', types, pruned: 0, exists: true }
  const query = vi.fn(async (_text: string, values: unknown[]) => {
    if (!database.exists) return { rows: [] }
    const [, after, lookedAt, chosen, limit] = values as [number, number, number, string[], number]
    const common = {
      epoch: database.epoch,
      last_change: String(database.types.length),
      oldest: String(database.pruned + 1),
      first_change: '1',
    }
    const found = database.types
      .map((type, index) => ({
        ...common,
        no: String(index + 1),
        type,
        at_ms: 5000,
        sequence: null,
      }))
      .slice(after, lookedAt)
      .filter(({ type }) => chosen === null || chosen.includes(type))
      .slice(0, limit)
    return { rows: found.length > 0 ? found : [{ ...common, no: null }] }
  })
  const listeners = new Set<ChangeListener>()
  const known = vi.fn((): { lastChange: number; epoch: string } | undefined => undefined)
  const lifecycle = { draining: false }
  const availability = { postgres: () => true }
  const onDelivered = vi.fn()
  const clock: Clock = { steadyMs: () => Date.now(), wallMs: () => 5040 }
  const pool = { query } as unknown as Pool
  const feed = createChangeFeed({
    pool,
    exportPool: pool,
    postgres: { availability, timeoutMs: 500 },
    watch: {
      watch(_eventId, listener) {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
      known,
    },
    lifecycle,
    onDelivered,
    clock,
  })
  return {
    database,
    query,
    listeners,
    known,
    lifecycle,
    availability,
    onDelivered,
    feed,
    /** Tells everybody who waits, as the watch does. */
    tell(lastChange: number | undefined = database.types.length) {
      for (const listener of [...listeners]) listener(lastChange)
    },
    async add(...added: ChangeType[]) {
      database.types.push(...added)
      this.tell()
      await vi.advanceTimersByTimeAsync(0)
    },
  }
}

const request = { eventId: 1, after: 1, limit: 50 }
/** The signal of a client that does not leave. */
const stays = new AbortController().signal
const numbersOf = ({ changes }: { changes: { no: number }[] }) => changes.map(({ no }) => no)

describe('a long poll for changes', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())
  const settle = () => vi.advanceTimersByTimeAsync(0)

  it('costs one read for each change, however many clients wait', async () => {
    const world = given(['event.created'])
    world.known.mockReturnValue({ lastChange: 1, epoch: 'one' })
    const waiting = Array.from({ length: 1000 }, () => world.feed.wait(request, 30_000, stays))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(world.query).not.toHaveBeenCalled()
    await world.add('booking.held')
    const pages = await Promise.all(waiting)
    expect(pages.every((page) => page.changes.length === 1 && page.next === 2)).toBe(true)
    expect(world.query).toHaveBeenCalledOnce()
    expect(world.onDelivered.mock.calls).toEqual([[0.04]])
    expect(world.listeners.size).toBe(0)
  })

  it('gives clients with different types and limits their parts of one read', async () => {
    const world = given(['event.created'])
    world.known.mockReturnValue({ lastChange: 1, epoch: 'one' })
    const one = world.feed.wait({ ...request, limit: 1 }, 30_000, stays)
    const held = world.feed.wait({ ...request, types: ['booking.held'] }, 30_000, stays)
    const left = world.feed.wait({ ...request, types: ['waitlist.left'] }, 30_000, stays)
    await world.add('booking.confirmed', 'booking.held')
    expect(await one).toMatchObject({ changes: [{ no: 2 }], next: 2 })
    expect(await held).toMatchObject({ changes: [{ no: 3 }], next: 3 })
    expect(world.query).toHaveBeenCalledOnce()
    await world.add('waitlist.left')
    expect(await left).toMatchObject({ changes: [{ no: 4 }], next: 4 })
    expect(world.query.mock.calls.map(([, values]) => values[1])).toEqual([1, 3])
  })

  it('reads first if the process does not know that nothing has changed', async () => {
    const world = given(['event.created', 'booking.held'])
    expect(numbersOf(await world.feed.wait(request, 30_000, stays))).toEqual([2])
    world.known.mockReturnValue({ lastChange: 1, epoch: 'one' })
    world.database.epoch = 'two'
    const other = world.feed.wait({ ...request, epoch: 'two' }, 30_000, stays)
    expect(numbersOf(await other)).toEqual([2])
  })

  it('costs one read if many clients come before anything is known', async () => {
    const world = given(['event.created'])
    const waiting = Array.from({ length: 1000 }, () => world.feed.wait(request, 30_000, stays))
    await settle()
    expect(world.query).toHaveBeenCalledOnce()
    await world.add('booking.held')
    const pages = await Promise.all(waiting)
    expect(pages.every((page) => page.next === 2)).toBe(true)
    expect(world.query).toHaveBeenCalledTimes(2)
  })

  it('does not miss a change that came after the shared read began', async () => {
    const world = given(['event.created'])
    const { promise, resolve } = Promise.withResolvers<void>()
    const read = world.query.getMockImplementation() as (typeof world)['query']
    world.query.mockImplementationOnce(async (text, values) => {
      const rows = await read(text, values)
      await promise
      return rows
    })
    const first = world.feed.wait(request, 30_000, stays)
    world.database.types.push('booking.held')
    world.tell()
    world.known.mockReturnValue({ lastChange: 2, epoch: 'one' })
    const second = world.feed.wait(request, 30_000, stays)
    await settle()
    expect(world.query).toHaveBeenCalledOnce()
    resolve()
    expect(numbersOf(await first)).toEqual([2])
    expect(numbersOf(await second)).toEqual([2])
  })

  it('does not miss a change that is announced while it reads', async () => {
    const world = given(['event.created'])
    const read = world.query.getMockImplementation() as (typeof world)['query']
    world.query.mockImplementationOnce(async (text, values) => {
      const rows = await read(text, values)
      world.database.types.push('booking.held')
      world.tell()
      return rows
    })
    expect(numbersOf(await world.feed.wait(request, 30_000, stays))).toEqual([2])
  })

  it('reads once for a wrong announcement, and goes on waiting', async () => {
    const world = given(['event.created'])
    const waiting = world.feed.wait(request, 30_000, stays)
    await settle()
    world.tell(99)
    await vi.advanceTimersByTimeAsync(5000)
    expect(world.query).toHaveBeenCalledTimes(2)
    await world.add('booking.held')
    expect(numbersOf(await waiting)).toEqual([2])
  })

  it('reads nothing for an announcement of what it knows already', async () => {
    const world = given(['event.created'])
    world.known.mockReturnValue({ lastChange: 1, epoch: 'one' })
    const waiting = world.feed.wait(request, 1000, stays)
    await settle()
    world.tell(1)
    await vi.advanceTimersByTimeAsync(1000)
    expect(await waiting).toMatchObject({ changes: [], next: 1, epoch: 'one' })
    expect(world.query).not.toHaveBeenCalled()
  })

  it('ends when the process stops', async () => {
    const world = given(['event.created'])
    const waiting = world.feed.wait(request, 30_000, stays)
    await settle()
    world.lifecycle.draining = true
    world.tell()
    expect(await waiting).toMatchObject({ changes: [], next: 1, epoch: 'one' })
    expect(await world.feed.wait(request, 30_000, stays)).toMatchObject({ changes: [], next: 1 })
    expect(vi.getTimerCount()).toBe(0)
  })

  it('ends when the client leaves', async () => {
    const world = given(['event.created'])
    const leaving = new AbortController()
    const waiting = world.feed.wait(request, 30_000, leaving.signal)
    await settle()
    leaving.abort()
    expect(await waiting).toMatchObject({ changes: [], next: 1 })
    expect([world.listeners.size, vi.getTimerCount()]).toEqual([0, 0])
  })

  it.each([
    ['epoch_changed', (world: World) => Object.assign(world.database, { epoch: 'two' })],
    ['epoch_changed', (world: World) => world.database.types.pop()],
    ['changes_pruned', (world: World) => Object.assign(world.database, { pruned: 5 })],
    ['event_not_found', (world: World) => Object.assign(world.database, { exists: false })],
  ])('ends with %s when there is nothing to continue from', async (code, happen) => {
    const world = given(['event.created', 'booking.held'])
    const waiting = world.feed.wait({ ...request, after: 2 }, 30_000, stays)
    waiting.catch(() => undefined)
    await settle()
    happen(world)
    world.tell(world.database.exists ? world.database.types.length : undefined)
    await expect(waiting).rejects.toMatchObject({ code })
    expect(world.listeners.size).toBe(0)
  })

  it('fails at once while PostgreSQL is unavailable', async () => {
    const world = given(['event.created'])
    world.known.mockReturnValue({ lastChange: 1, epoch: 'one' })
    world.availability.postgres = () => false
    await expect(world.feed.wait(request, 30_000, stays)).rejects.toMatchObject({
      code: 'unavailable',
    })
  })

  it('looks at all changes before it waits for a type', async () => {
    const world = given(Array<ChangeType>(50_000).fill('booking.held'))
    const waiting = world.feed.wait(
      { ...request, after: 0, types: ['waitlist.left'] },
      30_000,
      stays,
    )
    await settle()
    expect(world.query.mock.calls.map(([, values]) => values[1])).toEqual([0, 20_000, 40_000])
    await world.add('waitlist.left')
    expect(numbersOf(await waiting)).toEqual([50_001])
  })
})

type World = ReturnType<typeof given>

describe('an export of changes', () => {
  it('ends with the change that was the last at its start', async () => {
    const world = given(Array<ChangeType>(2500).fill('booking.held'))
    const { first, rest, lastChange } = await world.feed.export({ eventId: 1, after: 0 })
    world.database.types.push(...Array<ChangeType>(2000).fill('booking.held'))
    const numbers = first.map(({ no }) => no)
    for await (const changes of rest) numbers.push(...changes.map(({ no }) => no))
    expect(lastChange).toBe(2500)
    expect(numbers).toEqual(Array.from({ length: 2500 }, (_, n) => n + 1))
  })

  it('fails if changes are pruned before they are read', async () => {
    const world = given(Array<ChangeType>(2500).fill('booking.held'))
    const { rest } = await world.feed.export({ eventId: 1, after: 0 })
    world.database.pruned = 1500
    await expect(rest.next()).rejects.toMatchObject({ code: 'changes_pruned' })
  })
})
