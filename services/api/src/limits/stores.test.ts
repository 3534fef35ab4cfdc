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

describe('local counters', () => {
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

  test('return each request its own count, even for concurrent requests', async () => {
    const store = createLocalStore()
    store.init?.(options)
    const infos = [store.increment('a'), store.increment('a'), store.increment('a')]
    expect((await Promise.all(infos)).map(({ totalHits }) => totalHits)).toEqual([1, 2, 3])
  })

  test('keep a limited number of keys', async () => {
    const store = createLocalStore(2)
    store.init?.(options)
    for (const key of ['a', 'b', 'c']) await store.increment(key)
    expect((await store.increment('a')).totalHits).toBe(1)
    expect((await store.increment('c')).totalHits).toBe(2)
  })
})

describe('while the shared counters are unavailable', () => {
  let isDown: boolean
  let calls: number
  let now: number
  const shared: CounterStore = {
    async increment() {
      calls++
      if (isDown) throw new Error('unavailable')
      return { totalHits: 100, resetTime: new Date() }
    },
    decrement: () => undefined,
    resetKey: () => undefined,
  }

  beforeEach(() => {
    isDown = false
    calls = 0
    now = 0
  })

  test('counts in this process, and tries Redis once per second', async () => {
    const changes: boolean[] = []
    const store = createFallbackStore({
      shared,
      local: createLocalStore(),
      onChange: (works) => changes.push(works),
      clock: { ...systemClock, steadyMs: () => now },
    })
    store.init?.(options)
    expect((await store.increment('a')).totalHits).toBe(100)
    isDown = true
    const hits = []
    for (let i = 0; i < 5; i++) hits.push((await store.increment('a')).totalHits)
    expect(hits).toEqual([1, 2, 3, 4, 5])
    expect(calls).toBe(2)
    now = 1001
    await Promise.all([store.increment('a'), store.increment('a'), store.increment('a')])
    expect(calls).toBe(3)
    isDown = false
    now = 2002
    expect((await store.increment('a')).totalHits).toBe(100)
    expect((await store.increment('a')).totalHits).toBe(100)
    expect(changes).toEqual([false, true])
  })

  test('refuses calls that must be counted', async () => {
    const store = createSharedOnlyStore(shared)
    expect((await store.increment('a')).totalHits).toBe(100)
    isDown = true
    await expect(store.increment('a')).rejects.toMatchObject({ code: 'unavailable', status: 503 })
  })

  test('tries once more before it refuses calls that must be counted', async () => {
    const store = createSharedOnlyStore(shared)
    isDown = true
    await expect(store.increment('a')).rejects.toMatchObject({ code: 'unavailable' })
    expect(calls).toBe(2)
  })
})
