import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type System, startSystem } from '../stack/system.ts'

let system: System
let organizer: string
let nextEventId = 1000

beforeAll(async () => {
  system = await startSystem()
  organizer = await system.token('olga', 'organizer')
})
afterAll(() => system?.stop())

async function createEvent(totalTickets: number): Promise<number> {
  const eventId = nextEventId++
  const body = { eventId, totalTickets }
  expect((await system.api.post('/initialize', body, { token: organizer })).status).toBe(201)
  return eventId
}

interface As {
  as: string
  headers?: Record<string, string>
  body?: Record<string, unknown>
}

async function send(
  path: '/book' | '/cancel',
  eventId: number,
  { as, headers = {}, body = {} }: As,
) {
  return system.api.post(path, { eventId, ...body }, { token: await system.token(as), headers })
}

/** Polls until the job is done. */
async function waitUntilDone(location: string, token: string) {
  const answer = await system.api.get(location, { token, headers: { prefer: 'wait=10' } })
  expect(answer.body.state).toBe('done')
  return answer.body
}

describe('booking and canceling', () => {
  it('answers bookings, waiting-list entries, cancellations and promotions as documented', async () => {
    const eventId = await createEvent(1)
    const booked = await send('/book', eventId, { as: 'ada' })
    expect([booked.status, booked.body]).toEqual([200, { message: 'Ticket booked' }])
    const queued = await send('/book', eventId, { as: 'bob' })
    expect([queued.status, queued.body]).toEqual([200, { message: 'Added to waiting list' }])
    await send('/book', eventId, { as: 'cleo' })
    expect((await system.api.get(`/status/${eventId}`)).body).toEqual({
      eventId,
      availableTickets: 0,
      waitingListCount: 2,
    })

    const canceled = await send('/cancel', eventId, { as: 'ada' })
    expect([canceled.status, canceled.body]).toEqual([200, { message: 'Booking canceled' }])
    const withdrawn = await send('/cancel', eventId, { as: 'cleo' })
    expect([withdrawn.status, withdrawn.body]).toEqual([
      200,
      { message: 'Removed from waiting list' },
    ])
    const me = await system.api.get(`/events/${eventId}/me`, { token: await system.token('bob') })
    expect(me.body).toEqual({
      eventId,
      userId: 'bob',
      standing: 'booked',
      position: null,
      bookingId: expect.any(String),
      expiresAt: null,
      offered: false,
    })
    expect((await system.api.get(`/status/${eventId}`)).body).toEqual({
      eventId,
      availableTickets: 0,
      waitingListCount: 0,
    })
  })

  it('refuses a second claim, with the position if the user is on the waiting list', async () => {
    const eventId = await createEvent(1)
    await send('/book', eventId, { as: 'ada' })
    await send('/book', eventId, { as: 'bob' })
    await send('/book', eventId, { as: 'cleo' })
    const again = await send('/book', eventId, { as: 'ada' })
    expect(again).toMatchObject({ status: 409, body: { code: 'already_booked' } })
    expect(again.headers.get('content-type')).toBe('application/problem+json')
    const waiting = await send('/book', eventId, { as: 'cleo' })
    expect(waiting).toMatchObject({ status: 409, body: { code: 'already_waiting', position: 2 } })
    expect(waiting.headers.get('location')).toMatch(/^\/jobs\//)
  })

  it('puts a user who canceled and books again at the back of the waiting list', async () => {
    const eventId = await createEvent(0)
    for (const as of ['ada', 'bob', 'cleo']) await send('/book', eventId, { as })
    await send('/cancel', eventId, { as: 'ada' })
    await send('/book', eventId, { as: 'ada' })
    const list = await system.api.get(`/events/${eventId}/waiting-list`, { token: organizer })
    expect(list.body.waiting.map((entry: { userId: string }) => entry.userId)).toEqual([
      'bob',
      'cleo',
      'ada',
    ])
  })

  it('refuses to cancel for a user without a claim', async () => {
    const answer = await send('/cancel', await createEvent(1), { as: 'ada' })
    expect(answer).toMatchObject({ status: 404, body: { code: 'booking_not_found' } })
    expect(answer.headers.get('location')).toMatch(/^\/jobs\//)
  })

  it('refuses commands for an event that does not exist', async () => {
    for (const path of ['/book', '/cancel'] as const) {
      const answer = await send(path, 999_999, { as: 'ada' })
      expect(answer).toMatchObject({ status: 404, body: { code: 'event_not_found' } })
    }
  })

  it('lets only staff act for other users', async () => {
    const eventId = await createEvent(5)
    expect(await send('/book', eventId, { as: 'ada', body: { userId: 'bob' } })).toMatchObject({
      status: 403,
      body: { code: 'forbidden' },
    })
    expect((await send('/book', eventId, { as: 'ada', body: { userId: 'ada' } })).status).toBe(200)
    const forBob = await system.api.post('/book', { eventId, userId: 'bob' }, { token: organizer })
    expect(forBob.body).toEqual({ message: 'Ticket booked' })
    const job = await waitUntilDone(
      forBob.headers.get('location') as string,
      await system.token('bob'),
    )
    expect(job).toMatchObject({ userId: 'bob', outcome: 'booked' })
  })

  it('returns the full representation with Prefer: return=representation', async () => {
    const eventId = await createEvent(1)
    const headers = { prefer: 'return=representation' }
    const booked = await send('/book', eventId, { as: 'ada', headers })
    expect(booked.headers.get('preference-applied')).toBe('return=representation')
    expect(booked.body).toEqual({
      message: 'Ticket booked',
      outcome: 'booked',
      jobId: booked.headers.get('location')?.slice('/jobs/'.length),
      eventId,
      userId: 'ada',
      bookingId: expect.any(String),
      decidedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    })
    const queued = await send('/book', eventId, { as: 'bob', headers })
    expect(queued.body).toMatchObject({ outcome: 'waiting', position: 1 })
    const asStaff = await system.api.post(
      '/cancel',
      { eventId, userId: 'ada' },
      { token: organizer, headers },
    )
    expect(asStaff.body).toMatchObject({ outcome: 'canceled', promotedUserId: 'bob' })
    await send('/book', eventId, { as: 'dora' })
    const asUser = await send('/cancel', eventId, { as: 'bob', headers })
    expect(asUser.body.outcome).toBe('canceled')
    expect(asUser.body).not.toHaveProperty('promotedUserId')
  })
})

describe('awaiting and polling a job', () => {
  it('answers 202 at once with respond-async and shows the outcome in the job', async () => {
    const eventId = await createEvent(1)
    const token = await system.token('ada')
    const accepted = await send('/book', eventId, {
      as: 'ada',
      headers: { prefer: 'respond-async' },
    })
    const jobId = accepted.body.jobId as string
    expect(accepted.status).toBe(202)
    expect(accepted.body).toEqual({
      message: 'Request accepted',
      jobId,
      statusUrl: `/jobs/${jobId}`,
    })
    expect(accepted.headers.get('location')).toBe(`/jobs/${jobId}`)
    expect(accepted.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(accepted.headers.get('preference-applied')).toBe('respond-async')
    expect(await waitUntilDone(`/jobs/${jobId}`, token)).toEqual({
      jobId,
      eventId,
      userId: 'ada',
      type: 'book',
      state: 'done',
      ahead: null,
      etaSeconds: null,
      acceptedAt: expect.stringMatching(/Z$/),
      decidedAt: expect.stringMatching(/Z$/),
      outcome: 'booked',
      status: 200,
      body: { message: 'Ticket booked' },
    })
  })

  it('waits as long as the Prefer header says, and names the applied preferences', async () => {
    const eventId = await createEvent(1)
    const both = await send('/book', eventId, {
      as: 'ada',
      headers: { prefer: 'respond-async, wait=60' },
    })
    expect(both.status).toBe(200)
    expect(both.headers.get('preference-applied')).toBe('respond-async, wait=30')
    const malformed = await send('/cancel', eventId, {
      as: 'ada',
      headers: { prefer: 'wait=soon' },
    })
    expect([malformed.status, malformed.headers.get('preference-applied')]).toEqual([200, null])
  })

  it('shows a job to its user and to staff, and answers 404 to others', async () => {
    const booked = await send('/book', await createEvent(1), { as: 'ada' })
    const location = booked.headers.get('location') as string
    expect((await system.api.get(location, { token: organizer })).status).toBe(200)
    expect((await system.api.get(location)).status).toBe(401)
    const stranger = await system.api.get(location, { token: await system.token('eve') })
    const unknown = location.replace(/\.[0-9a-z]{21}\./, `.${'0'.repeat(21)}.`)
    const nobody = await system.api.get(unknown, { token: await system.token('eve') })
    expect(stranger.status).toBe(404)
    expect(stranger.body).toEqual(nobody.body)
  })

  it('shows in a job the exact response that a connected client gets, refusals included', async () => {
    const eventId = await createEvent(0)
    await send('/book', eventId, { as: 'ada' })
    const waited = await send('/book', eventId, { as: 'ada' })
    const job = await waitUntilDone(
      waited.headers.get('location') as string,
      await system.token('ada'),
    )
    expect(job).toMatchObject({
      status: waited.status,
      body: waited.body,
      outcome: 'already_waiting',
    })
    expect(job.body).toEqual(waited.body)
  })
})

describe('Idempotency-Key', () => {
  it('repeats the first response of a key with its position and job, quoted or bare', async () => {
    const eventId = await createEvent(0)
    await send('/book', eventId, { as: 'zoe' })
    const headers = { 'idempotency-key': 'k-1', prefer: 'return=representation' }
    const first = await send('/book', eventId, { as: 'ada', headers })
    expect(first.headers.get('idempotency-replayed')).toBeNull()
    await send('/cancel', eventId, { as: 'zoe' })
    const again = await send('/book', eventId, {
      as: 'ada',
      headers: { ...headers, 'idempotency-key': '"k-1"' },
    })
    expect(again.body).toEqual(first.body)
    expect(again.body.position).toBe(2)
    expect(again.headers.get('location')).toBe(first.headers.get('location'))
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    const spelledOut = await send('/book', eventId, { as: 'ada', headers, body: { userId: 'ada' } })
    expect(spelledOut.headers.get('idempotency-replayed')).toBe('true')
  })

  it('has one effect when a key is sent many times at once', async () => {
    const eventId = await createEvent(10)
    const headers = { 'idempotency-key': 'k-2' }
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => send('/book', eventId, { as: 'ada', headers })),
    )
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]))
    expect(new Set(answers.map((answer) => answer.headers.get('location'))).size).toBe(1)
    expect(
      answers.filter((answer) => answer.headers.get('idempotency-replayed') === null),
    ).toHaveLength(1)
    expect((await system.api.get(`/status/${eventId}`)).body.availableTickets).toBe(9)
  })

  it('refuses a key with another body or path but accepts it from another caller', async () => {
    const [one, other] = [await createEvent(5), await createEvent(5)]
    const headers = { 'idempotency-key': 'k-3' }
    await send('/book', one, { as: 'ada', headers })
    for (const [path, eventId] of [
      ['/book', other],
      ['/cancel', one],
    ] as const) {
      expect(await send(path, eventId, { as: 'ada', headers })).toMatchObject({
        status: 422,
        body: { code: 'idempotency_key_reused' },
      })
    }
    const bobs = await send('/book', one, { as: 'bob', headers })
    expect([bobs.status, bobs.headers.get('idempotency-replayed')]).toEqual([200, null])
  })

  it('repeats a refusal if its key is sent again', async () => {
    const eventId = await createEvent(1)
    const headers = { 'idempotency-key': 'k-4' }
    const first = await send('/cancel', eventId, { as: 'ada', headers })
    expect(first.status).toBe(404)
    await send('/book', eventId, { as: 'ada' })
    const again = await send('/cancel', eventId, { as: 'ada', headers })
    expect(again.status).toBe(404)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
  })

  it.each(['', ' ', '"', 'a\u00e9', 'x'.repeat(129)])(
    'refuses the malformed key %j',
    async (key) => {
      const answer = await send('/book', await createEvent(1), {
        as: 'ada',
        headers: { 'idempotency-key': key },
      })
      expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
    },
  )
})

