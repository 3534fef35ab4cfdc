import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type System, startSystem } from '../stack/system.ts'
import { type ContractKit, createContractKit, representation } from './contract-kit.ts'

let system: System
let kit: ContractKit

beforeAll(async () => {
  system = await startSystem()
  kit = createContractKit(system)
})
afterAll(async () => {
  await kit?.stop()
  await system?.stop()
})

const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

/** Books a ticket that is held, and returns the id of the hold. */
async function hold(eventId: number, as: string): Promise<string> {
  const answer = await kit.send('/book', eventId, { as, headers: representation })
  expect(answer).toMatchObject({ status: 200, body: { outcome: 'held' } })
  return answer.body.bookingId
}

/** Lets the holds of an event lapse, and waits until nobody holds a ticket. */
async function lapse(eventId: number): Promise<void> {
  await kit.expireHolds(eventId)
  const held = () =>
    kit.query<{ n: string }>(
      `SELECT count(*) AS n FROM bookings WHERE event_id = $1 AND status = 'held' AND expires_at <= now()`,
      [eventId],
    )
  expect(await until(async () => (await held())[0]?.n === '0', { timeoutMs: 10_000 })).toBe(true)
}

describe('a hold', () => {
  it('is made by /book and becomes a booking by /confirm, with the documented bodies', async () => {
    const eventId = await kit.createEvent(2, { holdSeconds: 60 })
    const plain = await kit.send('/book', eventId, { as: 'bob' })
    expect([plain.status, plain.body]).toEqual([200, { message: 'Ticket held' }])
    const held = await kit.send('/book', eventId, { as: 'ada', headers: representation })
    const jobId = held.headers.get('location')?.slice('/jobs/'.length)
    expect(held.body).toEqual({
      message: 'Ticket held',
      outcome: 'held',
      jobId,
      eventId,
      userId: 'ada',
      bookingId: expect.any(String),
      expiresAt: iso,
      decidedAt: iso,
    })
    expect(Date.parse(held.body.expiresAt) - Date.parse(held.body.decidedAt)).toBe(60_000)

    const again = await kit.send('/book', eventId, { as: 'ada' })
    expect(again).toMatchObject({
      status: 409,
      body: {
        code: 'already_held',
        bookingId: held.body.bookingId,
        expiresAt: held.body.expiresAt,
      },
    })

    const me = await kit.call(`GET /events/${eventId}/me`, { as: 'ada' })
    expect(me.body).toEqual({
      eventId,
      userId: 'ada',
      standing: 'held',
      position: null,
      bookingId: held.body.bookingId,
      expiresAt: held.body.expiresAt,
      offered: false,
    })
    const confirmed = await kit.send('/confirm', eventId, { as: 'ada', headers: representation })
    expect(confirmed.body).toEqual({
      message: 'Booking confirmed',
      outcome: 'confirmed',
      jobId: confirmed.headers.get('location')?.slice('/jobs/'.length),
      eventId,
      userId: 'ada',
      bookingId: held.body.bookingId,
      decidedAt: iso,
    })
    const repeated = await kit.send('/confirm', eventId, {
      as: 'ada',
      body: { bookingId: held.body.bookingId },
    })
    expect([repeated.status, repeated.body]).toEqual([200, { message: 'Booking confirmed' }])
    const job = await kit.call(`GET ${repeated.headers.get('location')}`, { as: 'ada' })
    expect(job.body).toMatchObject({
      type: 'confirm',
      outcome: 'confirmed',
      status: 200,
      body: { message: 'Booking confirmed' },
    })
    const booked = await kit.send('/book', eventId, { as: 'ada' })
    expect(booked.body.code).toBe('already_booked')
    expect(booked.body).not.toHaveProperty('bookingId')
  })

  it('is released by /cancel, and its ticket goes to the waiting list as an offer', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60, offerSeconds: 30 })
    const bookingId = await hold(eventId, 'ada')
    await kit.send('/book', eventId, { as: 'bob' })
    const released = await kit.send('/cancel', eventId, {
      as: 'ada',
      body: { bookingId },
      headers: representation,
    })
    expect(released.body).toMatchObject({ message: 'Ticket released', outcome: 'released' })
    const again = await kit.send('/book', eventId, { as: 'bob' })
    expect(again.body).toMatchObject({ code: 'already_held', expiresAt: iso })
    const me = await kit.call(`GET /events/${eventId}/me`, { as: 'bob' })
    expect(me.body).toMatchObject({
      standing: 'held',
      bookingId: again.body.bookingId,
      expiresAt: again.body.expiresAt,
      offered: true,
    })
    const leftS = (Date.parse(again.body.expiresAt) - Date.now()) / 1000
    expect(leftS).toBeGreaterThan(20)
    expect(leftS).toBeLessThanOrEqual(31)
  })

  it('lapses, and can be confirmed late as long as a ticket is free', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60 })
    const bookingId = await hold(eventId, 'ada')
    await lapse(eventId)
    expect((await kit.call(`GET /status/${eventId}`, { as: 'ada' })).body.availableTickets).toBe(1)
    const late = await kit.send('/confirm', eventId, {
      as: 'ada',
      body: { bookingId },
      headers: representation,
    })
    expect(late.body).toMatchObject({ outcome: 'confirmed', bookingId })
  })

  it('cannot be confirmed late if its ticket is gone, or after a day', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60 })
    const bookingId = await hold(eventId, 'ada')
    await lapse(eventId)
    await hold(eventId, 'bob')
    for (const body of [{}, { bookingId }]) {
      const late = await kit.send('/confirm', eventId, { as: 'ada', body })
      expect(late).toMatchObject({ status: 409, body: { code: 'hold_expired' } })
    }
    await kit.send('/cancel', eventId, { as: 'bob' })
    await kit.query(
      `UPDATE bookings SET canceled_at = canceled_at - interval '24 hours' WHERE event_id = $1 AND user_id = 'ada'`,
      [eventId],
    )
    const tooLate = await kit.send('/confirm', eventId, { as: 'ada', body: { bookingId } })
    expect(tooLate).toMatchObject({ status: 404, body: { code: 'booking_not_found' } })
  })

  it('is followed by an offer to the next person when it lapses', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60 })
    await hold(eventId, 'ada')
    for (const as of ['bob', 'cleo']) await kit.send('/book', eventId, { as })
    await lapse(eventId)
    expect(
      await until(
        async () => (await kit.send('/book', eventId, { as: 'bob' })).body.code === 'already_held',
        { timeoutMs: 5000 },
      ),
    ).toBe(true)
    expect((await kit.send('/book', eventId, { as: 'cleo' })).body).toMatchObject({
      code: 'already_waiting',
      position: 1,
    })
    const late = await kit.send('/confirm', eventId, { as: 'ada' })
    expect(late).toMatchObject({ status: 409, body: { code: 'hold_expired' } })
  })

  it('lapses within seconds of its deadline', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 5 })
    await hold(eventId, 'ada')
    await sleep(5000)
    const free = async () =>
      (await kit.call(`GET /status/${eventId}`, { as: 'ada' })).body.availableTickets === 1
    expect(await until(free, { timeoutMs: 4000 })).toBe(true)
  })
})

