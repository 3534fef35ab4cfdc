import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { createTicketLine, dataOf, pagesOf } from './client.js'
import { TicketLineError } from './errors.js'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const JOB = 'event-1001.0mpb3k2x17c4e90ad52b6.1.0'
const booked = {
  message: 'Ticket booked',
  outcome: 'booked',
  jobId: JOB,
  eventId: 1001,
  userId: 'ada',
  bookingId: '1001-7',
  decidedAt: '2030-01-31T18:00:00.000Z',
}
const soldOut = {
  type: 'urn:ticket-line:problem:sold_out',
  title: 'Conflict',
  status: 409,
  code: 'sold_out',
  message: 'This event is sold out.',
  detail: 'This event is sold out.',
}
const accepted = { message: 'Request accepted', jobId: JOB, statusUrl: `/jobs/${JOB}` }
const queued = { jobId: JOB, state: 'queued', ahead: 12, etaSeconds: 3, status: null, body: null }
const done = (status: number, body: object) => ({ ...queued, state: 'done', status, body })

type Reply = [status: number, body: object, headers?: Record<string, string>]

/** A client of a server that gives these answers in order. */
function clientOf(...replies: Reply[]) {
  const received: { call: string; body: unknown; headers: Headers }[] = []
  const tickets = createTicketLine({
    baseUrl: 'http://api.test/',
    token: 'tlk_x',
    giveUpAfterMs: 0,
    async fetch(url, init) {
      const request = new Request(url, init)
      const { method, headers } = request
      const text = await request.text()
      const call = `${method} ${url.slice('http://api.test'.length)}`
      received.push({ call, body: text === '' ? undefined : JSON.parse(text), headers })
      const [status, body, extra] = replies.shift() ?? [500, {}]
      return Response.json(body, { status, ...(extra && { headers: extra }) })
    },
  })
  return { tickets, received }
}

/** The result or the error of a call, while time passes. */
async function endOf<T>(call: Promise<T>): Promise<T> {
  const ended = call.catch((error: unknown) => error as never)
  await vi.runAllTimersAsync()
  return ended
}

describe('a command', () => {
  it('returns the decision of the response', async () => {
    const { tickets, received } = clientOf([200, booked])

    expect(await tickets.book({ eventId: 1001, userId: 'ada' })).toEqual(booked)
    expect(received).toMatchObject([{ call: 'POST /book', body: { eventId: 1001, userId: 'ada' } }])
    const headers = received[0]?.headers
    expect(headers?.get('prefer')).toBe('return=representation')
    expect(headers?.get('authorization')).toBe('Bearer tlk_x')
    expect(headers?.get('idempotency-key')).toMatch(/^[0-9a-f]{32}$/)
  })

  it('sends the key that the caller chose, otherwise a new one for each command', async () => {
    const { tickets, received } = clientOf([200, booked], [200, booked], [200, booked])
    await tickets.book({ eventId: 1001 }, { idempotencyKey: 'order-7' })
    await tickets.book({ eventId: 1001 })
    await tickets.book({ eventId: 1001 })
    const keys = received.map(({ headers }) => headers.get('idempotency-key'))
    expect(keys[0]).toBe('order-7')
    expect(keys[1]).not.toBe(keys[2])
  })

  it('throws the refusal of the response', async () => {
    const { tickets } = clientOf([409, soldOut, { location: `/jobs/${JOB}` }])
    const error = await endOf(tickets.book({ eventId: 1001 }))
    expect(error).toBeInstanceOf(TicketLineError)
    expect(error).toMatchObject({ code: 'sold_out', status: 409, jobId: JOB })
  })

  it('polls to the end if it was only accepted', async () => {
    const { tickets, received } = clientOf([202, accepted], [200, queued], [200, done(200, booked)])
    const onAccepted = vi.fn()

    expect(await endOf(tickets.book({ eventId: 1001 }, { onAccepted }))).toEqual(booked)
    expect(onAccepted).toHaveBeenCalledExactlyOnceWith(JOB)
    expect(received.map(({ call }) => call)).toEqual([
      'POST /book',
      `GET /jobs/${JOB}`,
      `GET /jobs/${JOB}`,
    ])
    expect(received[1]?.headers.get('prefer')).toBe('wait=25, return=representation')
  })

  it('throws the refusal that its job shows', async () => {
    const { tickets } = clientOf([202, accepted], [200, done(409, soldOut)])
    const error = await endOf(tickets.book({ eventId: 1001 }))
    expect(error).toMatchObject({ code: 'sold_out', status: 409, jobId: JOB, problem: soldOut })
  })

  it('asks for a job at once and reports its progress if the caller wants to see it', async () => {
    const { tickets, received } = clientOf([202, accepted], [200, queued], [200, done(200, booked)])
    const shown: (number | null)[] = []

    await endOf(
      tickets.book({ eventId: 1001 }, { onProgress: ({ ahead }) => void shown.push(ahead) }),
    )

    expect(shown).toEqual([12])
    expect(received.map(({ headers }) => headers.get('prefer'))).toEqual([
      'return=representation, respond-async',
      'wait=5, return=representation',
      'wait=5, return=representation',
    ])
  })

  it('stops polling when its signal is aborted', async () => {
    const { tickets, received } = clientOf([202, accepted], [200, queued], [200, queued])
    const controller = new AbortController()
    const onProgress = () => controller.abort(new Error('the page is closed'))
    const error = await endOf(
      tickets.book({ eventId: 1001 }, { signal: controller.signal, onProgress }),
    )
    expect(error).toMatchObject({ message: 'the page is closed' })
    expect(received).toHaveLength(2)
  })

  it('is sent to the path of its function', async () => {
    const { tickets, received } = clientOf(...Array.from({ length: 8 }, (): Reply => [200, booked]))
    const hold = { eventId: 7, bookingId: '7-1' }
    await tickets.cancel(hold)
    await tickets.confirm(hold)
    await tickets.extend({ ...hold, seconds: 60 })
    await tickets.grant(7, { userId: 'ada', raiseCapacity: true })
    await tickets.createEvent({ totalTickets: 5 }, { idempotencyKey: 'e' })
    await tickets.configure(7, { sales: 'paused' }, { ifMatch: '"3.x"' })
    await tickets.cancelEvent(7, { reason: 'Rain.' })
    await tickets.cancelEvent(7)
    expect(received).toMatchObject([
      { call: 'POST /cancel', body: hold },
      { call: 'POST /confirm', body: hold },
      { call: 'POST /extend', body: { ...hold, seconds: 60 } },
      { call: 'POST /events/7/grants', body: { userId: 'ada', raiseCapacity: true } },
      { call: 'POST /events', body: { totalTickets: 5 } },
      { call: 'PATCH /events/7', body: { sales: 'paused' } },
      { call: 'POST /events/7/cancel', body: { reason: 'Rain.' } },
      { call: 'POST /events/7/cancel', body: {} },
    ])
    expect(received[4]?.headers.get('idempotency-key')).toBe('e')
    expect(received[5]?.headers.get('if-match')).toBe('"3.x"')
  })

  it('has a decision whose members depend on its outcome', async () => {
    const { tickets } = clientOf([200, booked])
    const decision = await tickets.book({ eventId: 1001 })
    if (decision.outcome === 'held') expectTypeOf(decision.expiresAt).toEqualTypeOf<string>()
    if (decision.outcome === 'waiting') expectTypeOf(decision.position).toEqualTypeOf<number>()
    if (decision.outcome === 'booked') expectTypeOf(decision.position).toEqualTypeOf<undefined>()
    // @ts-expect-error: `eventId` is missing
    const incomplete = () => tickets.book({ userId: 'ada' })
    expect(incomplete).toBeTypeOf('function')
  })
})

