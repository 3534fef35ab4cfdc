import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import type { Client, Reply } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type ContractKit, createContractKit, representation } from './contract-kit.ts'

let system: System
let kit: ContractKit
/** API processes whose clocks are 5 s ahead and 5 s behind. */
let ahead: Client
let behind: Client

beforeAll(async () => {
  system = await startSystem()
  kit = createContractKit(system)
  for (const shiftMs of [5000, -5000]) {
    // A URL has no spaces, which would end the option.
    const shift = new URL('fixtures/shift-clock.mjs', import.meta.url).href
    await system.addApi({
      NODE_OPTIONS: `--import=${shift}`,
      CLOCK_SHIFT_MS: String(shiftMs),
    })
  }
  ahead = system.client(1)
  behind = system.client(2)
})
afterAll(async () => {
  await kit?.stop()
  await system?.stop()
})

const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString()
const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const tagOf = (answer: Reply): string => answer.headers.get('etag') ?? ''

describe('PATCH /events/:eventId', () => {
  it('answers with the event as decided, and counts the change in its ETag', async () => {
    const eventId = await kit.createEvent(3)
    await kit.send('/book', eventId, { as: 'ada' })
    const opensAt = new Date(Date.now() - 1000).toISOString()
    const changed = await kit.patch(eventId, {
      name: 'Concert',
      opensAt: opensAt.replace('Z', '+00:00'),
      holdSeconds: 60,
      listed: false,
    })
    expect(changed.status).toBe(200)
    expect(changed.body).toEqual({
      eventId,
      name: 'Concert',
      startsAt: null,
      endsAt: null,
      timezone: null,
      venue: null,
      url: null,
      listed: false,
      owner: expect.toSatisfy((owner) => owner === null || owner === 'olga'),
      state: 'open',
      opensAt,
      closesAt: null,
      totalTickets: 3,
      availableTickets: 2,
      heldTickets: 0,
      withheldTickets: 0,
      waitingListCount: 0,
      holdSeconds: 60,
      offerSeconds: null,
      maxHoldSeconds: null,
      confirmation: 'holder',
      maxWaiting: null,
      sales: 'open',
      promotion: 'on',
      serverTime: iso,
    })
    expect(tagOf(changed)).toMatch(/^"2\.[\w-]+"$/)
    expect(changed.headers.get('location')).toMatch(/^\/jobs\//)
    const shown = await kit.call(`GET /events/${eventId}`, { as: 'olga' })
    expect(shown.body).toEqual({ ...changed.body, serverTime: iso })
    expect(tagOf(shown)).toBe(tagOf(changed))
    const job = await kit.call(`GET ${changed.headers.get('location')}`, { as: 'olga' })
    expect(job.body).toMatchObject({ type: 'configure', userId: 'olga', outcome: 'configured' })
    expect(job.body.body).toEqual(changed.body)

    const reset = await kit.patch(
      eventId,
      { name: null, opensAt: null },
      { headers: { 'content-type': 'application/merge-patch+json' } },
    )
    expect(reset.body).toMatchObject({ name: null, opensAt: null, holdSeconds: 60, listed: false })
    const same = await kit.patch(eventId, { name: null, holdSeconds: 60 })
    expect(tagOf(same)).toBe(tagOf(reset))
    expect(tagOf(await kit.patch(eventId, {}))).toBe(tagOf(reset))
  })

  it('is refused with 412 if the settings changed since the ETag in If-Match', async () => {
    const eventId = await kit.createEvent(3)
    const first = tagOf(await kit.patch(eventId, { name: 'one' }))
    const change = (name: string, ifMatch: string) =>
      kit.patch(eventId, { name }, { headers: { 'if-match': ifMatch } })
    await kit.send('/book', eventId, { as: 'ada' })
    const second = await change('two', first)
    expect(second).toMatchObject({ status: 200, body: { name: 'two' } })
    for (const tag of [first, `W/${tagOf(second)}`, '"5-0"', '"2"', 'nonsense']) {
      expect([tag, await change('three', tag)]).toMatchObject([
        tag,
        { status: 412, body: { code: 'version_mismatch' } },
      ])
    }
    for (const tag of ['*', tagOf(second)]) expect((await change('two', tag)).status).toBe(200)
  })

  it('keeps the order of refusals, and names what is wrong', async () => {
    const eventId = await kit.createEvent(1)
    const statusOf = async (answer: Promise<Reply>) => (await answer).status
    const text = { headers: { 'content-type': 'text/plain' } }
    const unsupported = await kit.patch(eventId, {}, text)
    expect(unsupported.status).toBe(415)
    expect(unsupported.headers.get('accept-patch')).toContain('application/merge-patch+json')
    expect(await statusOf(kit.patch(999_999, { holdSeconds: 1 }, { as: 'ada' }))).toBe(400)
    expect(await statusOf(kit.patch(999_999, {}, { as: 'ada' }))).toBe(403)
    expect(await kit.patch(999_999, {})).toMatchObject({
      status: 404,
      body: { code: 'event_not_found' },
    })
    for (const body of [{ state: 'open' }, { totalTickets: null }, { opensAt: '2030-01-01' }]) {
      expect(await kit.patch(eventId, body)).toMatchObject({
        status: 400,
        body: {
          code: 'invalid_request',
          errors: [{ pointer: `/${Object.keys(body)[0]}`, detail: expect.any(String) }],
        },
      })
    }
  })

  it('shrinks an event below its bookings only if it is told to', async () => {
    const eventId = await kit.createEvent(3)
    for (const as of ['ada', 'bob']) await kit.send('/book', eventId, { as })
    const refused = await kit.patch(eventId, { totalTickets: 1, name: 'nothing changes' })
    expect(refused).toMatchObject({
      status: 409,
      body: { code: 'capacity_below_committed', committed: 2 },
    })
    const shrunk = await kit.patch(eventId, { totalTickets: 1, shrink: true })
    expect(shrunk.body).toMatchObject({
      name: null,
      totalTickets: 1,
      availableTickets: 0,
      withheldTickets: 0,
    })
    await kit.send('/cancel', eventId, { as: 'ada' })
    expect((await kit.call(`GET /status/${eventId}`, { as: 'ada' })).body.availableTickets).toBe(0)
    await kit.send('/cancel', eventId, { as: 'bob' })
    expect((await kit.call(`GET /status/${eventId}`, { as: 'ada' })).body.availableTickets).toBe(1)
  })

  it('shows new tickets as available, or as withheld until the waiting list has them', async () => {
    const eventId = await kit.createEvent(1)
    await kit.send('/book', eventId, { as: 'ada' })
    const free = await kit.patch(eventId, { totalTickets: 3 })
    expect(free.body).toMatchObject({ availableTickets: 2, withheldTickets: 0 })
    await kit.patch(eventId, { totalTickets: 1 })
    for (const as of ['bob', 'cleo', 'dora']) await kit.send('/book', eventId, { as })
    const raised = await kit.patch(eventId, { totalTickets: 3 })
    expect(raised.body).toMatchObject({
      totalTickets: 3,
      availableTickets: 0,
      withheldTickets: 2,
      waitingListCount: 3,
    })
    const waiting = async () =>
      (await kit.call(`GET /status/${eventId}`, { as: 'ada' })).body.waitingListCount
    expect(await until(async () => (await waiting()) === 1, { timeoutMs: 5000 })).toBe(true)
    const dora = await kit.call(`GET /events/${eventId}/me`, { as: 'dora' })
    expect(dora.body).toMatchObject({ standing: 'waiting', position: 1 })
  })

  it('withholds tickets that come back during a pause, and hands them out after it', async () => {
    const eventId = await kit.createEvent(1)
    for (const as of ['ada', 'bob', 'cleo']) await kit.send('/book', eventId, { as })
    await kit.patch(eventId, { sales: 'paused' })
    await kit.send('/cancel', eventId, { as: 'ada' })
    const paused = await kit.call(`GET /events/${eventId}`, { as: 'ada' })
    expect(paused.body).toMatchObject({
      state: 'paused',
      availableTickets: 0,
      withheldTickets: 1,
      waitingListCount: 2,
    })
    expect(paused.body).not.toHaveProperty('owner')
    await kit.patch(eventId, { sales: 'open' })
    const standing = async () =>
      (await kit.call(`GET /events/${eventId}/me`, { as: 'bob' })).body.standing
    expect(await until(async () => (await standing()) === 'booked', { timeoutMs: 5000 })).toBe(true)
  })

  it('repeats its first answer for a key, and refuses the key for another patch', async () => {
    const eventId = await kit.createEvent(3)
    const headers = { 'idempotency-key': 'patch' }
    const first = await kit.patch(
      eventId,
      { name: 'one', closesAt: '2040-01-01T00:00Z' },
      { headers },
    )
    await kit.patch(eventId, { name: 'two' })
    const again = await kit.patch(
      eventId,
      { closesAt: '2040-01-01T01:00:00+01:00', name: 'one' },
      { headers },
    )
    expect(again.body).toEqual(first.body)
    expect(tagOf(again)).toBe(tagOf(first))
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    for (const [body, more] of [
      [{ name: 'one' }, {}],
      [{ name: 'one', closesAt: '2040-01-01T00:00Z', shrink: true }, {}],
      [{ name: 'one', closesAt: '2040-01-01T00:00Z' }, { 'if-match': tagOf(first) }],
    ] as const) {
      const answer = await kit.patch(eventId, body, { headers: { ...headers, ...more } })
      expect(answer).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } })
    }
  })

  it('answers 202 with respond-async', async () => {
    const eventId = await kit.createEvent(3)
    const accepted = await kit.patch(
      eventId,
      { name: 'later' },
      { headers: { prefer: 'respond-async' } },
    )
    expect(accepted.status).toBe(202)
    expect(tagOf(accepted)).toBe('')
    const job = await kit.call(`GET ${accepted.body.statusUrl}`, {
      as: 'olga',
      headers: { prefer: 'wait=10' },
    })
    expect(job.body).toMatchObject({ status: 200, body: { name: 'later', eventId } })
  })
})

