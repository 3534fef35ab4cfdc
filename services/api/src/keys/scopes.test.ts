import type { CommandView } from '@ticket-line/line/client'
import { type CommandRequest, callerOfKey } from '@ticket-line/shared'
import { describe, expect, it, vi } from 'vitest'
import type { EventReads } from '../events/reads.js'
import {
  appUnderTest,
  booked,
  call,
  eventOneView,
  fakeEvents,
  fakeLine,
  guards,
  KEY_ID,
} from '../testing/app-under-test.js'

const CALLER = callerOfKey(KEY_ID)
const key = (text: string) => ({ as: `olga organizer ${text}` })
const refused = { status: 403, json: { code: 'insufficient_scope' } }

/** The app, and what it has sent to the line. */
function given(find?: (jobId: string) => Partial<CommandView>) {
  const sent: CommandRequest[] = []
  const line = fakeLine(booked)
  line.submit = async (request) => {
    sent.push(request)
    return booked
  }
  line.find = async (jobId, _waitMs, mayRead) => {
    const view = { commandId: jobId, ...find?.(jobId) } as CommandView
    return (await mayRead(view)) ? view : undefined
  }
  return { app: appUnderTest({ line }), sent }
}

describe('a key with bookings:write', () => {
  it('books for the user in the body, and is the caller of the command', async () => {
    const { app, sent } = given()
    const body = { eventId: 1, userId: 'ada' }
    const answer = await call(app, 'POST /book', { ...key('bookings:write'), body })
    expect(answer).toMatchObject({ status: 200, json: { message: 'Ticket booked' } })
    expect(sent).toEqual([{ type: 'book', ...body, caller: CALLER }])
  })

  it.each(['/book', '/cancel', '/confirm', '/extend'])('must name a user in %s', async (path) => {
    const { app, sent } = given()
    const answer = await call(app, `POST ${path}`, {
      ...key('bookings:write'),
      body: { eventId: 1 },
    })
    expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_request' } })
    expect(answer.json.errors).toEqual([{ pointer: '/userId', detail: 'is required' }])
    expect(sent).toEqual([])
  })

  it('can do no more than its person, even if they are no longer an organizer', async () => {
    const { app, sent } = given()
    const asUser = { as: 'olga user bookings:write' }
    const book = (userId: string) =>
      call(app, 'POST /book', { ...asUser, body: { eventId: 1, userId } })
    expect(await book('ada')).toMatchObject({ status: 403, json: { code: 'forbidden' } })
    expect((await book('olga')).status).toBe(200)
    expect(sent).toMatchObject([{ userId: 'olga', caller: CALLER }])
  })

  it('may act on its events only', async () => {
    const { app, sent } = given()
    for (const path of ['/book', '/cancel', '/confirm', '/extend'])
      expect(
        await call(app, `POST ${path}`, {
          ...key('bookings:write@2,3'),
          body: { eventId: 1, userId: 'ada' },
        }),
      ).toMatchObject(refused)
    expect(
      await call(app, 'POST /events/1/grants', {
        ...key('bookings:write@2'),
        body: { userId: 'ada' },
      }),
    ).toMatchObject(refused)
    expect(sent).toEqual([])
  })
})

describe('a key', () => {
  const all = 'events:read,events:write,bookings:read,bookings:write,changes:read,webhooks:write'
  const without = (scope: string) =>
    key(
      all
        .split(',')
        .filter((one) => one !== scope)
        .join(),
    )

  it.each([
    ['bookings:write', 'POST /book', { eventId: 1 }],
    ['bookings:write', 'POST /cancel', { eventId: 1 }],
    ['bookings:write', 'POST /confirm', { eventId: 1 }],
    ['bookings:write', 'POST /extend', { eventId: 1 }],
    ['bookings:write', 'POST /events/1/grants', { userId: 'ada' }],
    ['events:write', 'PATCH /events/1', { name: 'Gala' }],
    ['events:write', 'POST /events/1/cancel', {}],
    ['events:write', 'POST /events', { totalTickets: 5 }],
    ['events:write', 'POST /initialize', { eventId: 1, totalTickets: 5 }],
    ['bookings:read', 'GET /events/1/bookings', undefined],
    ['bookings:read', 'GET /events/1/waiting-list', undefined],
    ['changes:read', 'GET /events/1/changes', undefined],
    ['webhooks:write', 'GET /webhooks', undefined],
    ['webhooks:write', 'POST /webhooks', { url: 'https://crm.example.com/hook' }],
  ])('without the scope %s may not call %s', async (scope, methodAndPath, body) => {
    const answer = await call(given().app, methodAndPath, { ...without(scope), body })
    expect(answer).toMatchObject({ status: 403, json: { code: 'insufficient_scope' } })
    expect(answer.headers.get('www-authenticate')).toBe(
      `Bearer error="insufficient_scope", scope="${scope}"`,
    )
  })

  it.each([
    'GET /events/1/me',
    'GET /events/1/me/stream',
    'GET /me/bookings',
    'DELETE /events/1',
    'GET /api-keys',
  ])('with all scopes may not call %s', async (methodAndPath) => {
    const answer = await call(given().app, methodAndPath, key(all))
    expect(answer).toMatchObject({ status: 403, json: { code: 'insufficient_scope' } })
  })

  it.each(['GET /status/1', 'GET /events', 'GET /events/1', 'GET /'])(
    'with any scope may call %s, also for other events than its own',
    async (methodAndPath) => {
      expect((await call(given().app, methodAndPath, key('changes:read@2'))).status).toBe(200)
    },
  )

  it('without the scope is refused after 400 and before 404', async () => {
    const { app } = given()
    expect(
      (await call(app, 'POST /book', { ...key('events:read'), body: { eventId: 0 } })).status,
    ).toBe(400)
    for (const path of ['/book', '/cancel', '/confirm', '/extend']) {
      const request = { ...key('events:read'), body: { eventId: 9, userId: 'ada' } }
      const headers = { 'idempotency-key': '"' }
      expect((await call(app, `POST ${path}`, { ...request, headers })).status).toBe(400)
      expect((await call(app, `POST ${path}`, request)).status).toBe(403)
    }
  })
})

