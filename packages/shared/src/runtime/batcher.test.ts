import { describe, expect, it, vi } from 'vitest'
import { byKey, createBatcher, createLoader, createTurns } from './batcher.js'

interface Call<Item, Result> {
  items: Item[]
  succeed: (result: Result) => void
  fail: (error: Error) => void
}

/** A function whose calls the test answers by hand. */
function manual<Item, Result>() {
  const calls: Call<Item, Result>[] = []
  const run = (items: Item[]) =>
    new Promise<Result>((resolve, reject) => {
      calls.push({ items, succeed: resolve, fail: reject })
    })
  return {
    calls,
    run,
    called: (count: number) => vi.waitFor(() => expect(calls).toHaveLength(count)),
  }
}

describe('createBatcher', () => {
  it('handles the items of one turn of the event loop together, each with its own result', async () => {
    const batches: number[][] = []
    const double = createBatcher({
      run: async (items: number[]) => {
        batches.push(items)
        return items.map((item) => 2 * item)
      },
      schedule: setImmediate,
      maxSize: 10,
      maxRunning: 1,
    })

    const results = [double(1), Promise.resolve().then(() => double(2)), double(3)]

    expect(await Promise.all(results)).toEqual([2, 4, 6])
    expect(batches).toEqual([[1, 3, 2]])
  })

  it('splits what exceeds the size of a batch, in order', async () => {
    const { calls, run, called } = manual<number, number[]>()
    const add = createBatcher({ run, schedule: queueMicrotask, maxSize: 2, maxRunning: 10 })
    for (const item of [1, 2, 3, 4, 5]) void add(item)
    await called(3)
    expect(calls.map(({ items }) => items)).toEqual([[1, 2], [3, 4], [5]])
  })

  it('counts the size of each item, and gives an item that is too large its own batch', async () => {
    const { calls, run, called } = manual<string, string[]>()
    const add = createBatcher({
      run,
      schedule: queueMicrotask,
      maxSize: 4,
      sizeOf: (item: string) => item.length,
      maxRunning: 10,
    })
    for (const item of ['aa', 'bb', 'c', 'too long', 'd']) void add(item)
    await called(4)
    expect(calls.map(({ items }) => items)).toEqual([['aa', 'bb'], ['c'], ['too long'], ['d']])
  })

  it('gathers items for the next batch while as many run as may', async () => {
    const { calls, run, called } = manual<number, number[]>()
    const add = createBatcher({ run, schedule: setImmediate, maxSize: 10, maxRunning: 2 })
    const first = add(1)
    await called(1)
    void add(2)
    await called(2)
    void add(3)
    void add(4)
    await new Promise((resolve) => setImmediate(resolve))
    expect(calls).toHaveLength(2)

    calls[0]?.succeed([1])
    expect(await first).toBe(1)
    await called(3)
    expect(calls[2]?.items).toEqual([3, 4])
  })

  it('starts the next batch although a result of the last one is still pending', async () => {
    const slow = Promise.withResolvers<string>()
    const started: string[] = []
    const add = createBatcher({
      async run([item]: string[]) {
        started.push(item as string)
        return [item === 'slow' ? slow.promise : (item as string)]
      },
      schedule: queueMicrotask,
      maxSize: 1,
      maxRunning: 1,
    })
    const first = add('slow')

    expect(await add('quick')).toBe('quick')
    expect(started).toEqual(['slow', 'quick'])
    slow.resolve('done')
    expect(await first).toBe('done')
  })

  it('rejects all calls of a batch that fails, and goes on with the next', async () => {
    const { calls, run, called } = manual<number, number[]>()
    const add = createBatcher({ run, schedule: queueMicrotask, maxSize: 2, maxRunning: 1 })
    const failed = [add(1), add(2)]
    const next = add(3)
    await called(1)
    calls[0]?.fail(new Error('lost'))
    for (const call of failed) await expect(call).rejects.toThrow('lost')
    await called(2)
    calls[1]?.succeed([33])
    expect(await next).toBe(33)
  })
})

describe('byKey', () => {
  it('asks once for each key, and answers every call', async () => {
    const asked: string[][] = []
    const find = byKey(async (keys: string[]) => {
      asked.push(keys)
      return new Map([['a', 1]])
    })
    expect(await find(['a', 'b', 'a'])).toEqual([1, undefined, 1])
    expect(asked).toEqual([['a', 'b']])
  })
})

function fail(): never {
  throw new Error('too late')
}

describe('createLoader', () => {
  const found = (keys: number[], value: string) => new Map(keys.map((key) => [key, value]))

  it('serves everybody who asked before the query began with one query', async () => {
    const { calls, run, called } = manual<number, Map<number, string>>()
    const load = createLoader({ query: run, timeoutMs: 1000, onTimeout: fail })
    const asked = [load(1), load(2), load(1)]
    await called(1)
    calls[0]?.succeed(found([1, 2], 'a'))
    expect(await Promise.all(asked)).toEqual(['a', 'a', 'a'])
    expect(calls.map(({ items }) => items)).toEqual([[1, 2]])
  })

  it('never answers a call with a query that began before it', async () => {
    const { calls, run, called } = manual<number, Map<number, string>>()
    const load = createLoader({ query: run, timeoutMs: 1000, onTimeout: fail })
    const early = load(1)
    await called(1)
    const late = [load(1), load(3)]
    calls[0]?.succeed(found([1], 'old'))
    expect(await early).toBe('old')
    await called(2)
    calls[1]?.succeed(found([1, 3], 'new'))
    expect(await Promise.all(late)).toEqual(['new', 'new'])
    expect(calls[1]?.items).toEqual([1, 3])
  })

  it('rejects the calls of a failed query, and not those after it', async () => {
    const { calls, run, called } = manual<number, Map<number, string>>()
    const load = createLoader({ query: run, timeoutMs: 1000, onTimeout: fail })
    const first = load(1)
    await called(1)
    const second = load(1)
    calls[0]?.fail(new Error('lost'))
    await expect(first).rejects.toThrow('lost')
    await called(2)
    calls[1]?.succeed(found([1], 'b'))
    expect(await second).toBe('b')
  })

  it('gives up a query that takes too long, and goes on with the next', async () => {
    const { calls, run, called } = manual<number, Map<number, string>>()
    const load = createLoader({ query: run, timeoutMs: 200, onTimeout: fail })
    await expect(load(1)).rejects.toThrow('too late')
    const next = load(2)
    await called(2)
    calls[1]?.succeed(found([2], 'c'))
    expect(await next).toBe('c')
  })

  it('returns undefined for an unknown key', async () => {
    const load = createLoader({
      query: async () => new Map<number, string>(),
      timeoutMs: 1000,
      onTimeout: fail,
    })
    expect(await load(1)).toBeUndefined()
  })
})

describe('createTurns', () => {
  it('calls what was added in one turn of the event loop in order, in the next', async () => {
    const soon = createTurns()
    const called: string[] = []
    soon(() => {
      called.push('first')
      soon(() => called.push('third'))
    })
    soon(() => called.push('second'))
    await Promise.resolve()
    expect(called).toEqual([])
    await new Promise((resolve) => setImmediate(resolve))
    expect(called).toEqual(['first', 'second'])
    await new Promise((resolve) => setImmediate(resolve))
    expect(called).toEqual(['first', 'second', 'third'])
  })
})
