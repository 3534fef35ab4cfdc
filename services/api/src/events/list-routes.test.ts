import { AppError } from '@ticket-line/shared'
import { describe, expect, it, vi } from 'vitest'
import { appUnderTest, call, fakeEvents } from '../testing/app-under-test.js'
import { bookingsPageSchema, holdsPageSchema, waitingPageSchema } from './schemas.js'

const at = new Date(0)
const bookings = [1, 2, 5].map((sequence) => ({
  sequence,
  bookingId: `1-${sequence}`,
  userId: `user-${sequence}`,
  bookedAt: at,
  promoted: sequence === 5,
}))
const waiting = [7, 9].map((sequence, index) => ({
  sequence,
  userId: `=w${sequence}`,
  position: index + 1,
  since: at,
}))

async function* portions<Row>(rows: Row[]): AsyncGenerator<Row[]> {
  for (const row of rows) yield [row]
}

const events = fakeEvents({
  bookings: async (_id, after, limit) =>
    bookings.filter((row) => row.sequence > after).slice(0, limit),
  waitingList: async (_id, after, limit) =>
    waiting.filter((row) => row.sequence > after).slice(0, limit),
  booking: async (_id, userId) => bookings.find((row) => row.userId === userId),
  waitingEntry: async (_id, userId) => waiting.find((row) => row.userId === userId),
  exportBookings: () => portions(bookings),
  exportWaitingList: () => portions(waiting),
})
const app = appUnderTest({ events })
const as = 'olga organizer'

