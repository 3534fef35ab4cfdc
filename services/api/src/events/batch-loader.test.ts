import { describe, expect, it, vi } from 'vitest'
import { createBatchLoader } from './batch-loader.js'

const onTimeout = () => new Error('too late')

/** A query whose answers the test gives by hand. */
function manualQuery() {
  const calls: { keys: number[]; answer: (value: string) => void; fail: (error: Error) => void }[] =
    []
  const query = (keys: number[]) =>
    new Promise<Map<number, string>>((resolve, reject) => {
      const answer = (value: string) => resolve(new Map(keys.map((key) => [key, value])))
      calls.push({ keys, answer, fail: reject })
    })
  return { calls, query }
}

describe('createBatchLoader', () => {
  it('serves everybody who asked before the query began with one', async () => {
    const { calls, query } = manualQuery()
    const loader = createBatchLoader({ query, timeoutMs: 1000, onTimeout })
    const asked = [loader.load(1), loader.load(2), loader.load(1)]
    await Promise.resolve()
    calls[0]?.answer('a')
    expect(await Promise.all(asked)).toEqual(['a', 'a', 'a'])
    expect(calls.map((made) => made.keys)).toEqual([[1, 2]])
  })

  it('never answers with a query that began before the question', async () => {
    const { calls, query } = manualQuery()
    const loader = createBatchLoader({ query, timeoutMs: 1000, onTimeout })
    const early = loader.load(1)
    await vi.waitFor(() => expect(calls).toHaveLength(1))
    const late = [loader.load(1), loader.load(3)]
    calls[0]?.answer('old')
    expect(await early).toBe('old')
    await vi.waitFor(() => expect(calls).toHaveLength(2))
    calls[1]?.answer('new')
    expect(await Promise.all(late)).toEqual(['new', 'new'])
    expect(calls[1]?.keys).toEqual([1, 3])
  })

  it('fails those who waited, not those after them', async () => {
    const { calls, query } = manualQuery()
    const loader = createBatchLoader({ query, timeoutMs: 1000, onTimeout })
    const first = loader.load(1)
    await vi.waitFor(() => expect(calls).toHaveLength(1))
    const second = loader.load(1)
    calls[0]?.fail(new Error('lost'))
    await expect(first).rejects.toThrow('lost')
    await vi.waitFor(() => expect(calls).toHaveLength(2))
    calls[1]?.answer('b')
    expect(await second).toBe('b')
  })

  it('gives up a query that takes too long and goes on with the next', async () => {
    const { calls, query } = manualQuery()
    const loader = createBatchLoader({ query, timeoutMs: 200, onTimeout })
    await expect(loader.load(1)).rejects.toThrow('too late')
    const next = loader.load(2)
    await vi.waitFor(() => expect(calls).toHaveLength(2))
    calls[1]?.answer('c')
    expect(await next).toBe('c')
  })

  it('says undefined for what is unknown', async () => {
    const loader = createBatchLoader({
      query: async () => new Map<number, string>(),
      timeoutMs: 1000,
      onTimeout,
    })
    expect(await loader.load(1)).toBeUndefined()
  })
})
