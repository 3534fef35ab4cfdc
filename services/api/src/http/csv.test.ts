import { describe, expect, it, vi } from 'vitest'
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
      onError: unexpected,
    })
    expect(await new Response(stream).text()).toBe('n\r\n1\r\n2\r\n3\r\n4\r\n')
  })

  it('ends the source when the reader goes away', async () => {
    const onEnd = vi.fn()
    const rest = portions(onEnd)
    await rest.next()
    const stream = csvStream({ columns: ['n'], first: [], rest, toFields, onError: unexpected })
    const reader = stream.getReader()
    await reader.read()
    await reader.cancel()
    expect(onEnd).toHaveBeenCalledOnce()
  })

  it('minds no client that goes away while rows are fetched', async () => {
    const { promise: fetched, resolve: fetch } = Promise.withResolvers<void>()
    async function* slow() {
      await fetched
      yield [{ n: 2 }]
    }
    const stream = csvStream({ columns: ['n'], first: [], rest: slow(), toFields, onError: unexpected })
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
    const stream = csvStream({ columns: ['n'], first: [], rest: failing(), toFields, onError })
    await expect(new Response(stream).text()).rejects.toThrow('The export ended early.')
    expect(onError).toHaveBeenCalledOnce()
  })
})