describe('a sale', () => {
  it('opens at its time for clients that poll, by the clock of PostgreSQL', async () => {
    const opensAt = inMs(5000)
    const opensAtMs = Date.parse(opensAt)
    const eventId = await kit.createEvent(12, { opensAt })
    const clients = [system.api, ahead, behind]
    const early = await Promise.all(
      clients.map((via) => kit.send('/book', eventId, { as: 'early', via })),
    )
    for (const answer of early) {
      expect(answer).toMatchObject({ status: 409, body: { code: 'sales_not_open', opensAt } })
      expect(answer.headers.get('location')).toBeNull()
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
      expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(5)
    }
    let lastRefusedMs = 0
    await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const call = { as: `poller-${index}`, via: clients[index % 3] as Client }
        for (;;) {
          const sentAtMs = Date.now()
          const answer = await kit.send('/book', eventId, call)
          if (answer.status === 200) return
          // If PostgreSQL or Redis is too busy to answer in time, clients get 503.
          if (answer.status !== 503) {
            expect(answer.body.code).toBe('sales_not_open')
            lastRefusedMs = Math.max(lastRefusedMs, sentAtMs)
          }
          await sleep(20)
        }
      }),
    )
    // Whatever is sent from then on is a booking.
    expect(lastRefusedMs).toBeLessThan(opensAtMs)
    expect(lastRefusedMs).toBeGreaterThan(0)
    const outside = await kit.query(
      `SELECT 1 FROM bookings b JOIN events e USING (event_id) WHERE event_id = $1 AND booked_at < opens_at`,
      [eventId],
    )
    expect(outside).toEqual([])
  })

  it('pauses and resumes on every process as soon as the change is answered', async () => {
    const eventId = await kit.createEvent(1000)
    const clients = [system.api, ahead, behind]
    let n = 0
    const bookEverywhere = () =>
      Promise.all(
        clients.map((via) =>
          kit
            .send('/book', eventId, { as: `fan-${eventId}-${n++}`, via })
            .then(({ status, body }) => body.code ?? status),
        ),
      )
    for (let round = 0; round < 4; round++) {
      const via = clients[round % 3] as Client
      expect(await bookEverywhere()).toEqual([200, 200, 200])
      await kit.patch(eventId, { sales: 'paused' }, { via })
      expect(await bookEverywhere()).toEqual(['sales_paused', 'sales_paused', 'sales_paused'])
      await kit.patch(eventId, { sales: 'open', opensAt: inMs(60_000) }, { via })
      expect(await bookEverywhere()).toEqual(['sales_not_open', 'sales_not_open', 'sales_not_open'])
      await kit.patch(eventId, { opensAt: null, closesAt: inMs(-1) }, { via })
      expect(await bookEverywhere()).toEqual(['sales_closed', 'sales_closed', 'sales_closed'])
      await kit.patch(eventId, { closesAt: null }, { via })
    }
  })

  it('tells users what they have, also outside the sale', async () => {
    const eventId = await kit.createEvent(1)
    await kit.send('/book', eventId, { as: 'ada' })
    await kit.send('/book', eventId, { as: 'bob' })
    for (const settings of [
      { sales: 'paused' },
      { sales: 'open', opensAt: inMs(60_000) },
      { opensAt: null, closesAt: inMs(-1) },
    ]) {
      await kit.patch(eventId, settings)
      for (const [as, code] of [
        ['ada', 'already_booked'],
        ['bob', 'already_waiting'],
      ] as const) {
        const answer = await kit.send('/book', eventId, { as })
        expect(answer).toMatchObject({ status: 409, body: { code } })
        expect(answer.headers.get('location')).toMatch(/^\/jobs\//)
      }
    }
    expect((await kit.send('/cancel', eventId, { as: 'ada' })).status).toBe(200)
  })

  it('leaves a key unused by a booking that was too early or came during a pause', async () => {
    const eventId = await kit.createEvent(5)
    const headers = { 'idempotency-key': 'patient' }
    // The other process has just seen an open event, so the line refuses its next booking.
    await kit.send('/book', eventId, { as: 'bob', via: ahead })
    await kit.patch(eventId, { sales: 'paused' })
    const inLine = await kit.send('/book', eventId, { as: 'ada', headers, via: ahead })
    expect(inLine.body.code).toBe('sales_paused')
    expect(inLine.headers.get('location')).toMatch(/^\/jobs\//)
    const early = await kit.send('/book', eventId, { as: 'ada', headers })
    expect([early.body.code, early.headers.get('location')]).toEqual(['sales_paused', null])
    await kit.patch(eventId, { sales: 'open', opensAt: inMs(60_000) })
    expect((await kit.send('/book', eventId, { as: 'ada', headers })).body.code).toBe(
      'sales_not_open',
    )
    await kit.patch(eventId, { opensAt: null })
    const booked = await kit.send('/book', eventId, { as: 'ada', headers })
    expect([booked.status, booked.headers.get('idempotency-replayed')]).toEqual([200, null])
    await kit.patch(eventId, { sales: 'paused' })
    await kit.send('/cancel', eventId, { as: 'ada' })
    const replayed = await kit.send('/book', eventId, { as: 'ada', headers })
    expect([replayed.status, replayed.headers.get('idempotency-replayed')]).toEqual([200, 'true'])
    expect(replayed.headers.get('location')).toBe(booked.headers.get('location'))
    const reused = await kit.send('/cancel', eventId, { as: 'ada', headers })
    expect(reused.body.code).toBe('idempotency_key_reused')
  })

  it('uses up a key with the end of the sale, which is an answer', async () => {
    const eventId = await kit.createEvent(5, { closesAt: inMs(-1) })
    const headers = { 'idempotency-key': 'late' }
    const closed = await kit.send('/book', eventId, { as: 'ada', headers })
    expect(closed.body.code).toBe('sales_closed')
    await kit.patch(eventId, { closesAt: null })
    const again = await kit.send('/book', eventId, { as: 'ada', headers })
    expect(again.body).toEqual(closed.body)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
  })

  it('has a bound for its waiting list, or none at all', async () => {
    const eventId = await kit.createEvent(1, { maxWaiting: 1 })
    await kit.send('/book', eventId, { as: 'ada' })
    expect((await kit.send('/book', eventId, { as: 'bob' })).status).toBe(200)
    expect((await kit.send('/book', eventId, { as: 'cleo' })).body.code).toBe('waiting_list_full')
    await kit.patch(eventId, { maxWaiting: 0 })
    expect((await kit.send('/book', eventId, { as: 'cleo' })).body.code).toBe('sold_out')
    expect((await kit.send('/book', eventId, { as: 'bob' })).body.code).toBe('already_waiting')
  })
})

