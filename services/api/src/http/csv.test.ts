import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { csvField, csvLine, csvStream } from './csv.js'

describe('csvField', () => {
  it.each([
    ['plain', 'plain'],
    ['a,b', '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ['=1+1', `"'=1+1"`],
    ['+x', `"'+x"`],
    ['-x', `"'-x"`],
    ['@x', `"'@x"`],
    ['=HYPERLINK("x")', `"'=HYPERLINK(""x"")"`],
    ['a=b', 'a=b'],
    [-5, '-5'],
    [true, 'true'],
  ])('writes %j as %s', (value, expected) => {
    expect(csvField(value)).toBe(expected)
  })

  it('ends lines as RFC 4180 says', () => {
    expect(csvLine(['a', 1])).toBe('a,1\r\n')
  })
})

describe('csvStream', () => {
  const stallTimeoutMs = 1000
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const toFields = (row: { n: number }) => [row.n]
  const unexpected = (error: unknown) => expect.unreachable(String(error))
  async function* portions(onEnd: () => void) {
    try {
      yield [{ n: 2 }, { n: 3 }]
      yield [{ n: 4 }]
    } finally {
      onEnd()
    }
  }

  it('writes the columns, the first rows and all others', async () => {
    const rest = portions(() => undefined)
    const stream = csvStream({
      columns: ['n'],
      first: [{ n: 1 }],
      rest,
      toFields,
      stallTimeoutMs,
      onError: unexpected,
    })
    expect(await new Response(stream).text()).toBe('n\r\n1\r\n2\r\n3\r\n4\r\n')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('ends the source when the reader goes away', async () => {
    const onEnd = vi.fn()
    const rest = portions(onEnd)
    await rest.next()
    const stream = csvStream({
      columns: ['n'],
      first: [],
      rest,
      toFields,
      stallTimeoutMs,
      onError: unexpected,
    })
    const reader = stream.getReader()
    await reader.read()
    await reader.cancel()
    expect(onEnd).toHaveBeenCalledOnce()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('minds no client that goes away while rows are fetched', async () => {
    const { promise: fetched, resolve: fetch } = Promise.withResolvers<void>()
    async function* slow() {
      await fetched
      yield [{ n: 2 }]
    }
    const stream = csvStream({
      columns: ['n'],
      first: [],
      rest: slow(),
      toFields,
      stallTimeoutMs,
      onError: unexpected,
    })
    const reader = stream.getReader()
    await reader.read()
    const pending = reader.read()
    const canceled = reader.cancel()
    fetch()
    await canceled
    expect((await pending).done).toBe(true)
  })

  it('breaks off with a word to the log, and none of it to the client', async () => {
    // biome-ignore lint/correctness/useYield: it fails before it has anything
    async function* failing(): AsyncGenerator<{ n: number }[]> {
      throw new Error('relation "bookings" does not exist')
    }
    const onError = vi.fn()
    const stream = csvStream({
      columns: ['n'],
      first: [],
      rest: failing(),
      toFields,
      stallTimeoutMs,
      onError,
    })
    await expect(new Response(stream).text()).rejects.toThrow('The export ended early.')
    expect(onError).toHaveBeenCalledOnce()
  })

  it('ends the source and itself when the reader stays and takes nothing', async () => {
    const onEnd = vi.fn()
    const onError = vi.fn()
    const rest = portions(onEnd)
    const stream = csvStream({ columns: ['n'], first: [], rest, toFields, stallTimeoutMs, onError })
    const reader = stream.getReader()
    await reader.read()
    await reader.read()
    await vi.advanceTimersByTimeAsync(stallTimeoutMs - 1)
    expect(onEnd).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(onEnd).toHaveBeenCalledOnce()
    expect(onError).toHaveBeenCalledExactlyOnceWith(new Error('The client took nothing for 1000 ms.'))
    await expect(reader.read()).rejects.toThrow('The export ended early.')
    await expect(reader.closed).rejects.toThrow('The export ended early.')
  })

  it('ends for a reader that never begins', async () => {
    const onEnd = vi.fn()
    const onError = vi.fn()
    const rest = portions(onEnd)
    const { value: first = [] } = await rest.next()
    csvStream({ columns: ['n'], first, rest, toFields, stallTimeoutMs, onError })
    await vi.advanceTimersByTimeAsync(stallTimeoutMs)
    expect(onEnd).toHaveBeenCalledOnce()
    expect(onError).toHaveBeenCalledOnce()
  })

  it('counts from each portion, and not while the reader waits for one', async () => {
    async function* slow() {
      await new Promise((resolve) => setTimeout(resolve, 2 * stallTimeoutMs))
      yield [{ n: 2 }]
      yield [{ n: 3 }]
    }
    const rest = slow()
    const stream = csvStream({
      columns: ['n'],
      first: [],
      rest,
      toFields,
      stallTimeoutMs,
      onError: unexpected,
    })
    const reader = stream.getReader()
    await reader.read()
    const pending = reader.read()
    await vi.advanceTimersByTimeAsync(2 * stallTimeoutMs)
    expect((await pending).done).toBe(false)
    await vi.advanceTimersByTimeAsync(stallTimeoutMs - 1)
    expect((await reader.read()).done).toBe(false)
    await vi.advanceTimersByTimeAsync(stallTimeoutMs - 1)
    expect((await reader.read()).done).toBe(true)
  })
})