describe('changes', () => {
  const page = (next: number, changes: object[] = []): Reply => [
    200,
    { changes, next, epoch: 'e1' },
  ]

  it('yields pages and waits for more, from where the page before ended', async () => {
    const { tickets, received } = clientOf(page(12, [{ no: 11 }, { no: 12 }]), page(12), page(14))
    const controller = new AbortController()
    const seen: number[] = []
    const types = ['booking.confirmed', 'booking.held'] as const
    const read = (async () => {
      const options = { after: 10, types, signal: controller.signal }
      for await (const { next } of tickets.changes(1001, options)) {
        seen.push(next)
        if (next === 14) break
      }
    })()
    await endOf(read)
    expect(seen).toEqual([12, 14])
    const query = 'limit=1000&type=booking.confirmed,booking.held'
    expect(received.map(({ call }) => decodeURIComponent(call))).toEqual([
      `GET /events/1001/changes?${query}&after=10`,
      `GET /events/1001/changes?${query}&after=12&epoch=e1`,
      `GET /events/1001/changes?${query}&after=12&epoch=e1`,
    ])
    expect(received[0]?.headers.get('prefer')).toBe('wait=30')
  })

  it('throws if the log cannot be continued there', async () => {
    const { tickets } = clientOf([410, { ...soldOut, status: 410, code: 'changes_pruned' }])
    const error = await endOf(tickets.changes(1001, { after: 1 }).next())
    expect(error).toMatchObject({ code: 'changes_pruned' })
  })
})

it('reads a list page by page', async () => {
  const { tickets, received } = clientOf(
    [200, { events: [1], next: 'b=' }],
    [200, { events: [2], next: null }],
  )
  const events: unknown[] = []
  for await (const page of pagesOf((position) =>
    dataOf(tickets.api.GET('/events', { params: { query: { limit: 1, ...position } } })),
  ))
    events.push(...page.events)
  expect(events).toEqual([1, 2])
  expect(received.map(({ call }) => call)).toEqual([
    'GET /events?limit=1',
    'GET /events?limit=1&after=b%3D',
  ])
})

it('throws the refusal of a call that was made with `api`', async () => {
  const { tickets } = clientOf([404, { ...soldOut, status: 404, code: 'event_not_found' }])
  const params = { path: { eventId: 9 } }
  const error = await endOf(dataOf(tickets.api.GET('/status/{eventId}', { params })))
  expect(error).toMatchObject({ code: 'event_not_found', status: 404 })
})