describe('/confirm', () => {
  it('refuses a user without a claim, and one on the waiting list', async () => {
    const eventId = await kit.createEvent(0, { holdSeconds: 60 })
    expect(await kit.send('/confirm', eventId, { as: 'ada' })).toMatchObject({
      status: 404,
      body: { code: 'booking_not_found' },
    })
    await kit.send('/book', eventId, { as: 'ada' })
    for (const body of [{}, { bookingId: `${eventId}-1` }]) {
      expect(await kit.send('/confirm', eventId, { as: 'ada', body })).toMatchObject({
        status: 409,
        body: { code: 'already_waiting', position: 1 },
      })
    }
  })

  it('leaves another booking of the user alone if it names a different one', async () => {
    const eventId = await kit.createEvent(2, { holdSeconds: 60 })
    const first = await hold(eventId, 'ada')
    await lapse(eventId)
    const second = await hold(eventId, 'ada')
    expect(second).not.toBe(first)
    for (const path of ['/confirm', '/cancel']) {
      const answer = await kit.send(path, eventId, { as: 'ada', body: { bookingId: first } })
      expect(answer).toMatchObject({ status: 409, body: { code: 'hold_expired' } })
    }
    const extended = await kit.send('/extend', eventId, {
      as: 'olga',
      body: { userId: 'ada', bookingId: first },
    })
    expect(extended).toMatchObject({ status: 409, body: { code: 'hold_expired' } })
    for (const bookingId of ['nonsense', `${eventId}-NaN`, `${eventId}-1e300`, '-']) {
      const answer = await kit.send('/confirm', eventId, { as: 'ada', body: { bookingId } })
      expect(answer).toMatchObject({ status: 409, body: { code: 'hold_expired' } })
    }
    expect((await kit.send('/book', eventId, { as: 'ada' })).body).toMatchObject({
      code: 'already_held',
      bookingId: second,
    })
  })

  it('names another booking for a user on the waiting list: /cancel keeps the entry', async () => {
    const eventId = await kit.createEvent(0)
    await kit.send('/book', eventId, { as: 'ada' })
    const body = { bookingId: `${eventId}-1` }
    expect(await kit.send('/cancel', eventId, { as: 'ada', body })).toMatchObject({
      status: 409,
      body: { code: 'hold_expired' },
    })
    expect((await kit.send('/book', eventId, { as: 'ada' })).body.code).toBe('already_waiting')
  })

  it('is for staff alone as soon as a change of the event that says so is answered', async () => {
    await system.addApi()
    const api = system.client(1)
    const eventId = await kit.createEvent(3, { holdSeconds: 60 })
    const bookingId = await hold(eventId, 'ada')
    for (const confirmation of ['staff', 'holder', 'staff']) {
      await kit.patch(eventId, { confirmation })
      const answer = await kit.send('/confirm', eventId, { as: 'bob', via: api })
      expect([confirmation, answer.status, answer.body.code]).toEqual([
        confirmation,
        ...(confirmation === 'staff' ? [403, 'forbidden'] : [404, 'booking_not_found']),
      ])
      expect(answer.headers.get('location') === null).toBe(confirmation === 'staff')
    }
    const byStaff = await kit.send('/confirm', eventId, {
      as: 'olga',
      body: { userId: 'ada', bookingId },
    })
    expect(byStaff.body).toEqual({ message: 'Booking confirmed' })
    await kit.send('/cancel', eventId, { as: 'ada' })
  })

  it('lets a user act only for themselves', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60 })
    await hold(eventId, 'ada')
    const answer = await kit.send('/confirm', eventId, { as: 'bob', body: { userId: 'ada' } })
    expect(answer).toMatchObject({ status: 403, body: { code: 'forbidden' } })
  })
})