describe('GET /events/:eventId/bookings', () => {
  it('returns all rows page by page', async () => {
    const first = bookingsPageSchema.parse(
      (await call(app, 'GET /events/1/bookings?limit=2', { as })).json,
    )
    expect(first.bookings).toEqual([
      { bookingId: '1-1', userId: 'user-1', bookedAt: at.toISOString(), promoted: false },
      { bookingId: '1-2', userId: 'user-2', bookedAt: at.toISOString(), promoted: false },
    ])
    const path = `GET /events/1/bookings?limit=2&after=${first.next}`
    const second = bookingsPageSchema.parse((await call(app, path, { as })).json)
    expect(second).toMatchObject({ bookings: [{ bookingId: '1-5', promoted: true }], next: null })
  })

  it('streams all rows as CSV', async () => {
    const answer = await call(app, 'GET /events/1/bookings', {
      as,
      headers: { accept: 'text/csv' },
    })
    expect(answer.headers.get('content-type')).toMatch(/^text\/csv/)
    expect(answer.headers.get('vary')).toBe('Accept')
    expect(answer.text.split('\r\n')).toEqual([
      'bookingId,userId,bookedAt,promoted',
      `"'1-1",user-1,1970-01-01T00:00:00.000Z,false`,
      `"'1-2",user-2,1970-01-01T00:00:00.000Z,false`,
      `"'1-5",user-5,1970-01-01T00:00:00.000Z,true`,
      '',
    ])
  })

  it('allows one download per user and limits all downloads', async () => {
    const { promise: going, resolve: go } = Promise.withResolvers<void>()
    async function* slow() {
      yield [bookings[0] as (typeof bookings)[number]]
      await going
    }
    const busy = appUnderTest({ events: fakeEvents({ exportBookings: slow }) })
    const ask = (who: string, list: string) =>
      busy.request(list, {
        headers: { accept: 'text/csv', authorization: `Test ${who} organizer` },
      })
    const first = await ask('olga', '/events/1/bookings')
    expect(first.status).toBe(200)

    const second = await ask('olga', '/events/1/waiting-list')
    expect(second.status).toBe(429)
    expect(second.headers.get('content-type')).toBe('application/json')
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(second.headers.get('ratelimit')).not.toBeNull()
    expect(await second.text()).toBe(
      '{"message":"Too many requests from this IP, please try again later."}',
    )

    const other = await ask('oleg', '/events/1/bookings')
    expect(other.status).toBe(200)
    const third = await ask('otto', '/events/1/bookings')
    expect(third.status).toBe(503)
    expect(await third.json()).toMatchObject({ code: 'busy' })
    expect(third.headers.get('retry-after')).toBe('5')

    go()
    await Promise.all([first.text(), other.text()])
    expect((await ask('olga', '/events/1/bookings')).status).toBe(200)
    expect((await ask('otto', '/events/1/bookings')).status).toBe(200)
  })

  it('does not count a download that could not start', async () => {
    // biome-ignore lint/correctness/useYield: it fails before the first row
    async function* failing(): AsyncGenerator<never[]> {
      throw new AppError('unavailable', 'PostgreSQL cannot be reached')
    }
    const unavailable = appUnderTest({ events: fakeEvents({ exportBookings: failing }) })
    const headers = { accept: 'text/csv' }
    for (let n = 0; n < 4; n++) {
      expect((await call(unavailable, 'GET /events/1/bookings', { as, headers })).json.code).toBe(
        'unavailable',
      )
    }
  })

  it('starts no download for HEAD', async () => {
    const exportBookings = vi.fn(() => portions(bookings))
    const started = vi.fn()
    const watched = appUnderTest({
      events: fakeEvents({
        exportBookings: async function* () {
          started()
          yield* exportBookings()
        },
      }),
    })
    const answer = await call(watched, 'HEAD /events/1/bookings', {
      as,
      headers: { accept: 'text/csv' },
    })
    expect(answer).toMatchObject({ status: 200, text: '' })
    expect(started).not.toHaveBeenCalled()
  })

  it('returns only the booking of `userId`', async () => {
    const ask = async (query: string) =>
      (await call(app, `GET /events/1/bookings?userId=user-5${query}`, { as })).json
    const { next: cursor } = (await call(app, 'GET /events/1/bookings?limit=1', { as })).json
    const { next: later } = (await call(app, 'GET /events/1/bookings?limit=2', { as })).json
    const found = {
      bookings: [
        { bookingId: '1-5', userId: 'user-5', bookedAt: at.toISOString(), promoted: true },
      ],
      next: null,
    }
    expect(await ask('')).toEqual(found)
    expect(await ask('&limit=1')).toEqual(found)
    expect(await ask(`&after=${later}`)).toEqual(found)
    const early = await call(app, `GET /events/1/bookings?userId=user-1&after=${cursor}`, { as })
    expect(early.json).toEqual({ bookings: [], next: null })
    const nobody = await call(app, 'GET /events/1/bookings?userId=nobody', { as })
    expect([nobody.status, nobody.json]).toEqual([200, { bookings: [], next: null }])
    const elsewhere = await call(app, 'GET /events/2/bookings?userId=user-1', { as })
    expect(elsewhere.json.code).toBe('event_not_found')
  })

  it.each(['', '%00', 'a%0Ab', 'x'.repeat(129), encodeURIComponent('😀'.repeat(129))])(
    'refuses the `userId` %j and points at it',
    async (userId) => {
      for (const accept of ['application/json', 'text/csv']) {
        for (const list of ['bookings', 'waiting-list']) {
          const path = `GET /events/1/${list}?userId=${userId}`
          const refused = await call(app, path, { as, headers: { accept } })
          expect(refused).toMatchObject({
            status: 400,
            json: { code: 'invalid_request', errors: [{ pointer: '/userId' }] },
          })
        }
      }
    },
  )

  it('accepts a `userId` of 128 code points outside the basic plane', async () => {
    const path = `GET /events/1/bookings?userId=${encodeURIComponent('😀'.repeat(128))}`
    expect((await call(app, path, { as })).json).toEqual({ bookings: [], next: null })
  })

  it('is only for staff, and only for existing events', async () => {
    expect((await call(app, 'GET /events/1/bookings', { as: 'ada' })).status).toBe(403)
    expect((await call(app, 'GET /events/2/bookings', { as })).json.code).toBe('event_not_found')
  })
})

