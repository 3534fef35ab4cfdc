import type { UserBooking, UserBookingFilter } from '@ticket-line/db'
import { describe, expect, it, vi } from 'vitest'
import { encodeCursor } from '../http/paging.js'
import { appUnderTest, call, fakeEvents } from '../testing/app-under-test.js'
import { myBookingsSchema } from './my-bookings.js'

const held: UserBooking = {
  eventId: 7,
  name: 'Concert',
  startsAtMs: 1000,
  standing: 'held',
  bookingId: '7-3',
  position: null,
  expiresAtMs: 5000,
  offered: true,
  sinceMs: 2000,
  ended: null,
  place: { sinceUs: '2000001', eventId: 7, sequence: 3 },
}

function appThatLists(rows: UserBooking[] = []) {
  const userBookings = vi.fn(async (_userId: string, _filter: UserBookingFilter) => rows)
  return { app: appUnderTest({ events: fakeEvents({ userBookings }) }), userBookings }
}

const ALL = ['booked', 'held', 'waiting', 'ended']

describe('GET /me/bookings', () => {
  it('shows the documented members', async () => {
    const { app } = appThatLists([held])
    const { json } = await call(app, 'GET /me/bookings', { as: 'ada' })
    expect(myBookingsSchema.parse(json)).toEqual({
      bookings: [
        {
          eventId: 7,
          name: 'Concert',
          startsAt: '1970-01-01T00:00:01.000Z',
          standing: 'held',
          bookingId: '7-3',
          position: null,
          expiresAt: '1970-01-01T00:00:05.000Z',
          offered: true,
          since: '1970-01-01T00:00:02.000Z',
          ended: null,
        },
      ],
      next: null,
    })
  })

  it.each([
    ['', { standings: ALL, limit: 51 }],
    ['standing=ended&limit=100', { standings: ['ended'], limit: 101 }],
    ['standing=waiting,booked', { standings: ['booked', 'waiting'], limit: 51 }],
  ])('reads the query "%s"', async (query, expected) => {
    const { app, userBookings } = appThatLists()
    await call(app, `GET /me/bookings?${query}`, { as: 'ada' })
    expect(userBookings).toHaveBeenCalledWith('ada', { after: undefined, ...expected })
  })

  it.each([
    ['standing=none', '/standing'],
    ['standing=', '/standing'],
    ['limit=101', '/limit'],
    ['limit=0', '/limit'],
    ['after=x', '/after'],
    [`after=${encodeCursor('my bookings', '1.1')}`, '/after'],
    [`after=${encodeCursor('my bookings', '1.0.1')}`, '/after'],
    [`after=${encodeCursor('bookings', '1.1.1')}`, '/after'],
    ['userId=bob', '/userId'],
  ])('refuses the query "%s"', async (query, pointer) => {
    const { app } = appThatLists()
    const answer = await call(app, `GET /me/bookings?${query}`, { as: 'ada' })
    expect(answer).toMatchObject({ status: 400, json: { errors: [{ pointer }] } })
  })

  it('continues after the last booking of a page', async () => {
    const { app, userBookings } = appThatLists([held, { ...held, eventId: 8 }])
    const { json } = await call(app, 'GET /me/bookings?limit=1', { as: 'ada' })
    expect(json.bookings).toHaveLength(1)
    await call(app, `GET /me/bookings?limit=1&after=${json.next}`, { as: 'ada' })
    expect(userBookings).toHaveBeenLastCalledWith('ada', {
      standings: ALL,
      limit: 2,
      after: held.place,
    })
  })

  it('requires a token', async () => {
    const { app } = appThatLists()
    expect((await call(app, 'GET /me/bookings')).status).toBe(401)
  })
})
