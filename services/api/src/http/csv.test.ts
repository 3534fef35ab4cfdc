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
    ['x;=1+1;', `"x;'=1+1;"`],
    ['x; =1', `"x;' =1"`],
    ['x;"=1&"', `"x;'""=1&"""`],
    ['x|+1', `"x|'+1"`],
    ['x,-1', `"x,'-1"`],
    ['x\t@y', `"x\t'@y"`],
    ['x\n=1', `"x\n'=1"`],
    ['x\u2028=1', `"x\u2028'=1"`],
    ['\t=1', `"'\t'=1"`],
    [' =1', `"' =1"`],
    ['＝1+1', `"'＝1+1"`],
    ['＋1', `"'＋1"`],
    ['－1', `"'－1"`],
    ['＠x', `"'＠x"`],
    ['−1', `"'−1"`],
    ["'quoted'", `"''quoted'"`],
    ["x;'y", `"x;''y"`],
    ["don't", "don't"],
    ['3-1', `"'3-1"`],
    ['1001-12', `"'1001-12"`],
    ['1000001-12', '1000001-12'],
    ['1000001-1-2', `"'1000001-1-2"`],
    ['1/2', `"'1/2"`],
    ['007', `"'007"`],
    ['1e5', `"'1e5"`],
    ['12345678901234567890', `"'12345678901234567890"`],
    ['2026-11-29', `"'2026-11-29"`],
    ['.5', `"'.5"`],
    ['(5)', `"'(5)"`],
    ['$3', `"'$3"`],
    ['３', `"'３"`],
    ['٣', `"'٣"`],
    ['MAR1', `"'MAR1"`],
    ['Sept-2', `"'Sept-2"`],
    ['mai 2026', `"'mai 2026"`],
    ['März.3', `"'März.3"`],
    ['marvin1', 'marvin1'],
    ['user-17', 'user-17'],
    ['ada', 'ada'],
    [new Date(0), '1970-01-01T00:00:00.000Z'],
    [-5, '-5'],
    [true, 'true'],
  ])('writes %j as %s', (value, expected) => {
    expect(csvField(value)).toBe(expected)
  })

  it('writes fields from which the documented rule restores the exact value', () => {
    const readBack = (field: string): string => {
      const text = field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field
      return text.replace(/(?<=^|[,;|\t\r\n\v\f\u0085\u2028\u2029])'/g, '')
    }
    const letters = [...'a1=\'";,|\t\n -＝é🎟']
    let seed = 7
    const next = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      return Math.floor((seed / 2_147_483_648) * below)
    }
    for (let n = 0; n < 20_000; n++) {
      const value = Array.from({ length: next(9) }, () => letters[next(letters.length)]).join('')
      const field = csvField(value)
      expect(readBack(field), JSON.stringify(value)).toBe(value)
      const text = field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field
      expect(text).not.toMatch(/(^|[,;|\t\n])[\s"]*[=＝-]/)
    }
  })

  it('writes fields into lines that end with CRLF (RFC 4180)', () => {
    expect(csvLine(['a', 1])).toBe('a,1\r\n')
  })
})

describe('csvStream', () => {
  const stallTimeoutMs = 1000
  const timeoutMs = 60_000
  const onEnd = vi.fn(async () => undefined)
  beforeEach(() => {
    vi.useFakeTimers()
    onEnd.mockClear()
  })
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

  it('writes the columns and all rows', async () => {
    const rest = portions(() => undefined)
    const stream = csvStream({
      columns: ['n'],
      first: [{ n: 1 }],
      rest,
      toFields,
      stallTimeoutMs,
      timeoutMs,
      onEnd,
      onError: unexpected,
    })
    expect(await new Response(stream).text()).toBe('n\r\n1\r\n2\r\n3\r\n4\r\n')
    expect(onEnd).toHaveBeenCalledOnce()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('ends the source when the reader disconnects', async () => {
    const onSourceEnd = vi.fn()
    const rest = portions(onSourceEnd)
    await rest.next()
    const stream = csvStream({
      columns: ['n'],
      first: [],
      rest,
      toFields,
      stallTimeoutMs,
      timeoutMs,
      onEnd,
      onError: unexpected,
    })
    const reader = stream.getReader()
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
    const stream = csvStream({
      columns: ['n'],
      first: [],
      rest: slow(),
      toFields,
      stallTimeoutMs,
      timeoutMs,
      onEnd,
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

  it('fails with a log line, and without details for the client', async () => {
    // biome-ignore lint/correctness/useYield: it fails before the first row
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
      timeoutMs,
      onEnd,
      onError,
    })
    await expect(new Response(stream).text()).rejects.toThrow('The export ended early.')
    expect(onError).toHaveBeenCalledOnce()
  })

  it('ends when a connected reader reads nothing', async () => {
    const onSourceEnd = vi.fn()
    const onError = vi.fn()
    const rest = portions(onSourceEnd)
    const stream = csvStream({
      columns: ['n'],
      first: [],
      rest,
      toFields,
      stallTimeoutMs,
      timeoutMs,
      onError,
      onEnd,
    })
    const reader = stream.getReader()
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
    csvStream({ columns: ['n'], first, rest, toFields, stallTimeoutMs, timeoutMs, onError, onEnd })
    await vi.advanceTimersByTimeAsync(stallTimeoutMs)
    expect(onSourceEnd).toHaveBeenCalledOnce()
    expect(onError).toHaveBeenCalledOnce()
  })

  it('measures a stall from each portion, and not while rows are being fetched', async () => {
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
      timeoutMs,
      onEnd,
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
    const rest = endless()
    const stream = csvStream({
      columns: ['n'],
      first: [],
      rest,
      toFields,
      stallTimeoutMs,
      timeoutMs: 5000,
      onError,
      onEnd,
    })
    const reader = stream.getReader()
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
    const rest = portions(() => undefined)
    const onError = vi.fn()
    const source = {
      columns: ['n'],
      first: [],
      rest,
      toFields,
      stallTimeoutMs,
      timeoutMs,
      onError,
      onEnd,
    }
    const reader = csvStream(source).getReader()
    await reader.read()
    await reader.read()
    expect(onEnd).not.toHaveBeenCalled()
    await leave(reader)
    await vi.advanceTimersByTimeAsync(0)
    expect(onEnd).toHaveBeenCalledOnce()
  })
})
