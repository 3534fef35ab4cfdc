import type { Pool } from '@ticket-line/db'
import type { SubmitResult } from '@ticket-line/line/client'
import type { Outcome } from '@ticket-line/shared'
import { describe, expect, it, vi } from 'vitest'
import { problemSchema } from '../http/problem.js'
import { messageSchema } from '../http/schemas.js'
import { createConcurrencyLimit } from '../limits/concurrency.js'
import { createMetrics } from '../operations/metrics.js'
import {
  appUnderTest,
  booked,
  call,
  fakeAccess,
  fakeLine,
  fakeSales,
} from '../testing/app-under-test.js'
import { createSales } from './sales.js'
import { acceptedSchema, decisionSchema } from './schemas.js'

const commandId = 'event-1.000000000aaaaaaaaaaaa.1.0'
const location = `/jobs/${commandId}`

function appWith(result: SubmitResult = booked, sales = fakeSales()) {
  const line = fakeLine(result)
  const submit = vi.spyOn(line, 'submit')
  return { app: appUnderTest({ line, sales }), submit }
}

const decided = (outcome: Outcome): SubmitResult => ({ kind: 'decided', commandId, outcome })

describe('POST /book', () => {
  it('answers with only the message and names the job', async () => {
    const { app, submit } = appWith()
    const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })
    expect(answer).toMatchObject({ status: 200, text: '{"message":"Ticket booked"}' })
    expect(answer.headers.get('location')).toBe(location)
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(submit).toHaveBeenCalledWith(
      { type: 'book', eventId: 1, userId: 'ada', caller: 'ada' },
      { waitMs: 10_000, spentMs: expect.any(Number) },
    )
  })

  it.each([
    ['wait=3', 3000, 'wait=3'],
    ['wait=300', 30_000, 'wait=30'],
    ['wait=0', 0, 'wait=0'],
    ['respond-async', 0, 'respond-async'],
    ['respond-async, wait=2', 2000, 'respond-async, wait=2'],
    ['wait=soon', 10_000, null],
  ])('waits as long as `Prefer: %s` says', async (prefer, waitMs, applied) => {
    const { app, submit } = appWith({ kind: 'accepted', commandId, etaSeconds: null })
    const answer = await call(app, 'POST /book', {
      as: 'ada',
      body: { eventId: 1 },
      headers: { prefer },
    })
    expect(submit).toHaveBeenCalledWith(expect.anything(), expect.objectContaining({ waitMs }))
    expect(answer.headers.get('preference-applied')).toBe(applied)
  })

  it('answers 202 for a stored, undecided command', async () => {
    const { app } = appWith({ kind: 'accepted', commandId, etaSeconds: null })
    const headers = { prefer: 'return=representation' }
    const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 }, headers })
    expect(answer.status).toBe(202)
    expect(acceptedSchema.parse(answer.json)).toEqual({
      message: 'Request accepted',
      jobId: commandId,
      statusUrl: location,
    })
    expect(answer.headers.get('location')).toBe(location)
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(answer.headers.get('preference-applied')).toBeNull()
  })

  it('returns details in a representation', async () => {
    const { app } = appWith()
    const headers = { prefer: 'return=representation, wait=1' }
    const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 }, headers })
    expect(decisionSchema.parse(answer.json)).toMatchObject({
      outcome: 'booked',
      bookingId: '1-6',
    })
    expect(answer.headers.get('preference-applied')).toBe('wait=1, return=representation')
  })

  it('refuses a second request with the position of the first', async () => {
    const outcome: Outcome = { outcome: 'already_waiting', position: 4, decidedAtMs: 0 }
    const { app } = appWith({ kind: 'decided', commandId, outcome })
    const headers = { prefer: 'return=representation' }
    const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 }, headers })
    expect(answer).toMatchObject({ status: 409, json: { code: 'already_waiting', position: 4 } })
    expect(answer.headers.get('location')).toBe(location)
    expect(answer.headers.get('preference-applied')).toBeNull()
  })

  it.each([
    [{ kind: 'busy', limit: 'line_depth' } as const, 'busy', null],
    [{ kind: 'unavailable' } as const, 'unavailable', null],
    [{ kind: 'unavailable', commandId } as const, 'unavailable', location],
    [{ kind: 'unknown', commandId } as const, 'unknown', location],
  ])('answers 503 for the result %j', async (result, code, place) => {
    const { app } = appWith(result)
    const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })
    expect(answer).toMatchObject({ status: 503, json: { code } })
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(answer.headers.get('location')).toBe(place)
  })

  it('lets staff of the event act for all users, and others only for themselves', async () => {
    const { app, submit } = appWith()
    const body = { eventId: 1, userId: 'bob' }
    expect((await call(app, 'POST /book', { as: 'ada', body })).status).toBe(403)
    expect((await call(app, 'POST /book', { as: 'ulla organizer', body })).status).toBe(403)
    for (const as of ['bob', 'bob organizer']) {
      expect((await call(app, 'POST /book', { as, body })).status).toBe(200)
    }
    for (const as of ['olga organizer', 'otto organizer', 'eve admin']) {
      expect((await call(app, 'POST /book', { as, body })).status).toBe(200)
      expect(submit).toHaveBeenLastCalledWith(
        expect.objectContaining({ userId: 'bob', caller: as.split(' ')[0] }),
        expect.anything(),
      )
    }
  })

  it('tells organizers that an event does not exist, and other users only what they may do', async () => {
    const { app } = appWith()
    const body = { eventId: 99, userId: 'bob' }
    expect((await call(app, 'POST /book', { as: 'ada', body })).status).toBe(403)
    expect(await call(app, 'POST /book', { as: 'olga organizer', body })).toMatchObject({
      status: 404,
      json: { code: 'event_not_found' },
    })
  })

  it('does not ask who is staff if users book for themselves', async () => {
    const staffOf = vi.spyOn(fakeAccess, 'staffOf')
    const { app } = appWith()
    for (const as of ['ada', 'ulla organizer'])
      expect((await call(app, 'POST /book', { as, body: { eventId: 1 } })).status).toBe(200)
    expect(staffOf).not.toHaveBeenCalled()
    staffOf.mockRestore()
  })

  it('submits the hash of the key and not the key', async () => {
    const { app, submit } = appWith()
    for (const key of ['secret-key', '"secret-key"']) {
      await call(app, 'POST /book', {
        as: 'ada',
        body: { eventId: 1 },
        headers: { 'idempotency-key': key },
      })
    }
    const [first, second] = submit.mock.calls.map(([request]) => request.keyHash)
    expect(first).toMatch(/^[\w-]{43}$/)
    expect(second).toBe(first)
  })

  it('makes no query for an event that was open a moment ago', async () => {
    const read = vi.fn()
    const recall = () => ({ isOpen: true, isPlain: true })
    const line = fakeLine(booked)
    const submit = vi.spyOn(line, 'submit')
    const app = appUnderTest({ line, sales: { ...fakeSales(), recall, read } })
    expect((await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })).status).toBe(200)
    expect(read).not.toHaveBeenCalled()
    expect(submit).toHaveBeenCalledWith(expect.anything(), { waitMs: 10_000, spentMs: 0 })
  })

  it('reads the event again if it was not open a moment ago', async () => {
    const recall = () => ({ isOpen: false, isPlain: false })
    const app = appUnderTest({ sales: { ...fakeSales(), recall } })
    expect((await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })).status).toBe(200)
  })

  it('counts the time of its read into the time it has for an error', async () => {
    const sales = fakeSales()
    const read: typeof sales.read = async (question) => {
      await new Promise((resolve) => setTimeout(resolve, 30))
      return sales.read(question)
    }
    const { submit, app } = appWith(booked, { ...sales, read })
    await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })
    expect(submit.mock.calls[0]?.[1].spentMs).toBeGreaterThan(20)
  })

  it('refuses an early booking without a job, and says when the sale opens', async () => {
    const nowMs = Date.UTC(2030, 0)
    const { app, submit } = appWith(booked, fakeSales({ nowMs, opensAtMs: nowMs + 61_500 }))
    const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })
    expect(answer).toMatchObject({
      status: 409,
      json: { code: 'sales_not_open', opensAt: '2030-01-01T00:01:01.500Z' },
    })
    expect(problemSchema.parse(answer.json)).toEqual(answer.json)
    expect(answer.headers.get('retry-after')).toBe('62')
    expect(answer.headers.get('location')).toBeNull()
    expect(submit).not.toHaveBeenCalled()
  })

  it.each([
    ['paused', { paused: true }, 'sales_paused'],
    ['closed', { closesAtMs: 0 }, 'sales_closed'],
    ['canceled', { canceledAtMs: 0 }, 'event_canceled'],
  ])('refuses a booking of a %s event without a job', async (_, changes, code) => {
    const metrics = createMetrics()
    const line = fakeLine(booked)
    const submit = vi.spyOn(line, 'submit')
    const app = appUnderTest({ line, sales: fakeSales(changes), metrics })
    const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })
    expect(answer).toMatchObject({ status: 409, json: { code } })
    expect(answer.headers.get('location')).toBeNull()
    expect(submit).not.toHaveBeenCalled()
    const { values } = await metrics.refusedEarly.get()
    expect(values.filter(({ value }) => value > 0)).toMatchObject([{ labels: { outcome: code } }])
    expect(values).toHaveLength(4)
  })

  it('refuses with 503 before it refuses an early booking', async () => {
    const app = appUnderTest({
      sales: fakeSales({ paused: true }),
      availability: { redis: () => false, postgres: () => true },
    })
    const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })
    expect(answer).toMatchObject({ status: 503, json: { code: 'unavailable' } })
  })

  it('reads for 300 early bookings of one moment with a few queries', async () => {
    const query = vi.fn(async ({ values }: { values: unknown[][] }) => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      const rows = (values[0] as number[]).map((_, index) => ({
        question: String(index + 1),
        now_ms: 0,
        opens_at: 1,
        canceled_at: null,
        closes_at: null,
      }))
      return { rows }
    })
    const sales = createSales({
      pool: { query } as unknown as Pool,
      postgres: { availability: { postgres: () => true }, timeoutMs: 5000 },
      knownEvents: 10,
    })
    const app = appUnderTest({ sales, requests: createConcurrencyLimit(1000) })
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, n) =>
        call(app, 'POST /book', { as: `fan-${n}`, body: { eventId: 1 } }),
      ),
    )
    expect(new Set(answers.map(({ json }) => json.code))).toEqual(new Set(['sales_not_open']))
    expect(query.mock.calls.length).toBeLessThanOrEqual(5)
  })

  it('asks for the claim of the user and the key of the caller', async () => {
    const sales = fakeSales()
    const read = vi.spyOn(sales, 'read')
    const { app } = appWith(booked, sales)
    await call(app, 'POST /book', {
      as: 'eve admin',
      body: { eventId: 1, userId: 'bob' },
      headers: { 'idempotency-key': 'k' },
    })
    const key = { caller: 'eve', keyHash: expect.stringMatching(/^[\w-]{43}$/) }
    expect(read).toHaveBeenCalledWith({ eventId: 1, userId: 'bob', key }, expect.any(Number))
  })
})

