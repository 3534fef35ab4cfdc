import type { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { createSharedStore } from './shared-store.js'
import type { CounterStore } from './stores.js'

type Options = Parameters<NonNullable<CounterStore['init']>>[0]

/** A Redis whose script returns the count of each key, and 500 ms. */
function given(fails?: Error) {
  const calls: (string | number)[][] = []
  const hits = new Map<string, number>()
  const redis = {
    defineCommand(name: string) {
      this[name] = async (count: number, ...args: (string | number)[]) => {
        calls.push([count, ...args])
        if (fails !== undefined) throw fails
        return args.slice(0, count).flatMap((key) => {
          hits.set(String(key), (hits.get(String(key)) ?? 0) + 1)
          return [hits.get(String(key)), 500]
        })
      }
    },
  } as { defineCommand: (name: string) => void; [name: string]: unknown }
  const store = createSharedStore(redis as unknown as Redis, 'p:', { logged: false })
  store.init?.({ windowMs: 1000 } as Options)
  return { store, calls }
}

describe('shared counters', () => {
  test('count all requests of one turn with one call, and return each its own count', async () => {
    const { store, calls } = given()

    const infos = await Promise.all(['a', 'b', 'a'].map((key) => store.increment(key)))
    await store.increment('a')

    expect(calls).toEqual([
      [3, 'p:a', 'p:b', 'p:a', 1000],
      [1, 'p:a', 1000],
    ])
    expect(infos.map(({ totalHits }) => totalHits)).toEqual([1, 1, 2])
    expect(infos[0]?.resetTime?.getTime()).toBeLessThanOrEqual(Date.now() + 500)
  })

  test('count keys in windows of their own', async () => {
    const { store, calls } = given()

    await Promise.all([store.increment('a'), store.increment('b', 60_000)])

    expect(calls).toEqual([[2, 'p:a', 'p:b', 1000, 60_000]])
  })

  test('limit the number of keys of one call', async () => {
    const { store, calls } = given()

    await Promise.all(Array.from({ length: 1200 }, (_, i) => store.increment(`${i}`)))

    expect(calls.map(([count]) => count)).toEqual([500, 500, 200])
  })

  test('reject all counts of a call that fails', async () => {
    const { store } = given(new Error('unavailable'))

    const infos = await Promise.allSettled(['a', 'b'].map((key) => store.increment(key)))

    expect(infos.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })
})
