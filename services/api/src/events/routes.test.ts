import type { EventFilter } from '@ticket-line/db'
import { describe, expect, it, vi } from 'vitest'
import {
  appUnderTest,
  call,
  eventOne,
  fakeEvents,
  listedEventOne,
} from '../testing/app-under-test.js'
import { eventsPageSchema, initializedSchema, standingSchema, statusSchema } from './schemas.js'

describe('POST /initialize', () => {
  const body = { eventId: 1, totalTickets: 10 }
  const as = 'olga organizer'

  it('creates an event', async () => {
    const answer = await call(appUnderTest(), 'POST /initialize', { as, body })
    expect(answer.status).toBe(201)
    expect(initializedSchema.parse(answer.json)).toEqual({
      message: 'Event initialized',
      event: { eventId: 1, totalTickets: 10, availableTickets: 5 },
    })
  })

  it('answers 200 with the current state if repeated, and 409 if the size differs', async () => {
    const app = appUnderTest({
      events: fakeEvents({ create: async () => ({ created: false, event: eventOne }) }),
    })
    expect(await call(app, 'POST /initialize', { as, body })).toMatchObject({
      status: 200,
      json: { event: { availableTickets: 5 } },
    })
    expect(
      await call(app, 'POST /initialize', { as, body: { ...body, totalTickets: 11 } }),
    ).toMatchObject({
      status: 409,
      json: { code: 'event_exists' },
    })
  })

  it('is only for staff', async () => {
    const app = appUnderTest()
    expect((await call(app, 'POST /initialize', { as: 'ada', body })).status).toBe(403)
    expect((await call(app, 'POST /initialize', { as: 'root admin', body })).status).toBe(201)
    expect((await call(app, 'POST /initialize', { body })).status).toBe(401)
  })

  it('names the caller, and makes them the owner if they manage events', async () => {
    const create = vi.fn(async () => ({ created: true, event: eventOne }))
    const app = appUnderTest({ initializeOpen: true, events: fakeEvents({ create }) })
    for (const caller of ['olga organizer', 'root admin', 'ada'])
      await call(app, 'POST /initialize', { as: caller, body })
    await call(app, 'POST /initialize', { body })
    expect(create.mock.calls).toEqual([
      [1, 10, 'olga', 'olga'],
      [1, 10, 'root', 'root'],
      [1, 10, null, 'ada'],
      [1, 10, null, null],
    ])
  })

  it('is for everybody with INITIALIZE_OPEN', async () => {
    const app = appUnderTest({ initializeOpen: true })
    expect((await call(app, 'POST /initialize', { body })).status).toBe(201)
    expect((await call(app, 'POST /initialize', { as: 'ada', body })).status).toBe(201)
    expect((await call(app, 'POST /initialize', { as, body })).status).toBe(201)
    expect((await call(app, 'POST /initialize', { body: { eventId: 1 } })).status).toBe(400)
  })

  it.each([0, 1_000_000])('accepts %i tickets', async (totalTickets) => {
    const event = { ...eventOne, totalTickets }
    const app = appUnderTest({
      events: fakeEvents({ create: async () => ({ created: true, event }) }),
    })
    expect(
      (await call(app, 'POST /initialize', { as, body: { eventId: 1, totalTickets } })).status,
    ).toBe(201)
  })

  it.each([-1, 1_000_001, 1.5, '5', null])('refuses %j tickets', async (totalTickets) => {
    const answer = await call(appUnderTest(), 'POST /initialize', {
      as,
      body: { eventId: 1, totalTickets },
    })
    expect(answer).toMatchObject({ status: 400, json: { errors: [{ pointer: '/totalTickets' }] } })
  })
})