describe('POST /cancel', () => {
  it('submits a cancel command', async () => {
    const outcome: Outcome = { outcome: 'withdrawn', decidedAtMs: 0 }
    const { app, submit } = appWith({ kind: 'decided', commandId, outcome })
    const answer = await call(app, 'POST /cancel', { as: 'ada', body: { eventId: 1 } })
    expect(messageSchema.parse(answer.json)).toEqual({ message: 'Removed from waiting list' })
    expect(submit).toHaveBeenCalledWith(
      expect.objectContaining({ type: 'cancel' }),
      expect.anything(),
    )
  })

  it('shows the promoted user only to staff of the event', async () => {
    const outcome: Outcome = {
      outcome: 'canceled',
      promotedUserId: 'zoe',
      bookingId: '1-1',
      decidedAtMs: 0,
    }
    const { app } = appWith({ kind: 'decided', commandId, outcome })
    const headers = { prefer: 'return=representation' }
    const body = { eventId: 1 }
    const asUser = await call(app, 'POST /cancel', { as: 'ada', body, headers })
    const asOther = await call(app, 'POST /cancel', { as: 'ada organizer', body, headers })
    const asStaff = await call(app, 'POST /cancel', { as: 'otto organizer', body, headers })
    expect(asUser.text + asOther.text).not.toContain('zoe')
    expect(asStaff.json.promotedUserId).toBe('zoe')
  })
})

