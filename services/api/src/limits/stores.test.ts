import { systemClock } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  type CounterStore,
  createFallbackStore,
  createLocalStore,
  createSharedOnlyStore,
} from './stores.js'

type Options = Parameters<NonNullable<CounterStore['init']>>[0]
const options = { windowMs: 1000 } as Options

describe('counters of one process', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('count until the window ends', async () => {
    const store = createLocalStore()
    store.init?.(options)
    expect((await store.increment('a')).totalHits).toBe(1)
    expect((await store.increment('a')).totalHits).toBe(2)
    expect((await store.increment('b')).totalHits).toBe(1)
    vi.advanceTimersByTime(1000)
    expect((await store.increment('a')).totalHits).toBe(1)
  })

  test('tell everybody his own count, however many count at once', async () => {
    const store = createLocalStore()
    store.init?.(options)
    const infos = [store.increment('a'), store.increment('a'), store.increment('a')]
    expect((await Promise.all(infos)).map(({ totalHits }) => totalHits)).toEqual([1, 2, 3])
  })

  test('are of a bounded number', async () => {
    const store = createLocalStore(2)
    store.init?.(options)
    for (const key of ['a', 'b', 'c']) await store.increment(key)
    expect((await store.increment('a')).totalHits).toBe(1)
    expect((await store.increment('c')).totalHits).toBe(2)
  })
})

describe('with the shared counters out of reach', () => {
  let away: boolean
  let asked: number
  let now: number
  const shared: CounterStore = {
    async increment() {
      asked++
      if (away) throw new Error('away')
      return { totalHits: 100, resetTime: new Date() }
    },
    decrement: () => undefined,
    resetKey: () => undefined,
  }

  beforeEach(() => {
    away = false
    asked = 0
    now = 0
  })

  test('this process counts by itself, and looks once a second', async () => {
    const changes: boolean[] = []
    const store = createFallbackStore({
      shared,
      local: createLocalStore(),
      onChange: (works) => changes.push(works),
      clock: { ...systemClock, steadyMs: () => now },
    })
    store.init?.(options)
    expect((await store.increment('a')).totalHits).toBe(100)
    away = true
    const hits = []
    for (let i = 0; i < 5; i++) hits.push((await store.increment('a')).totalHits)
    expect(hits).toEqual([1, 2, 3, 4, 5])
    expect(asked).toBe(2)
    now = 1001
    await Promise.all([store.increment('a'), store.increment('a'), store.increment('a')])
    expect(asked).toBe(3)
    away = false
    now = 2002
    expect((await store.increment('a')).totalHits).toBe(100)
    expect((await store.increment('a')).totalHits).toBe(100)
    expect(changes).toEqual([false, true])
  })

  test('calls that must be counted are refused', async () => {
    const store = createSharedOnlyStore(shared)
    expect((await store.increment('a')).totalHits).toBe(100)
    away = true
    await expect(store.increment('a')).rejects.toMatchObject({ code: 'unavailable', status: 503 })
  })

  test('calls that must be counted ask once more, and then are refused', async () => {
    const store = createSharedOnlyStore(shared)
    away = true
    await expect(store.increment('a')).rejects.toMatchObject({ code: 'unavailable' })
    expect(asked).toBe(2)
  })
})