describe('/extend', () => {
  it('moves the end of a hold, at most to twice its first length', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60 })
    const held = await kit.send('/book', eventId, { as: 'ada', headers: representation })
    const startMs = Date.parse(held.body.decidedAt)
    const extend = (body: object) =>
      kit.send('/extend', eventId, {
        as: 'olga',
        body: { userId: 'ada', ...body },
        headers: representation,
      })
    const extended = await extend({ seconds: 90, bookingId: held.body.bookingId })
    expect(extended.body).toEqual({
      message: 'Hold extended',
      outcome: 'extended',
      jobId: expect.any(String),
      eventId,
      userId: 'ada',
      bookingId: held.body.bookingId,
      expiresAt: iso,
      decidedAt: iso,
    })
    expect(Date.parse(extended.body.expiresAt)).toBe(Date.parse(extended.body.decidedAt) + 90_000)
    // 60 s from now is earlier than the end that the hold has already.
    expect(await extend({})).toMatchObject({ status: 409, body: { code: 'hold_limit_reached' } })
    const capped = await extend({ seconds: 604_800 })
    expect(Date.parse(capped.body.expiresAt)).toBe(startMs + 120_000)
    expect((await extend({ seconds: 604_800 })).body.code).toBe('hold_limit_reached')
    await kit.patch(eventId, { maxHoldSeconds: 600 })
    const more = await extend({ seconds: 604_800 })
    expect(Date.parse(more.body.expiresAt)).toBe(startMs + 600_000)
  })

  it('refuses users, and claims that are no hold', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60 })
    await hold(eventId, 'ada')
    await kit.send('/confirm', eventId, { as: 'ada' })
    await kit.send('/book', eventId, { as: 'bob' })
    expect(await kit.send('/extend', eventId, { as: 'ada' })).toMatchObject({
      status: 403,
      body: { code: 'forbidden' },
    })
    const codes = []
    for (const userId of ['ada', 'bob', 'zoe'])
      codes.push((await kit.send('/extend', eventId, { as: 'olga', body: { userId } })).body.code)
    expect(codes).toEqual(['already_booked', 'already_waiting', 'booking_not_found'])
  })

  it('refuses a hold that has lapsed', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60 })
    await hold(eventId, 'ada')
    await lapse(eventId)
    const answer = await kit.send('/extend', eventId, { as: 'olga', body: { userId: 'ada' } })
    expect(answer).toMatchObject({ status: 409, body: { code: 'hold_expired' } })
  })
})