describe('POST /confirm', () => {
  const outcome: Outcome = { outcome: 'confirmed', bookingId: '1-6', decidedAtMs: 0 }

  it('submits the booking that it names', async () => {
    const { app, submit } = appWith(decided(outcome), fakeSales({ isPlain: false }))
    const body = { eventId: 1, bookingId: '1-6' }
    const answer = await call(app, 'POST /confirm', { as: 'ada', body })
    expect(answer).toMatchObject({ status: 200, text: '{"message":"Booking confirmed"}' })
    expect(submit).toHaveBeenCalledWith(
      { type: 'confirm', eventId: 1, userId: 'ada', caller: 'ada', bookingId: '1-6' },
      expect.anything(),
    )
  })

  it('is for staff alone if the event says so, by rows that are read for each request', async () => {
    const sales = fakeSales({ confirmation: 'staff' })
    const recall = () => ({ isOpen: true, isPlain: false })
    const { app, submit } = appWith(decided(outcome), { ...sales, recall })
    const body = { eventId: 1, userId: 'ada' }
    const asHolder = await call(app, 'POST /confirm', { as: 'ada', body })
    expect(asHolder).toMatchObject({ status: 403, json: { code: 'forbidden' } })
    expect(submit).not.toHaveBeenCalled()
    expect((await call(app, 'POST /confirm', { as: 'olga organizer', body })).status).toBe(200)
  })

  it('answers 404 for an unknown event', async () => {
    const { app } = appWith()
    const answer = await call(app, 'POST /confirm', { as: 'ada', body: { eventId: 2 } })
    expect(answer).toMatchObject({ status: 404, json: { code: 'event_not_found' } })
  })

  it.each([{ bookingId: '' }, { bookingId: 'x'.repeat(65) }, { bookingId: 7 }, { seconds: 5 }])(
    'refuses the body %j',
    async (members) => {
      const { app } = appWith()
      const answer = await call(app, 'POST /confirm', {
        as: 'ada',
        body: { eventId: 1, ...members },
      })
      expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_request' } })
    },
  )
})

