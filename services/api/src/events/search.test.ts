import type { EventFilter, ListedEvent } from '@ticket-line/db'
import { describe, expect, it, vi } from 'vitest'
import { encodeCursor } from '../http/paging.js'
import { appUnderTest, call, fakeEvents, listedEventOne } from '../testing/app-under-test.js'

function appThatLists(rows: ListedEvent[] = []) {
  const page = vi.fn(async (_: EventFilter) => rows)
  const app = appUnderTest({ events: fakeEvents({ page }) })
  return { app, page }
}

const DEFAULTS: EventFilter = {
  states: undefined,
  namePrefix: '',
  startsAfterMs: undefined,
  staff: undefined,
  order: 'eventId',
  after: undefined,
  limit: 51,
}

describe('GET /events', () => {
  it.each([
    ['', {}],
    ['state=paused', { states: ['paused'] }],
    ['state=open,scheduled', { states: ['scheduled', 'open'] }],
    ['q=Con', { namePrefix: 'Con' }],
    ['q=', {}],
    ['startsAfter=2030-01-01T00:00:00Z', { startsAfterMs: Date.UTC(2030, 0) }],
    ['startsAfter=2030-01-01T02:00:00%2B02:00', { startsAfterMs: Date.UTC(2030, 0) }],
    ['startsAfter=2030-01-01T02:00:00+02:00', { startsAfterMs: Date.UTC(2030, 0) }],
    ['mine=false', {}],
    ['order=-startsAt&limit=3', { order: '-startsAt', limit: 4 }],
  ])('reads the query "%s"', async (query, expected) => {
    const { app, page } = appThatLists()
    expect((await call(app, `GET /events?${query}`)).status).toBe(200)
    expect(page).toHaveBeenCalledWith({ ...DEFAULTS, ...expected })
  })

  it.each([
    ['state=sold', '/state'],
    ['state=', '/state'],
    ['state=open,open', '/state'],
    ['q=%00', '/q'],
    [`q=${'x'.repeat(201)}`, '/q'],
    ['startsAfter=2030-01-01', '/startsAfter'],
    ['mine=yes', '/mine'],
    ['order=name', '/order'],
    ['limit=1001', '/limit'],
    ['after=x', '/after'],
    ['color=red', '/color'],
    [`after=${encodeCursor('events by startsAt', '5.1')}`, '/after'],
    [`order=startsAt&after=${encodeCursor('events', 1)}`, '/after'],
    [`order=startsAt&after=${encodeCursor('events by -startsAt', '5.1')}`, '/after'],
    [`order=startsAt&after=${encodeCursor('events by startsAt', '1')}`, '/after'],
    [`order=startsAt&after=${encodeCursor('events by startsAt', '5.0')}`, '/after'],
    [
      `order=startsAt&after=${encodeCursor('events by startsAt', '-99999999999999999.1')}`,
      '/after',
    ],
    [
      `order=startsAt&after=${encodeCursor('events by startsAt', '999999999999999999.1')}`,
      '/after',
    ],
  ])('refuses the query "%s"', async (query, pointer) => {
    const { app, page } = appThatLists()
    const answer = await call(app, `GET /events?${query}`)
    expect(answer).toMatchObject({ status: 400, json: { errors: [{ pointer }] } })
    expect(page).not.toHaveBeenCalled()
  })

  it.each([
    { order: 'startsAt', startsAtUs: '1893456000000001' },
    { order: 'startsAt', startsAtUs: null },
    { order: '-startsAt', startsAtUs: '-5' },
    { order: 'eventId', startsAtUs: null },
  ] as const)('continues after the last event of a page: %j', async ({ order, startsAtUs }) => {
    const eventId = Number.MAX_SAFE_INTEGER
    const place = { startsAtUs, eventId }
    const { app, page } = appThatLists([
      { ...listedEventOne, eventId, place },
      { ...listedEventOne, eventId: 2 },
    ])
    const { json } = await call(app, `GET /events?limit=1&order=${order}`)
    expect(json.events).toHaveLength(1)
    await call(app, `GET /events?limit=1&order=${order}&after=${json.next}`)
    expect(page).toHaveBeenLastCalledWith({ ...DEFAULTS, order, limit: 2, after: place })
  })

  it('lists the events of organizers and admins with `mine`', async () => {
    const { app, page } = appThatLists()
    for (const staff of [
      { userId: 'olga', role: 'organizer' },
      { userId: 'root', role: 'admin' },
    ]) {
      const as = `${staff.userId} ${staff.role}`
      expect((await call(app, 'GET /events?mine=true', { as })).status).toBe(200)
      expect(page).toHaveBeenLastCalledWith({ ...DEFAULTS, staff })
    }
    await call(app, 'GET /events', { as: 'olga organizer' })
    expect(page).toHaveBeenLastCalledWith(DEFAULTS)
  })

  it('lists with `mine` the events that a key may act on, and needs events:read', async () => {
    const { app, page } = appThatLists()
    const as = (text: string) => ({ as: `olga organizer ${text}` })
    await call(app, 'GET /events?mine=true', as('events:read@7,8'))
    const staff = { userId: 'olga', role: 'organizer' as const, eventIds: [7, 8] }
    expect(page).toHaveBeenLastCalledWith({ ...DEFAULTS, staff })
    const refused = await call(app, 'GET /events?mine=true', as('bookings:read'))
    expect(refused).toMatchObject({ status: 403, json: { code: 'insufficient_scope' } })
    expect((await call(app, 'GET /events', as('bookings:read'))).status).toBe(200)
  })

  it('lists no events with `mine` for users, and requires a token', async () => {
    const { app, page } = appThatLists([listedEventOne])
    expect((await call(app, 'GET /events?mine=true', { as: 'ada' })).json).toEqual({
      events: [],
      next: null,
    })
    const nobody = await call(app, 'GET /events?mine=true')
    expect(nobody).toMatchObject({ status: 401, json: { code: 'unauthorized' } })
    expect(nobody.headers.get('www-authenticate')).toBe('Bearer')
    expect(page).not.toHaveBeenCalled()
  })
})