describe('the preferences and keys of the commands of holds', () => {
  it('answers 202 with respond-async, and later in the job', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 60 })
    const bookingId = await hold(eventId, 'ada')
    const accepted = await kit.send('/confirm', eventId, {
      as: 'ada',
      headers: { prefer: 'respond-async' },
    })
    expect(accepted).toMatchObject({ status: 202, body: { message: 'Request accepted' } })
    const job = await kit.call(`GET ${accepted.body.statusUrl}`, {
      as: 'ada',
      headers: { prefer: 'wait=10, return=representation' },
    })
    expect(job.body).toMatchObject({
      type: 'confirm',
      state: 'done',
      outcome: 'confirmed',
      status: 200,
      body: { message: 'Booking confirmed', bookingId },
    })
  })

  it('repeats the first answer of a key for each command', async () => {
    const eventId = await kit.createEvent(4, { holdSeconds: 60 })
    const calls: [string, string, Record<string, unknown>][] = [
      ['/book', 'ada', {}],
      ['/extend', 'olga', { userId: 'ada', seconds: 100 }],
      ['/confirm', 'ada', {}],
      ['/cancel', 'ada', {}],
    ]
    for (const [path, as, body] of calls) {
      const headers = { ...representation, 'idempotency-key': `all-${path}` }
      const first = await kit.send(path, eventId, { as, body, headers })
      expect([path, first.status]).toEqual([path, 200])
      const repeated = await kit.send(path, eventId, { as, body, headers })
      expect(repeated.body).toEqual(first.body)
      expect(repeated.headers.get('idempotency-replayed')).toBe('true')
      expect(repeated.headers.get('location')).toBe(first.headers.get('location'))
    }
    // After everything else happened, the first answers stay.
    const headers = { ...representation, 'idempotency-key': 'all-/book' }
    const book = await kit.send('/book', eventId, { as: 'ada', headers })
    expect(book.body).toMatchObject({ outcome: 'held', expiresAt: iso })
  })

  it('refuses a key for another booking, other seconds or another command', async () => {
    const eventId = await kit.createEvent(2, { holdSeconds: 60 })
    const bookingId = await hold(eventId, 'ada')
    const headers = { 'idempotency-key': 'one' }
    const body = { userId: 'ada', bookingId, seconds: 70 }
    expect((await kit.send('/extend', eventId, { as: 'olga', body, headers })).status).toBe(200)
    for (const [path, other] of [
      ['/extend', { ...body, seconds: 80 }],
      ['/extend', { userId: 'ada', seconds: 70 }],
      ['/confirm', { userId: 'ada', bookingId }],
      ['/cancel', { userId: 'ada', bookingId }],
    ] as const) {
      const answer = await kit.send(path, eventId, { as: 'olga', body: other, headers })
      expect(answer).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } })
    }
    const spelledDifferently = { seconds: 70, bookingId, userId: 'ada' }
    const again = await kit.send('/extend', eventId, {
      as: 'olga',
      body: spelledDifferently,
      headers,
    })
    expect(again.headers.get('idempotency-replayed')).toBe('true')
  })

  it('has one effect if a confirmation is sent many times at once', async () => {
    const eventId = await kit.createEvent(2, { holdSeconds: 60 })
    await hold(eventId, 'ada')
    const headers = { 'idempotency-key': 'many' }
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => kit.send('/confirm', eventId, { as: 'ada', headers })),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(answers.map(({ headers }) => headers.get('location'))).size).toBe(1)
    expect((await kit.call(`GET /status/${eventId}`, { as: 'ada' })).body.availableTickets).toBe(1)
  })
})
