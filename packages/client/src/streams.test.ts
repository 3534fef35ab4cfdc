import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { NoAnswerError, TicketLineError } from './errors.js'
import { type Connection, followStream, type Update } from './streams.js'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const status = (no: number) => `event: status\nid: ${no}\ndata: {"availableTickets":${no}}\n\n`
const bye = 'retry: 100\nevent: bye\ndata: {"reason":"shutdown"}\n\n'

/** A response with these chunks. It ends after them, breaks, or goes on in silence. */
function bodyOf(chunks: string[], end: 'ends' | 'breaks' | 'stays' = 'ends') {
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = chunks.shift()
      if (chunk !== undefined) controller.enqueue(encoder.encode(chunk))
      else if (end === 'ends') controller.close()
      else if (end === 'breaks') controller.error(new TypeError('terminated'))
      else return new Promise(() => undefined)
    },
  })
}

type Opened = () => ReadableStream<Uint8Array>

/** Follows a stream whose connections are these, until there are this many updates. */
async function follow(connections: Opened[], count: number) {
  const controller = new AbortController()
  const updates: Update[] = []
  const openedAtMs: number[] = []
  const reported: Connection[] = []
  const startMs = Date.now()
  const open = async () => {
    openedAtMs.push(Date.now() - startMs)
    const connection = connections.shift()
    if (connection === undefined) throw new Error('no more connections')
    return connection()
  }
  const options = {
    signal: controller.signal,
    onConnection: (connection: Connection) => void reported.push(connection),
  }
  const ended = (async () => {
    for await (const update of followStream(open, options)) {
      updates.push(update)
      if (updates.length === count) controller.abort()
    }
  })().catch((error: unknown) => error)
  await vi.runAllTimersAsync()
  return { updates, openedAtMs, reported, error: await ended }
}

describe('a stream that is followed', () => {
  it('yields the updates, however the connection cuts them into chunks', async () => {
    const text = `:\n\nretry: 50\n\n${status(7)}:\n\nevent: standing\nid: 8\ndata: {"standing":"held"}\n\n`
    for (const size of [1, 3, 1000]) {
      const chunks = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
      const { updates, error } = await follow([() => bodyOf(chunks, 'stays')], 2)
      expect(error).toBeUndefined()
      expect(updates).toEqual([
        { event: 'status', changeNo: 7, data: { availableTickets: 7 } },
        { event: 'standing', changeNo: 8, data: { standing: 'held' } },
      ])
    }
  })

  it('ignores events that it does not know', async () => {
    const chunks = ['event: news\ndata: {}\n\n', status(1)]
    expect((await follow([() => bodyOf(chunks)], 1)).updates).toHaveLength(1)
  })

  it('connects again after bye, after the time the server asks for', async () => {
    const connections = [() => bodyOf([status(1), bye]), () => bodyOf([status(2)])]
    const { updates, openedAtMs } = await follow(connections, 2)
    expect(updates.map(({ changeNo }) => changeNo)).toEqual([1, 2])
    expect(openedAtMs).toEqual([0, 100])
  })

  it('connects again when the connection ends or breaks', async () => {
    const connections = [
      () => bodyOf([status(1)]),
      () => bodyOf([status(2)], 'breaks'),
      () => bodyOf([status(3)]),
    ]
    const { updates, openedAtMs } = await follow(connections, 3)
    expect(updates.map(({ changeNo }) => changeNo)).toEqual([1, 2, 3])
    expect(openedAtMs).toEqual([0, 3000, 6000])
  })

  it('connects again when nothing has arrived for 40 s, not even a comment', async () => {
    const connections = [() => bodyOf([status(1)], 'stays'), () => bodyOf([status(2)])]
    const { openedAtMs } = await follow(connections, 2)
    expect(openedAtMs).toEqual([0, 43_000])
  })

  it('reports its connection', async () => {
    const broken = new TypeError('terminated')
    const connections = [
      () => bodyOf([status(1), status(2), bye]),
      () => {
        throw broken
      },
      () => bodyOf([status(3)]),
    ]
    const { reported } = await follow(connections, 3)
    expect(reported).toEqual([
      { kind: 'connecting' },
      { kind: 'live' },
      { kind: 'lost', error: undefined, retryInMs: 100 },
      { kind: 'connecting' },
      { kind: 'lost', error: broken, retryInMs: 100 },
      { kind: 'connecting' },
      { kind: 'live' },
    ])
  })

  it('waits as long as a refusal asks for', async () => {
    const headers = new Headers({ 'retry-after': '90' })
    const limited = new TicketLineError(
      { type: '', title: '', status: 429, code: 'rate_limited', message: '', detail: '' },
      { headers },
    )
    const connections = [
      () => {
        throw limited
      },
      () => bodyOf([status(1)]),
    ]
    const { openedAtMs, reported } = await follow(connections, 1)
    expect(openedAtMs).toEqual([0, 90_000])
    expect(reported).toContainEqual({ kind: 'lost', error: limited, retryInMs: 90_000 })
  })

  it('goes on if the API cannot be reached or is busy', async () => {
    const fail = (error: Error) => (): never => {
      throw error
    }
    const busy = new TicketLineError({
      type: '',
      title: '',
      status: 503,
      code: 'busy',
      message: '',
      detail: '',
    })
    const connections = [fail(new NoAnswerError('no')), fail(busy), () => bodyOf([status(1)])]
    const { updates, error } = await follow(connections, 1)
    expect(error).toBeUndefined()
    expect(updates).toHaveLength(1)
  })

  it('fails if the API refuses it', async () => {
    const refusal = new TicketLineError({
      type: '',
      title: '',
      status: 401,
      code: 'unauthorized',
      message: 'Please sign in.',
      detail: '',
    })
    const connections = [
      () => bodyOf([status(1), bye]),
      () => {
        throw refusal
      },
    ]
    const { updates, error } = await follow(connections, 9)
    expect(updates).toHaveLength(1)
    expect(error).toBe(refusal)
  })

  it('closes its connection when the caller stops reading', async () => {
    let closed = false
    const encoder = new TextEncoder()
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(encoder.encode(status(1))),
      cancel() {
        closed = true
      },
    })
    for await (const _ of followStream(() => Promise.resolve(body))) break
    expect(closed).toBe(true)
  })
})