describe('creating events with a key', () => {
  it('makes its person the owner and the key the actor', async () => {
    const create = vi.fn<EventReads['create']>(async (eventId, totalTickets) => ({
      created: true,
      event: { eventId, totalTickets, availableTickets: totalTickets, waitingListCount: 0 },
    }))
    const createConfigured = vi.fn<EventReads['createConfigured']>(async () => ({
      kind: 'created',
      replayed: false,
      event: eventOneView,
      nowMs: 0,
    }))
    const app = appUnderTest({ events: fakeEvents({ create, createConfigured }) })
    const body = { eventId: 7, totalTickets: 5 }
    expect((await call(app, 'POST /initialize', { ...key('events:write'), body })).status).toBe(201)
    expect(create).toHaveBeenCalledWith(7, 5, 'olga', CALLER)
    expect((await call(app, 'POST /events', { ...key('events:write'), body })).status).toBe(201)
    expect(createConfigured.mock.calls[0]?.[0]).toMatchObject({ owner: 'olga', caller: CALLER })
  })

  it('is refused if the key has `eventIds`, even with one of these ids', async () => {
    const { app } = given()
    const body = { eventId: 7, totalTickets: 5 }
    for (const path of ['/initialize', '/events'])
      expect(await call(app, `POST ${path}`, { ...key('events:write@7'), body })).toMatchObject({
        status: 403,
        json: { code: 'insufficient_scope' },
      })
  })

  it('makes nobody the owner with INITIALIZE_OPEN, if the key may not create events', async () => {
    const create = vi.fn(fakeEvents().create)
    const app = appUnderTest({ events: fakeEvents({ create }), initializeOpen: true })
    const body = { eventId: 7, totalTickets: 10 }
    for (const text of ['events:read', 'events:write@7', 'events:write'])
      await call(app, 'POST /initialize', { ...key(text), body })
    expect(create.mock.calls.map(([, , owner]) => owner)).toEqual([null, null, 'olga'])
  })
})

describe('GET /events/:eventId with a key', () => {
  it('shows the owner with events:read only', async () => {
    const { app } = given()
    expect((await call(app, 'GET /events/1', key('events:read'))).json.owner).toBe('olga')
    expect((await call(app, 'GET /events/1', key('events:write'))).json).not.toHaveProperty('owner')
  })
})

describe('GET /jobs/:jobId with a key', () => {
  const JOB = 'event-1.000000000aaaaaaaaaaaa.1.0'
  const view = {
    type: 'book',
    eventId: 1,
    userId: 'ada',
    state: 'queued',
    ahead: 0,
    acceptedAtMs: 0,
  }
  const poll = (as: object, change: Partial<CommandView>) =>
    call(
      given(() => ({ ...view, etaSeconds: 0, ...change }) as CommandView).app,
      `GET /jobs/${JOB}`,
      as,
    )

  it.each([
    ['sent the job', 'bookings:write', { caller: CALLER }, 200],
    ['sent a PATCH', 'events:write', { caller: CALLER }, 200],
    ['may read the bookings of the event', 'bookings:read', { caller: 'ada' }, 200],
    ['may read those of another event', 'bookings:read@2', { caller: 'ada' }, 404],
    ['did not send the job', 'bookings:write', { caller: callerOfKey('Aa81kQ4fWm2Rb7Yp') }, 404],
    ['acts for the user of the job', 'bookings:write', { caller: 'olga', userId: 'olga' }, 404],
    ['has another scope', 'changes:read', { caller: CALLER }, 403],
  ])('that %s', async (_what, text, change, status) => {
    expect((await poll(key(text), change)).status).toBe(status)
  })

  it('is 404 for bookings:read of a person who is no longer staff', async () => {
    expect((await poll({ as: 'olga user bookings:read' }, { caller: 'ada' })).status).toBe(404)
  })
})

describe('the limit of a key and its users', () => {
  const counted: (string | undefined)[] = []
  const app = appUnderTest({
    guards: {
      ...guards,
      limits: {
        ...guards.limits,
        keyAndUser: async (c, { id }, userId) => {
          expect(id).toBe(KEY_ID)
          counted.push(userId)
          return c.req.header('x-over-limit') === undefined
            ? undefined
            : c.json({ message: 'Too many requests' }, 429)
        },
      },
    },
  })
  const send = (body: object, text = 'bookings:write', headers = {}) => {
    counted.length = 0
    return call(app, 'POST /book', { ...key(text), body, headers })
  }

  it('counts for the user only if the request is valid and the key may act for users', async () => {
    expect((await send({ eventId: 1, userId: 'ada' })).status).toBe(200)
    expect(counted).toEqual(['ada'])
    expect((await send({ eventId: 0, userId: 'ada' })).status).toBe(400)
    expect(counted).toEqual([undefined])
    expect((await send({ eventId: 1, userId: 'ada' }, 'events:read')).status).toBe(403)
    expect(counted).toEqual([undefined])
  })

  it('answers 429 before 400', async () => {
    const over = { 'x-over-limit': '1' }
    expect((await send({ eventId: 0 }, 'bookings:write', over)).status).toBe(429)
    expect((await send({ eventId: 1 }, 'bookings:write', over)).status).toBe(429)
  })
})