describe('POST /events/:eventId/grants', () => {
  const grant = (eventId: number, body: Record<string, unknown>, as = 'olga', headers = {}) =>
    kit.call(`POST /events/${eventId}/grants`, { as, body, headers })

  it('gives a free ticket, else grows the event if it may, outside the sale too', async () => {
    const eventId = await kit.createEvent(1, { sales: 'paused', maxWaiting: 0 })
    const booked = await grant(eventId, { userId: 'ada' }, 'olga', representation)
    expect(booked.body).toEqual({
      message: 'Ticket booked',
      outcome: 'booked',
      jobId: booked.headers.get('location')?.slice('/jobs/'.length),
      eventId,
      userId: 'ada',
      bookingId: expect.any(String),
      decidedAt: iso,
    })
    expect(await grant(eventId, { userId: 'ada' })).toMatchObject({
      status: 409,
      body: { code: 'already_booked' },
    })
    expect(await grant(eventId, { userId: 'bob' })).toMatchObject({
      status: 409,
      body: { code: 'sold_out' },
    })
    const headers = { 'idempotency-key': 'grant' }
    const raised = await grant(eventId, { userId: 'bob', raiseCapacity: true }, 'olga', headers)
    expect([raised.status, raised.body]).toEqual([200, { message: 'Ticket booked' }])
    expect((await kit.patch(eventId, {})).body.totalTickets).toBe(2)
    const again = await grant(eventId, { userId: 'bob', raiseCapacity: true }, 'olga', headers)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect((await grant(eventId, { userId: 'bob' }, 'olga', headers)).status).toBe(422)
    const job = await kit.call(`GET ${raised.headers.get('location')}`, { as: 'bob' })
    expect(job.body).toMatchObject({ type: 'grant', userId: 'bob', outcome: 'booked' })
  })

  it('confirms a held ticket, and ends a place on the waiting list', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60 })
    await kit.send('/book', eventId, { as: 'ada' })
    await kit.send('/book', eventId, { as: 'bob' })
    const confirmed = await grant(eventId, { userId: 'ada' })
    expect([confirmed.status, confirmed.body]).toEqual([200, { message: 'Booking confirmed' }])
    expect((await grant(eventId, { userId: 'bob' })).body.code).toBe('sold_out')
    expect((await grant(eventId, { userId: 'bob', raiseCapacity: true })).status).toBe(200)
    expect((await kit.call(`GET /status/${eventId}`, { as: 'ada' })).body.waitingListCount).toBe(0)
  })

  it('is for staff, for events that exist and for valid bodies', async () => {
    const eventId = await kit.createEvent(1)
    expect((await grant(eventId, {}, 'ada')).status).toBe(400)
    expect((await grant(eventId, { userId: 'ada' }, 'ada')).status).toBe(403)
    expect((await grant(999_999, { userId: 'ada' })).body.code).toBe('event_not_found')
    for (const body of [{ userId: 'ada', raiseCapacity: 'yes' }, { userId: '' }, { user: 'ada' }])
      expect((await grant(eventId, body)).status).toBe(400)
  })
})

