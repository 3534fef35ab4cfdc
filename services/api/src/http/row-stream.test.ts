import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type RowSource, rowStream } from './row-stream.js'

describe('rowStream', () => {
  const stallTimeoutMs = 1000
  const timeoutMs = 60_000
  const onEnd = vi.fn(async () => undefined)
  beforeEach(() => {
    vi.useFakeTimers()
    onEnd.mockClear()
  })
  afterEach(() => void vi.useRealTimers())

  const lineOf = ({ n }: { n: number }) => `${n}\r\n`
  const unexpected = (error: unknown) => expect.unreachable(String(error))
  async function* portions(onEnd: () => void) {
    try {
      yield [{ n: 2 }, { n: 3 }]
      yield [{ n: 4 }]
    } finally {
      onEnd()
    }
  }

  /** Streams these rows after the head. */
  function streamOf(
    rest: AsyncGenerator<{ n: number }[]>,
    changes: Partial<RowSource<{ n: number }>> = {},
  ) {
    return rowStream({
      head: 'n\r\n',
      first: [],
      rest,
      lineOf,
      stallTimeoutMs,
      timeoutMs,
      onEnd,
      onError: unexpected,
      ...changes,
    })
  }

  it('writes the head and all rows', async () => {
    const stream = streamOf(
      portions(() => undefined),
      { first: [{ n: 1 }] },
    )
    expect(await new Response(stream).text()).toBe('n\r\n1\r\n2\r\n3\r\n4\r\n')
    expect(onEnd).toHaveBeenCalledOnce()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('ends the source when the reader disconnects', async () => {
    const onSourceEnd = vi.fn()
    const rest = portions(onSourceEnd)
    await rest.next()
    const reader = streamOf(rest).getReader()
    await reader.read()
    await reader.cancel()
    expect(onSourceEnd).toHaveBeenCalledOnce()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('survives a client that disconnects while rows are fetched', async () => {
    const { promise: fetched, resolve: fetch } = Promise.withResolvers<void>()
    async function* slow() {
      await fetched
      yield [{ n: 2 }]
    }
    const reader = streamOf(slow()).getReader()
    await reader.read()
    const pending = reader.read()
    const canceled = reader.cancel()
    fetch()
    await canceled
    expect((await pending).done).toBe(true)
  })

  it('fails with a log line, and without details for the client', async () => {
    // biome-ignore lint/correctness/useYield: it fails before the first row
    async function* failing(): AsyncGenerator<{ n: number }[]> {
      throw new Error('relation "bookings" does not exist')
    }
    const onError = vi.fn()
    const stream = streamOf(failing(), { onError })
    await expect(new Response(stream).text()).rejects.toThrow('The export ended early.')
    expect(onError).toHaveBeenCalledOnce()
  })

  it('ends when a connected reader reads nothing', async () => {
    const onSourceEnd = vi.fn()
    const onError = vi.fn()
    const reader = streamOf(portions(onSourceEnd), { onError }).getReader()
    await reader.read()
    await reader.read()
    await vi.advanceTimersByTimeAsync(stallTimeoutMs - 1)
    expect(onSourceEnd).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(onSourceEnd).toHaveBeenCalledOnce()
    expect(onError).toHaveBeenCalledExactlyOnceWith(
      new Error('The client read nothing for 1000 ms.'),
    )
    await expect(reader.read()).rejects.toThrow('The export ended early.')
    await expect(reader.closed).rejects.toThrow('The export ended early.')
  })

  it('ends when the reader never starts to read', async () => {
    const onSourceEnd = vi.fn()
    const onError = vi.fn()
    const rest = portions(onSourceEnd)
    const { value: first = [] } = await rest.next()
    streamOf(rest, { first, onError })
    await vi.advanceTimersByTimeAsync(stallTimeoutMs)
    expect(onSourceEnd).toHaveBeenCalledOnce()
    expect(onError).toHaveBeenCalledOnce()
  })

  it('measures a stall from each chunk, and not while rows are being fetched', async () => {
    async function* slow() {
      await new Promise((resolve) => setTimeout(resolve, 2 * stallTimeoutMs))
      yield [{ n: 2 }]
      yield [{ n: 3 }]
    }
    const reader = streamOf(slow()).getReader()
    await reader.read()
    const pending = reader.read()
    await vi.advanceTimersByTimeAsync(2 * stallTimeoutMs)
    expect((await pending).done).toBe(false)
    await vi.advanceTimersByTimeAsync(stallTimeoutMs - 1)
    expect((await reader.read()).done).toBe(false)
    await vi.advanceTimersByTimeAsync(stallTimeoutMs - 1)
    expect((await reader.read()).done).toBe(true)
  })

  it('ends after its maximum duration even if the reader never stalls', async () => {
    async function* endless() {
      try {
        for (let n = 0; ; n++) yield [{ n }]
      } finally {
        onSourceEnd()
      }
    }
    const onSourceEnd = vi.fn()
    const onError = vi.fn()
    const reader = streamOf(endless(), { timeoutMs: 5000, onError }).getReader()
    for (let n = 0; n < 5; n++) {
      await reader.read()
      await vi.advanceTimersByTimeAsync(stallTimeoutMs - 10)
    }
    await reader.read()
    await vi.advanceTimersByTimeAsync(60)
    await expect(reader.read()).rejects.toThrow('The export ended early.')
    expect(onError).toHaveBeenCalledExactlyOnceWith(
      new Error('The download took longer than 5000 ms.'),
    )
    expect(onSourceEnd).toHaveBeenCalledOnce()
    expect(onEnd).toHaveBeenCalledOnce()
    expect(vi.getTimerCount()).toBe(0)
  })

  it.each([
    ['disconnects', (reader: ReadableStreamDefaultReader) => reader.cancel()],
    ['stalls', () => vi.advanceTimersByTimeAsync(stallTimeoutMs)],
  ])('calls onEnd once when the reader %s', async (_name, leave) => {
    const reader = streamOf(
      portions(() => undefined),
      { onError: vi.fn() },
    ).getReader()
    await reader.read()
    await reader.read()
    expect(onEnd).not.toHaveBeenCalled()
    await leave(reader)
    await vi.advanceTimersByTimeAsync(0)
    expect(onEnd).toHaveBeenCalledOnce()
  })
})