describe('GET /status/:eventId', () => {
  const app = appUnderTest()

  it('returns the counts to everybody', async () => {
    const answer = await call(app, 'GET /status/1')
    expect(statusSchema.parse(answer.json)).toEqual({
      eventId: 1,
      availableTickets: 5,
      waitingListCount: 0,
    })
  })

  it('answers 304 if the client has the current counts', async () => {
    const headers = { 'if-none-match': 'W/"5-0"' }
    const answer = await call(app, 'GET /status/1', { headers })
    expect(answer).toMatchObject({ status: 304, text: '' })
    expect(answer.headers.get('etag')).toBe('"5-0"')
    expect(
      (await call(app, 'GET /status/1', { headers: { 'if-none-match': '"6-0"' } })).status,
    ).toBe(200)
  })

  it.each(Object.keys(statusSchema.shape).filter((member) => member !== 'eventId'))(
    'has another ETag if %s changes',
    async (member) => {
      const changed = { ...eventOne, [member]: 9 }
      const other = appUnderTest({ events: fakeEvents({ status: async () => changed }) })
      const etags = await Promise.all(
        [app, other].map(async (one) => (await call(one, 'GET /status/1')).headers.get('etag')),
      )
      expect(etags[1]).not.toBe(etags[0])
    },
  )

  it('answers 404 for an unknown event', async () => {
    expect(await call(app, 'GET /status/2')).toMatchObject({
      status: 404,
      json: { code: 'event_not_found' },
    })
  })

  it.each(['0', '-1', '1.5', 'abc', '01', '1e3', '9007199254740992', '%31x', '１'])(
    'refuses %s',
    async (id) => {
      expect(await call(app, `GET /status/${id}`)).toMatchObject({
        status: 400,
        json: { code: 'invalid_request', errors: [{ pointer: '/eventId' }] },
      })
    },
  )
})

describe('GET /events', () => {
  it('returns all events page by page', async () => {
    const all = [1, 2, 3, 4, 5].map((eventId) => ({
      ...listedEventOne,
      eventId,
      place: { startsAtUs: null, eventId },
    }))
    const page = vi.fn(async ({ after, limit }: EventFilter) =>
      all.filter((event) => event.eventId > (after?.eventId ?? 0)).slice(0, limit),
    )
    const app = appUnderTest({ events: fakeEvents({ page }) })
    const seen: number[] = []
    let next: string | null = ''
    while (next !== null) {
      const { json } = await call(app, `GET /events?limit=2${next && `&after=${next}`}`)
      const body = eventsPageSchema.parse(json)
      seen.push(...body.events.map((event) => event.eventId))
      next = body.next
    }
    expect(seen).toEqual([1, 2, 3, 4, 5])
  })

  it('shows the documented members of an event and no others', async () => {
    const page = async () => [{ ...listedEventOne, secret: 1 }]
    const { json } = await call(appUnderTest({ events: fakeEvents({ page }) }), 'GET /events')
    expect(eventsPageSchema.parse(json).events).toEqual([
      { ...eventOne, name: null, startsAt: null, state: 'open' },
    ])
  })

  it('returns 50 events by default, and refuses invalid limits and cursors', async () => {
    const page = vi.fn(async () => [])
    const app = appUnderTest({ events: fakeEvents({ page }) })
    await call(app, 'GET /events')
    expect(page).toHaveBeenCalledWith(expect.objectContaining({ after: undefined, limit: 51 }))
    for (const query of [
      'limit=0',
      'limit=1001',
      'limit=x',
      'limit=1.5',
      'limit=',
      'after=x',
      'after=',
    ]) {
      expect((await call(app, `GET /events?${query}`)).status).toBe(400)
    }
  })
})

describe('GET /events/:eventId/me', () => {
  it.each([
    { standing: 'booked', bookingId: '1-3' } as const,
    { standing: 'held', bookingId: '1-4', expiresAt: new Date(0), offered: true } as const,
    { standing: 'held', bookingId: '1-4', expiresAt: new Date(0), offered: false } as const,
    { standing: 'waiting', position: 7 } as const,
    { standing: 'none' } as const,
  ])('returns the standing $standing', async (found) => {
    const app = appUnderTest({ events: fakeEvents({ claim: async () => found }) })
    const { json } = await call(app, 'GET /events/1/me', { as: 'ada' })
    expect(standingSchema.parse(json)).toEqual({
      eventId: 1,
      userId: 'ada',
      position: null,
      bookingId: null,
      offered: false,
      ...found,
      expiresAt: found.standing === 'held' ? '1970-01-01T00:00:00.000Z' : null,
    })
  })

  it('requires a token and an existing event', async () => {
    const app = appUnderTest({ events: fakeEvents({ claim: async () => undefined }) })
    expect((await call(app, 'GET /events/1/me', { as: 'ada' })).json.code).toBe('event_not_found')
    expect((await call(app, 'GET /events/1/me')).status).toBe(401)
  })
})