describe('POST /events/:eventId/cancel', () => {
  const cancel = (eventId: number, body?: Record<string, unknown>, headers = {}, as = 'olga') =>
    kit.call(`POST /events/${eventId}/cancel`, { as, headers, ...(body !== undefined && { body }) })

  it('ends the event, and every other command for it', async () => {
    const eventId = await kit.createEvent(2, { holdSeconds: 60 })
    const bookingKey = { 'idempotency-key': 'before-the-end' }
    const booked = await kit.send('/book', eventId, { as: 'ada', headers: bookingKey })
    await kit.send('/book', eventId, { as: 'bob' })
    const headers = { 'idempotency-key': 'the-end' }
    const canceled = await cancel(eventId, { reason: 'The artist is ill.' }, headers)
    expect([canceled.status, canceled.body]).toEqual([200, { message: 'Event canceled' }])
    const job = await kit.call(`GET ${canceled.headers.get('location')}`, { as: 'olga' })
    expect(job.body).toMatchObject({
      type: 'cancel_event',
      userId: 'olga',
      outcome: 'event_ended',
      body: { message: 'Event canceled' },
    })
    const again = await cancel(eventId, undefined)
    expect([again.status, again.body]).toEqual([200, { message: 'Event canceled' }])
    const replay = await cancel(eventId, { reason: 'The artist is ill.' }, headers)
    expect(replay.headers.get('idempotency-replayed')).toBe('true')
    expect((await cancel(eventId, { reason: 'Rain.' }, headers)).status).toBe(422)

    const refused = [
      ...(await Promise.all(
        ['/book', '/cancel', '/confirm'].map((path) => kit.send(path, eventId, { as: 'ada' })),
      )),
      await kit.send('/book', eventId, { as: 'zoe' }),
      await kit.send('/extend', eventId, { as: 'olga', body: { userId: 'bob' } }),
      await kit.patch(eventId, { name: 'x' }),
      await kit.call(`POST /events/${eventId}/grants`, { as: 'olga', body: { userId: 'zoe' } }),
    ]
    for (const answer of refused)
      expect(answer).toMatchObject({ status: 409, body: { code: 'event_canceled' } })
    const replayed = await kit.send('/book', eventId, { as: 'ada', headers: bookingKey })
    expect(replayed.body).toEqual(booked.body)
    expect(replayed.headers.get('idempotency-replayed')).toBe('true')
    const status = await kit.call(`GET /status/${eventId}`, { as: 'ada' })
    expect(status.body).toEqual({ eventId, availableTickets: 0, waitingListCount: 0 })
    const me = await kit.call(`GET /events/${eventId}/me`, { as: 'bob' })
    expect(me.body).toMatchObject({ standing: 'none', bookingId: null, expiresAt: null })
    const list = await kit.call(`GET /events/${eventId}/bookings?standing=held`, { as: 'olga' })
    expect(list.body).toEqual({ bookings: [], next: null })
    const shown = await kit.call(`GET /events/${eventId}`, { as: 'bob' })
    expect(shown.body).toMatchObject({ state: 'canceled', heldTickets: 0, withheldTickets: 0 })
  })

  it('is for staff, and for reasons of at most 500 characters', async () => {
    const eventId = await kit.createEvent(1)
    expect((await cancel(eventId, { reason: 'x'.repeat(501) })).status).toBe(400)
    expect((await cancel(eventId, { cause: 'x' })).status).toBe(400)
    expect((await cancel(eventId, {}, {}, 'ada')).status).toBe(403)
    expect((await cancel(999_999, {})).body.code).toBe('event_not_found')
    expect((await cancel(eventId, { reason: '😀'.repeat(500) })).status).toBe(200)
  })
})

