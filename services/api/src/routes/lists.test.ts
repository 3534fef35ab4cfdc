import { describe, expect, it, vi } from 'vitest'
import { bookingsPageSchema, waitingPageSchema } from '../http/response-schemas.js'
import { appUnderTest, call, fakeEvents } from '../testing/app-under-test.js'

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
  bookings: async (_id, after, limit) => bookings.filter((row) => row.sequence > after).slice(0, limit),
  waitingList: async (_id, after, limit) => waiting.filter((row) => row.sequence > after).slice(0, limit),
  exportBookings: () => portions(bookings),
  exportWaitingList: () => portions(waiting),
})
const app = appUnderTest({ events })
const as = 'olga organizer'

describe('GET /events/:eventId/bookings', () => {
  it('walks through all of them by next', async () => {
    const first = bookingsPageSchema.parse((await call(app, 'GET /events/1/bookings?limit=2', { as })).json)
    expect(first.bookings).toEqual([
      { bookingId: '1-1', userId: 'user-1', bookedAt: at.toISOString(), promoted: false },
      { bookingId: '1-2', userId: 'user-2', bookedAt: at.toISOString(), promoted: false },
    ])
    const path = `GET /events/1/bookings?limit=2&after=${first.next}`
    const second = bookingsPageSchema.parse((await call(app, path, { as })).json)
    expect(second).toMatchObject({ bookings: [{ bookingId: '1-5', promoted: true }], next: null })
  })

  it('streams all of it as CSV', async () => {
    const answer = await call(app, 'GET /events/1/bookings', { as, headers: { accept: 'text/csv' } })
    expect(answer.headers.get('content-type')).toMatch(/^text\/csv/)
    expect(answer.headers.get('vary')).toBe('Accept')
    expect(answer.text.split('\r\n')).toEqual([
      'bookingId,userId,bookedAt,promoted',
      '1-1,user-1,1970-01-01T00:00:00.000Z,false',
      '1-2,user-2,1970-01-01T00:00:00.000Z,false',
      '1-5,user-5,1970-01-01T00:00:00.000Z,true',
      '',
    ])
  })

  it('opens nothing for HEAD', async () => {
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
    const answer = await call(watched, 'HEAD /events/1/bookings', { as, headers: { accept: 'text/csv' } })
    expect(answer).toMatchObject({ status: 200, text: '' })
    expect(started).not.toHaveBeenCalled()
  })

  it('is for staff, of events that exist', async () => {
    expect((await call(app, 'GET /events/1/bookings', { as: 'ada' })).status).toBe(403)
    expect((await call(app, 'GET /events/2/bookings', { as })).json.code).toBe('event_not_found')
  })
})

describe('GET /events/:eventId/waiting-list', () => {
  it('shows positions', async () => {
    const page = waitingPageSchema.parse((await call(app, 'GET /events/1/waiting-list', { as })).json)
    expect(page.waiting.map((entry) => entry.position)).toEqual([1, 2])
  })

  it('writes no formula into a spreadsheet', async () => {
    const answer = await call(app, 'GET /events/1/waiting-list', { as, headers: { accept: 'text/csv' } })
    expect(answer.text.split('\r\n').slice(0, 2)).toEqual([
      'userId,position,since',
      `"'=w7",1,1970-01-01T00:00:00.000Z`,
    ])
  })
})
