import type { EventCreation, EventRequest } from '@ticket-line/db'
import { DEFAULT_EVENT_DETAILS, DEFAULT_SALE_RULES } from '@ticket-line/shared'
import { describe, expect, it, vi } from 'vitest'
import { appUnderTest, call, eventOneView, fakeEvents } from '../testing/app-under-test.js'
import { eventSchema } from './event-body.js'

const as = 'olga organizer'
const created: EventCreation = { kind: 'created', replayed: false, event: eventOneView, nowMs: 0 }

function appThatCreates(creation: EventCreation = created) {
  const createConfigured = vi.fn(async (_: EventRequest) => creation)
  return { app: appUnderTest({ events: fakeEvents({ createConfigured }) }), createConfigured }
}

describe('POST /events', () => {
  it('creates an event of the caller with defaults for what is not sent', async () => {
    const { app, createConfigured } = appThatCreates()
    const body = { totalTickets: 10, name: 'Concert', holdSeconds: 60, venue: null }
    const answer = await call(app, 'POST /events', { as, body })
    expect(answer.status).toBe(201)
    expect(eventSchema.parse(answer.json)).toMatchObject({ eventId: 1, owner: 'olga' })
    expect(answer.headers.get('location')).toBe('/events/1')
    expect(answer.headers.get('etag')).toMatch(/^"1\.[\w-]{22}"$/)
    expect(answer.headers.get('idempotency-replayed')).toBeNull()
    expect(createConfigured).toHaveBeenCalledWith({
      eventId: undefined,
      settings: {
        ...DEFAULT_EVENT_DETAILS,
        ...DEFAULT_SALE_RULES,
        totalTickets: 10,
        name: 'Concert',
        holdSeconds: 60,
      },
      owner: 'olga',
      caller: 'olga',
      key: undefined,
      commandId: expect.stringMatching(/^events\.[0-9a-z]{21}\.1\.0$/),
    })
  })

  it('hashes what the request asks for, however it is written', async () => {
    const { app, createConfigured } = appThatCreates()
    const bodies = [
      { totalTickets: 10, name: 'x' },
      { name: 'x', totalTickets: 10, sales: 'open', venue: null },
      { name: 'y', totalTickets: 10 },
      { name: 'x', totalTickets: 10, eventId: 5 },
    ]
    for (const body of bodies)
      await call(app, 'POST /events', { as, body, headers: { 'idempotency-key': 'k' } })
    const hashes = createConfigured.mock.calls.map(([request]) => request.key?.requestHash)
    expect(hashes[0]).toMatch(/^[\w-]{43}$/)
    expect(hashes[1]).toBe(hashes[0])
    expect(new Set(hashes).size).toBe(3)
  })

  it('marks a repeated answer', async () => {
    const { app } = appThatCreates({ ...created, replayed: true })
    const answer = await call(app, 'POST /events', { as, body: { totalTickets: 10 } })
    expect(answer.status).toBe(201)
    expect(answer.headers.get('idempotency-replayed')).toBe('true')
  })

  it.each([
    [{ kind: 'exists', replayed: false } as const, 409, 'event_exists', null],
    [{ kind: 'exists', replayed: true } as const, 409, 'event_exists', 'true'],
    [{ kind: 'key_reused' } as const, 422, 'idempotency_key_reused', null],
  ])('answers %j with %i %s', async (creation, status, code, replayed) => {
    const { app } = appThatCreates(creation)
    const answer = await call(app, 'POST /events', { as, body: { totalTickets: 10 } })
    expect(answer).toMatchObject({ status, json: { code } })
    expect(answer.headers.get('idempotency-replayed')).toBe(replayed)
  })

  it('is only for staff, and refuses a malformed body or key first', async () => {
    const { app, createConfigured } = appThatCreates()
    const body = { totalTickets: 10 }
    expect((await call(app, 'POST /events', { body })).status).toBe(401)
    expect((await call(app, 'POST /events', { as: 'ada', body })).status).toBe(403)
    expect((await call(app, 'POST /events', { as: 'ada', body: {} })).status).toBe(400)
    const headers = { 'idempotency-key': 'ä' }
    expect((await call(app, 'POST /events', { as: 'ada', body, headers })).status).toBe(400)
    expect(createConfigured).not.toHaveBeenCalled()
  })

  it('refuses members that only the server sets', async () => {
    const { app } = appThatCreates()
    const body = { totalTickets: 10, availableTickets: 3, owner: 'eve', shrink: true }
    const { json } = await call(app, 'POST /events', { as, body })
    expect(json.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual([
      '/availableTickets',
      '/owner',
      '/shrink',
    ])
  })
})

describe('GET /events/:eventId', () => {
  const app = appUnderTest()

  it('shows the event to everybody and its owner to staff', async () => {
    const answer = await call(app, 'GET /events/1')
    expect(eventSchema.parse(answer.json)).not.toHaveProperty('owner')
    expect(answer.headers.get('cache-control')).toBe('no-cache')
    expect(answer.headers.get('vary')).toBe('Authorization')
    expect((await call(app, 'GET /events/1', { as: 'ada' })).json).toEqual(answer.json)
    const staff = await call(app, 'GET /events/1', { as })
    expect(staff.json).toEqual({ ...answer.json, owner: 'olga' })
    expect(staff.headers.get('etag')).not.toBe(answer.headers.get('etag'))
  })

  it('answers 304 if the client has the current representation', async () => {
    const etag = (await call(app, 'GET /events/1')).headers.get('etag') as string
    for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const answer = await call(app, 'GET /events/1', { headers: { 'if-none-match': tag } })
      expect([tag, answer.status, answer.text]).toEqual([tag, 304, ''])
      expect(answer.headers.get('etag')).toBe(etag)
      expect(answer.headers.get('cache-control')).toBe('no-cache')
      expect(answer.headers.get('vary')).toBe('Authorization')
    }
    const headers = { 'if-none-match': etag.replace(/\..*/, '.aaaaaaaaaaaaaaaaaaaaaa"') }
    expect((await call(app, 'GET /events/1', { headers })).status).toBe(200)
    expect(
      (await call(app, 'GET /events/1', { as, headers: { 'if-none-match': etag } })).status,
    ).toBe(200)
  })

  it('answers 404 for an unknown event and 400 for a malformed id', async () => {
    expect((await call(app, 'GET /events/2')).json.code).toBe('event_not_found')
    expect((await call(app, 'GET /events/x')).json.code).toBe('invalid_request')
  })
})

describe('DELETE /events/:eventId', () => {
  it.each([
    ['deleted', 204, undefined],
    ['in_use', 409, 'event_in_use'],
    ['not_found', 404, 'event_not_found'],
  ] as const)('answers %s with %i', async (result, status, code) => {
    const app = appUnderTest({ events: fakeEvents({ remove: async () => result }) })
    const answer = await call(app, 'DELETE /events/1', { as })
    expect([answer.status, answer.json?.code]).toEqual([status, code])
    if (status === 204) expect(answer.text).toBe('')
  })

  it('is only for staff', async () => {
    const remove = vi.fn()
    const app = appUnderTest({ events: fakeEvents({ remove }) })
    expect((await call(app, 'DELETE /events/1', { as: 'ada' })).status).toBe(403)
    expect((await call(app, 'DELETE /events/1')).status).toBe(401)
    expect(remove).not.toHaveBeenCalled()
  })
})
