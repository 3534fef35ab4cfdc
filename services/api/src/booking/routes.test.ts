import type { SubmitResult } from '@ticket-line/line/client'
import type { Outcome } from '@ticket-line/shared'
import { describe, expect, it, vi } from 'vitest'
import { messageSchema } from '../http/schemas.js'
import { appUnderTest, booked, call, fakeEvents, fakeLine } from '../testing/app-under-test.js'
import { acceptedSchema, decisionSchema } from './schemas.js'

const commandId = 'event-1.000000000aaaaaaaaaaaa.1.0'
const location = `/jobs/${commandId}`

function appWith(result: SubmitResult = booked) {
  const line = fakeLine(result)
  const submit = vi.spyOn(line, 'submit')
  return { app: appUnderTest({ line }), submit }
}

describe('POST /book', () => {
  it('answers with only the message and names the job', async () => {
    const { app, submit } = appWith()
    const answer = await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })
    expect(answer).toMatchObject({ status: 200, text: '{"message":"Ticket booked"}' })
    expect(answer.headers.get('location')).toBe(location)
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(submit).toHaveBeenCalledWith(
      { type: 'book', eventId: 1, userId: 'ada', caller: 'ada' },
      { waitMs: 10_000, spentMs: 0 },
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
    const { app, submit } = appWith({ kind: 'accepted', commandId })
    const answer = await call(app, 'POST /book', {
      as: 'ada',
      body: { eventId: 1 },
      headers: { prefer },
    })
    expect(submit).toHaveBeenCalledWith(expect.anything(), { waitMs, spentMs: 0 })
    expect(answer.headers.get('preference-applied')).toBe(applied)
  })

  it('answers 202 for a stored, undecided command', async () => {
    const { app } = appWith({ kind: 'accepted', commandId })
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
    [{ kind: 'busy' } as const, 'busy', null],
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

  it('lets staff act for all users, and users only for themselves', async () => {
    const { app, submit } = appWith()
    const body = { eventId: 1, userId: 'bob' }
    expect((await call(app, 'POST /book', { as: 'ada', body })).status).toBe(403)
    expect((await call(app, 'POST /book', { as: 'bob', body })).status).toBe(200)
    for (const role of ['organizer', 'admin']) {
      expect((await call(app, 'POST /book', { as: `eve ${role}`, body })).status).toBe(200)
      expect(submit).toHaveBeenLastCalledWith(
        expect.objectContaining({ userId: 'bob', caller: 'eve' }),
        expect.anything(),
      )
    }
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

  it('makes no query for a known event', async () => {
    const exists = vi.fn()
    const app = appUnderTest({ events: fakeEvents({ knows: () => true, exists }) })
    expect((await call(app, 'POST /book', { as: 'ada', body: { eventId: 1 } })).status).toBe(200)
    expect(exists).not.toHaveBeenCalled()
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

  it('shows the promoted user only to staff', async () => {
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
    const asStaff = await call(app, 'POST /cancel', { as: 'ada organizer', body, headers })
    expect(asUser.text).not.toContain('zoe')
    expect(asStaff.json.promotedUserId).toBe('zoe')
  })
})