describe('POST /extend', () => {
  const expiresAtMs = Date.UTC(2030, 0)
  const outcome: Outcome = { outcome: 'extended', bookingId: '1-6', expiresAtMs, decidedAtMs: 0 }

  it('is for staff, and shows when the hold ends', async () => {
    const { app, submit } = appWith(decided(outcome))
    const body = { eventId: 1, userId: 'ada', bookingId: '1-6', seconds: 60 }
    expect((await call(app, 'POST /extend', { as: 'ada', body })).status).toBe(403)
    const headers = { prefer: 'return=representation' }
    const answer = await call(app, 'POST /extend', { as: 'olga organizer', body, headers })
    expect(decisionSchema.parse(answer.json)).toMatchObject({
      message: 'Hold extended',
      bookingId: '1-6',
      expiresAt: '2030-01-01T00:00:00.000Z',
    })
    expect(submit).toHaveBeenCalledWith(
      {
        type: 'extend',
        eventId: 1,
        userId: 'ada',
        caller: 'olga',
        bookingId: '1-6',
        seconds: 60,
      },
      expect.anything(),
    )
  })

  it.each([0, 604_801, 1.5, '60', null])('refuses %j seconds', async (seconds) => {
    const { app } = appWith()
    const body = { eventId: 1, seconds }
    const answer = await call(app, 'POST /extend', { as: 'olga admin', body })
    expect(answer.json.errors).toEqual([{ pointer: '/seconds', detail: expect.any(String) }])
  })
})

describe('the hash of a request', () => {
  const headers = { 'idempotency-key': 'k' }
  const hashOf = async (path: string, body: object, more: Record<string, string> = {}) => {
    const { app, submit } = appWith()
    await call(app, path, { as: 'olga admin', body, headers: { ...headers, ...more } })
    return submit.mock.calls[0]?.[0].requestHash
  }

  it('is absent if the request asks for nothing beyond its event and user', async () => {
    expect(await hashOf('POST /book', { eventId: 1 })).toBeUndefined()
    expect(await hashOf('POST /cancel', { eventId: 1, userId: 'ada' })).toBeUndefined()
    expect(await hashOf('PATCH /events/1', {})).toBeUndefined()
    expect(await hashOf('POST /events/1/cancel', {})).toBeUndefined()
    const grant = { userId: 'ada', raiseCapacity: false }
    expect(await hashOf('POST /events/1/grants', grant)).toBeUndefined()
  })

  it('is absent without a key', async () => {
    const { app, submit } = appWith()
    await call(app, 'POST /cancel', { as: 'ada', body: { eventId: 1, bookingId: '1-1' } })
    expect(submit.mock.calls[0]?.[0]).not.toHaveProperty('requestHash')
  })

  it('depends on what the members mean, and not on their order', async () => {
    const hash = await hashOf('PATCH /events/1', { name: 'x', opensAt: '2030-01-01T00:00:00Z' })
    expect(hash).toMatch(/^[\w-]{43}$/)
    const same = { opensAt: '2030-01-01T01:00:00+01:00', name: 'x', shrink: false }
    expect(await hashOf('PATCH /events/1', same)).toBe(hash)
    for (const other of [
      { name: 'x' },
      { name: 'x', opensAt: null },
      { name: 'x', opensAt: '2030-01-01T00:00:00Z', shrink: true },
    ])
      expect(await hashOf('PATCH /events/1', other)).not.toBe(hash)
  })

  it('depends on If-Match', async () => {
    const hashes = await Promise.all(
      [{}, { 'if-match': `"1.${'a'.repeat(22)}"` }, { 'if-match': '"foreign"' }].map((more) =>
        hashOf('PATCH /events/1', { name: 'x' }, more as Record<string, string>),
      ),
    )
    expect(new Set(hashes).size).toBe(3)
  })

  it('depends on the booking, the seconds, the reason and whether the event may grow', async () => {
    const hashes = await Promise.all([
      hashOf('POST /cancel', { eventId: 1, bookingId: '1-1' }),
      hashOf('POST /cancel', { eventId: 1, bookingId: '1-2' }),
      hashOf('POST /extend', { eventId: 1, seconds: 5 }),
      hashOf('POST /events/1/cancel', { reason: 'rain' }),
      hashOf('POST /events/1/grants', { userId: 'ada', raiseCapacity: true }),
    ])
    expect(new Set(hashes).size).toBe(5)
    expect(hashes).not.toContain(undefined)
  })
})