describe('GET /events/:eventId/bookings?standing=held', () => {
  const holds = [3, 4].map((sequence) => ({
    sequence,
    bookingId: `1-${sequence}`,
    userId: `user-${sequence}`,
    heldAt: at,
    expiresAt: new Date(5000),
    offered: sequence === 4,
  }))
  const holding = appUnderTest({
    events: fakeEvents({
      holds: async (_id, after, limit) =>
        holds.filter((row) => row.sequence > after).slice(0, limit),
      hold: async (_id, userId) => holds.find((row) => row.userId === userId),
      exportHolds: () => portions(holds),
    }),
  })
  const path = 'GET /events/1/bookings?standing=held'
  const shown = (sequence: number, offered: boolean) => ({
    bookingId: `1-${sequence}`,
    userId: `user-${sequence}`,
    heldAt: at.toISOString(),
    expiresAt: '1970-01-01T00:00:05.000Z',
    offered,
  })

  it('returns holds page by page, or that of one user', async () => {
    const first = holdsPageSchema.parse((await call(holding, `${path}&limit=1`, { as })).json)
    expect(first.bookings).toEqual([shown(3, false)])
    const second = await call(holding, `${path}&limit=1&after=${first.next}`, { as })
    expect(second.json).toEqual({ bookings: [shown(4, true)], next: null })
    const one = await call(holding, `${path}&userId=user-4`, { as })
    expect(one.json).toEqual({ bookings: [shown(4, true)], next: null })
  })

  it('streams them as CSV', async () => {
    const answer = await call(holding, path, { as, headers: { accept: 'text/csv' } })
    expect(answer.headers.get('content-disposition')).toContain('event-1-holds.csv')
    expect(answer.text.split('\r\n')).toEqual([
      'bookingId,userId,heldAt,expiresAt,offered',
      `"'1-3",user-3,1970-01-01T00:00:00.000Z,1970-01-01T00:00:05.000Z,false`,
      `"'1-4",user-4,1970-01-01T00:00:00.000Z,1970-01-01T00:00:05.000Z,true`,
      '',
    ])
  })

  it('refuses another standing', async () => {
    expect(await call(holding, 'GET /events/1/bookings?standing=waiting', { as })).toMatchObject({
      status: 400,
      json: { errors: [{ pointer: '/standing' }] },
    })
    const booked = await call(holding, 'GET /events/1/bookings?standing=booked', { as })
    expect(booked.json).toEqual({ bookings: [], next: null })
  })
})

describe('GET /events/:eventId/waiting-list', () => {
  it('returns the entries with their positions', async () => {
    const page = waitingPageSchema.parse(
      (await call(app, 'GET /events/1/waiting-list', { as })).json,
    )
    expect(page.waiting.map((entry) => entry.position)).toEqual([1, 2])
  })

  it('returns only the entry of `userId`, as JSON and as CSV', async () => {
    const path = 'GET /events/1/waiting-list?userId=%3Dw9'
    expect((await call(app, path, { as })).json).toEqual({
      waiting: [{ userId: '=w9', position: 2, since: at.toISOString() }],
      next: null,
    })
    const headers = { accept: 'text/csv' }
    expect((await call(app, path, { as, headers })).text.split('\r\n')).toEqual([
      'userId,position,since',
      `"'=w9",2,1970-01-01T00:00:00.000Z`,
      '',
    ])
    const nobody = await call(app, 'GET /events/1/waiting-list?userId=w9', { as, headers })
    expect([nobody.status, nobody.text]).toEqual([200, 'userId,position,since\r\n'])
    // Each download has ended.
    expect((await call(app, path, { as, headers })).status).toBe(200)
  })

  it('escapes formulas in CSV', async () => {
    const answer = await call(app, 'GET /events/1/waiting-list', {
      as,
      headers: { accept: 'text/csv' },
    })
    expect(answer.text.split('\r\n').slice(0, 2)).toEqual([
      'userId,position,since',
      `"'=w7",1,1970-01-01T00:00:00.000Z`,
    ])
  })
})
