import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { NoAnswerError } from './errors.js'
import { Call, createTransport, type Fetch, type TokenSource } from './transport.js'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

type Step = Response | Error
const answer = (status: number, headers: Record<string, string> = {}, body: unknown = {}) =>
  new Response(JSON.stringify(body), { status, headers })

/** A server that answers with these steps in order, and then with the last one again. */
function serverOf(...steps: Step[]) {
  const received: { request: Request; body: string; atMs: number }[] = []
  const startMs = Date.now()
  const fetch: Fetch = async (url, init) => {
    const request = new Request(url, init)
    received.push({ request, body: await request.text(), atMs: Date.now() - startMs })
    const step = steps[Math.min(received.length, steps.length) - 1] as Step
    if (step instanceof Error) throw step
    return step.clone()
  }
  return { fetch, received }
}

interface Sent {
  method?: string
  key?: string
  token?: TokenSource
  giveUpAfterMs?: number
  signal?: AbortSignal
}

/** Sends a request, and lets the time pass until it has ended. */
async function send(fetch: Fetch, options: Sent = {}) {
  const { method = 'GET', key, token, giveUpAfterMs = 60_000, signal } = options
  const transport = createTransport({ token, fetch, giveUpAfterMs })
  const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key }
  const init: RequestInit = { method, headers }
  if (method !== 'GET') init.body = '{"eventId":1}'
  if (signal !== undefined) init.signal = signal
  const ended = transport(new Call('http://api.test/book?x=1', init)).catch(
    (error: unknown) => error,
  )
  await vi.runAllTimersAsync()
  return ended
}

describe('a request that is repeated', () => {
  it('is sent again with its body after the time in Retry-After', async () => {
    const server = serverOf(answer(503, { 'retry-after': '3' }), answer(200))

    const answered = await send(server.fetch, { method: 'POST', key: 'k' })

    expect(answered).toMatchObject({ status: 200 })
    expect(server.received.map(({ body }) => body)).toEqual(['{"eventId":1}', '{"eventId":1}'])
    expect(server.received[1]?.atMs).toBeGreaterThanOrEqual(3000)
    expect(server.received[1]?.atMs).toBeLessThanOrEqual(3600)
  })

  it('understands a date in Retry-After', async () => {
    const date = new Date(Date.now() + 5000).toUTCString()
    const server = serverOf(answer(429, { 'retry-after': date }), answer(200))

    await send(server.fetch)

    expect(server.received[1]?.atMs).toBeGreaterThanOrEqual(4000)
    expect(server.received[1]?.atMs).toBeLessThanOrEqual(6000)
  })

  it.each([502, 503, 504])(
    'is sent again after a proxy’s %i, less and less often',
    async (status) => {
      const server = serverOf(answer(status), answer(status), answer(status), answer(200))

      expect(await send(server.fetch)).toMatchObject({ status: 200 })
      const [, first = 0, , last = 0] = server.received.map(({ atMs }) => atMs)
      expect(first).toBeLessThanOrEqual(500)
      expect(last).toBeGreaterThanOrEqual(1750)
    },
  )

  it('is sent again after a broken connection', async () => {
    const server = serverOf(new TypeError('fetch failed'), answer(200))

    expect(await send(server.fetch, { method: 'POST', key: 'k' })).toMatchObject({ status: 200 })
  })

  it('is sent again if the connection breaks in the middle of the answer', async () => {
    let count = 0
    const broken = () =>
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode('{"outc')),
        pull: (controller) => controller.error(new TypeError('terminated')),
      })
    const headers = { 'content-type': 'application/json' }
    const fetch: Fetch = async () =>
      new Response(++count === 1 ? broken() : '{"outcome":"booked"}', { headers })

    const answered = (await send(fetch, { method: 'POST', key: 'k' })) as Response
    expect(await answered.json()).toEqual({ outcome: 'booked' })
    expect(count).toBe(2)
  })

  it('asks for the token before each attempt', async () => {
    const server = serverOf(answer(503), answer(200))
    let count = 0

    await send(server.fetch, { token: () => Promise.resolve(`token-${++count}`) })

    expect(server.received.map(({ request }) => request.headers.get('authorization'))).toEqual([
      'Bearer token-1',
      'Bearer token-2',
    ])
  })

  it('has no token if the token is empty', async () => {
    const server = serverOf(answer(200))
    await send(server.fetch, { token: '' })
    expect(server.received[0]?.request.headers.has('authorization')).toBe(false)
  })

  it('fails when the time is over, with the reason', async () => {
    const cause = new TypeError('fetch failed')
    const server = serverOf(cause)

    const error = await send(server.fetch, { giveUpAfterMs: 10_000 })

    expect(error).toBeInstanceOf(NoAnswerError)
    expect(error).toMatchObject({
      message: 'GET http://api.test/book?x=1 got no answer: fetch failed',
      cause,
    })
    expect(server.received.length).toBeGreaterThan(3)
    expect(server.received.at(-1)?.atMs).toBeLessThanOrEqual(10_000)
  })

  it('returns the last answer if the API asks for a longer pause than is left', async () => {
    const server = serverOf(answer(429, { 'retry-after': '61' }))

    expect(await send(server.fetch)).toMatchObject({ status: 429 })
    expect(server.received).toHaveLength(1)
  })

  it('stops when its signal is aborted', async () => {
    const server = serverOf(answer(503, { 'retry-after': '30' }))
    const controller = new AbortController()
    setTimeout(() => controller.abort(new Error('enough')), 1000)

    expect(await send(server.fetch, { signal: controller.signal })).toMatchObject({
      message: 'enough',
    })
    expect(server.received).toHaveLength(1)
  })
})

describe('a request', () => {
  it.each([200, 202, 400, 401, 403, 404, 409, 422, 500])(
    'is not repeated after status %i',
    async (status) => {
      const server = serverOf(answer(status))

      expect(await send(server.fetch, { method: 'POST', key: 'k' })).toMatchObject({ status })
      expect(server.received).toHaveLength(1)
    },
  )

  it.each([
    ['a broken connection', new TypeError('fetch failed')],
    ['502', answer(502)],
    ['503 unknown', answer(503, { 'retry-after': '1' }, { code: 'unknown' })],
  ])('is not repeated without a key if it may have had an effect: %s', async (_, step) => {
    const server = serverOf(step)

    await send(server.fetch, { method: 'POST' })

    expect(server.received).toHaveLength(1)
  })

  it.each([
    ['429', answer(429, { 'retry-after': '1' })],
    ['503 busy', answer(503, { 'retry-after': '1' }, { code: 'busy' })],
  ])('is repeated without a key if it had no effect: %s', async (_, step) => {
    const server = serverOf(step, answer(201))

    expect(await send(server.fetch, { method: 'POST' })).toMatchObject({ status: 201 })
  })

  it('is sent once if the client must not repeat anything', async () => {
    const server = serverOf(answer(503, { 'retry-after': '1' }))

    expect(await send(server.fetch, { giveUpAfterMs: 0 })).toMatchObject({ status: 503 })
    expect(server.received).toHaveLength(1)
  })
})

it('repeats a request that gets no answer for 45 s', async () => {
  let count = 0
  const fetch: Fetch = (_, { signal }) =>
    ++count > 1
      ? Promise.resolve(answer(200))
      : new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
        })

  expect(await send(fetch)).toMatchObject({ status: 200 })
})