it('logs who sent the commands that only staff may send', async () => {
  const eventId = await kit.createEvent(2, { holdSeconds: 60 })
  await kit.send('/book', eventId, { as: 'ada' })
  await kit.send('/extend', eventId, { as: 'olga', body: { userId: 'ada', seconds: 100 } })
  await kit.send('/confirm', eventId, { as: 'olga', body: { userId: 'ada' } })
  await kit.call(`POST /events/${eventId}/grants`, { as: 'olga', body: { userId: 'bob' } })
  await kit.call(`POST /events/${eventId}/cancel`, { as: 'olga', body: { reason: 'Rain.' } })
  const api = system.apis[0]
  await api?.waitForLog((line) => line['audit'] === 'event_canceled' && line['eventId'] === eventId)
  const entries = (api?.logs ?? [])
    .filter((line) => line['audit'] !== undefined && line['eventId'] === eventId)
    .map((line) => [line['audit'], line['actor'], line['userId'], line['outcome']])
  expect(entries).toEqual([
    ['event_initialized', 'olga', undefined, undefined],
    ['event_changed', 'olga', 'olga', 'configured'],
    ['hold_extended', 'olga', 'ada', 'extended'],
    ['acted_for_other', 'olga', 'ada', 'confirmed'],
    ['ticket_granted', 'olga', 'bob', 'booked'],
    ['event_canceled', 'olga', 'olga', 'event_ended'],
  ])
})
