import { OUTCOME_KINDS, type Outcome, type PublicRequest } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { problemSchema } from '../http/problem.js'
import { outcomeResponse } from './responses.js'
import { decisionSchema } from './schemas.js'

const commandId = 'event-7.x.2.1'
const request: PublicRequest = { type: 'book', eventId: 7, userId: 'ada', caller: 'ada' }
const decidedAtMs = Date.UTC(2030, 0, 31)
const full = { representation: true, staff: false }

describe('outcomeResponse', () => {
  it.each([
    ['booked', 200, 'Ticket booked'],
    ['waiting', 200, 'Added to waiting list'],
    ['canceled', 200, 'Booking canceled'],
    ['withdrawn', 200, 'Removed from waiting list'],
  ] as const)('answers %s with only its message', (outcome, status, message) => {
    const response = outcomeResponse(commandId, request, {
      outcome,
      decidedAtMs,
      bookingId: '7-1',
      position: 3,
    })
    expect(response).toEqual({
      status,
      headers: { location: '/jobs/event-7.x.2.1' },
      body: { message },
    })
  })

  it.each([
    ['already_booked', 409],
    ['already_waiting', 409],
    ['booking_not_found', 404],
    ['event_not_found', 404],
    ['idempotency_key_reused', 422],
    ['rejected', 500],
  ] as const)('answers %s with a problem that names the job', (outcome, status) => {
    const response = outcomeResponse(commandId, request, { outcome, decidedAtMs }, full)
    expect(response.status).toBe(status)
    expect(response.headers).toMatchObject({ location: '/jobs/event-7.x.2.1' })
    expect(problemSchema.parse(response.body)).toMatchObject({ code: outcome, status })
  })

  it('has a response for every outcome', () => {
    for (const outcome of OUTCOME_KINDS)
      expect(outcomeResponse(commandId, request, { outcome, decidedAtMs }).body).not.toBeNull()
  })

  it('contains the position if the user is already on the waiting list', () => {
    const response = outcomeResponse(commandId, request, {
      outcome: 'already_waiting',
      position: 4,
      decidedAtMs,
    })
    expect(response.body).toMatchObject({ position: 4 })
  })

  it('contains all details in a representation, and the promoted user only for staff', () => {
    const outcome: Outcome = {
      outcome: 'canceled',
      bookingId: '7-1',
      promotedUserId: 'bob',
      decidedAtMs,
    }
    const { body } = outcomeResponse(commandId, request, outcome, {
      representation: true,
      staff: true,
    })
    expect(decisionSchema.parse(body)).toEqual({
      message: 'Booking canceled',
      outcome: 'canceled',
      jobId: 'event-7.x.2.1',
      eventId: 7,
      userId: 'ada',
      bookingId: '7-1',
      promotedUserId: 'bob',
      decidedAt: '2030-01-31T00:00:00.000Z',
    })
    expect(outcomeResponse(commandId, request, outcome, full).body).not.toHaveProperty(
      'promotedUserId',
    )
  })

  it('names the first job in a repeated response', () => {
    const outcome: Outcome = {
      outcome: 'waiting',
      position: 9,
      replayOf: 'event-7.w.1.0',
      decidedAtMs,
    }
    const response = outcomeResponse(commandId, request, outcome, full)
    expect(response.headers).toEqual({
      location: '/jobs/event-7.w.1.0',
      'idempotency-replayed': 'true',
    })
    expect(response.body).toMatchObject({ jobId: 'event-7.w.1.0', position: 9 })
  })
})