describe('the API without workers', () => {
  it('accepts commands without a worker and answers them once one starts', async () => {
    const idle = await startSystem({ workers: 0, env: { RESULT_WAIT_MS: '300' } })
    try {
      const staff = await idle.token('olga', 'organizer')
      await idle.api.post('/initialize', { eventId: 1, totalTickets: 1 }, { token: staff })
      const book = async (as: string, prefer: string) =>
        idle.api.post('/book', { eventId: 1 }, { token: await idle.token(as), headers: { prefer } })
      const startedAt = Date.now()
      const ada = await book('ada', 'handling=strict')
      expect(ada.status).toBe(202)
      expect(Date.now() - startedAt).toBeGreaterThan(250)
      const bob = await book('bob', 'wait=1')
      expect(bob.headers.get('preference-applied')).toBe('wait=1')
      const poll = async (jobId: string) => idle.api.get(`/jobs/${jobId}`, { token: staff })
      const first = await poll(ada.body.jobId)
      expect(first.body).toMatchObject({
        state: 'queued',
        ahead: 0,
        etaSeconds: null,
        decidedAt: null,
        outcome: null,
        status: null,
        body: null,
      })
      expect(first.headers.get('retry-after')).toMatch(/^\d+$/)
      expect((await poll(bob.body.jobId)).body).toMatchObject({ state: 'queued', ahead: 1 })

      const longPoll = idle.api.get(`/jobs/${bob.body.jobId}`, {
        token: staff,
        headers: { prefer: 'wait=20' },
      })
      await sleep(50)
      await idle.addWorker()
      expect((await longPoll).body).toMatchObject({ state: 'done', outcome: 'waiting' })
      expect((await poll(ada.body.jobId)).body).toMatchObject({ state: 'done', outcome: 'booked' })
    } finally {
      await idle.stop()
    }
  })

  it('admits at most MAX_QUEUE_DEPTH undecided commands of an event', async () => {
    const full = await startSystem({ workers: 0, env: { MAX_QUEUE_DEPTH: '3' } })
    try {
      const staff = await full.token('olga', 'organizer')
      for (const eventId of [1, 2]) {
        await full.api.post('/initialize', { eventId, totalTickets: 1 }, { token: staff })
      }
      const book = (eventId: number, userId: string) =>
        full.api.post(
          '/book',
          { eventId, userId },
          { token: staff, headers: { prefer: 'respond-async' } },
        )
      const together = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((userId) => book(1, userId)))
      expect(together.filter((answer) => answer.status === 202)).toHaveLength(3)
      const refused = await book(1, 'f')
      expect(refused).toMatchObject({ status: 503, body: { code: 'busy' } })
      expect(refused.headers.get('retry-after')).toMatch(/^\d+$/)
      expect(refused.headers.get('location')).toBeNull()
      expect((await book(2, 'a')).status).toBe(202)
    } finally {
      await full.stop()
    }
  })
})
