import {
  DEFAULT_EVENT_DETAILS,
  DEFAULT_SALE_RULES,
  type EventView,
  OUTCOME_KINDS,
  type Outcome,
  type PublicRequest,
} from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { eventSchema } from '../events/event-body.js'
import { problemSchema } from '../http/problem.js'
import { appliedReturn, outcomeResponse, pollAfter, submitResponse } from './responses.js'
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
    ['held', 200, 'Ticket held'],
    ['confirmed', 200, 'Booking confirmed'],
    ['extended', 200, 'Hold extended'],
    ['released', 200, 'Ticket released'],
    ['event_ended', 200, 'Event canceled'],
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
    ['already_held', 409],
    ['hold_expired', 409],
    ['hold_limit_reached', 409],
    ['sales_not_open', 409],
    ['sales_paused', 409],
    ['sales_closed', 409],
    ['event_canceled', 409],
    ['sold_out', 409],
    ['waiting_list_full', 409],
    ['capacity_below_committed', 409],
    ['version_mismatch', 412],
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

  it('names the hold that the user has, but no booking', () => {
    const found = { bookingId: '7-1', decidedAtMs }
    const held: Outcome = { outcome: 'already_held', expiresAtMs: decidedAtMs + 0.5, ...found }
    expect(outcomeResponse(commandId, request, held).body).toMatchObject({
      bookingId: '7-1',
      expiresAt: '2030-01-31T00:00:00.001Z',
    })
    const booked: Outcome = { outcome: 'already_booked', ...found }
    expect(outcomeResponse(commandId, request, booked).body).not.toHaveProperty('bookingId')
  })

  it.each([
    [1, '1'],
    [1000, '1'],
    [1001, '2'],
    [-1, '1'],
    [86_400_000, '86400'],
  ])('asks a client to wait until a sale opens in %i ms', (leftMs, seconds) => {
    const opensAtMs = decidedAtMs + leftMs
    const response = outcomeResponse(commandId, request, {
      outcome: 'sales_not_open',
      opensAtMs,
      decidedAtMs,
    })
    expect(response.body).toMatchObject({ opensAt: new Date(opensAtMs).toISOString() })
    expect(response.headers).toMatchObject({ 'retry-after': seconds })
  })

  it('says how many tickets are booked or held if the event cannot shrink so far', () => {
    const response = outcomeResponse(commandId, request, {
      outcome: 'capacity_below_committed',
      committed: 12,
      decidedAtMs,
    })
    expect(response.body).toMatchObject({ code: 'capacity_below_committed', committed: 12 })
  })

  it('shows when a hold ends in a representation', () => {
    const outcome: Outcome = {
      outcome: 'extended',
      bookingId: '7-1',
      expiresAtMs: decidedAtMs,
      decidedAtMs,
    }
    const { body } = outcomeResponse(commandId, request, outcome, full)
    expect(decisionSchema.parse(body)).toMatchObject({ expiresAt: '2030-01-31T00:00:00.000Z' })
  })

  it('shows a changed event as decided, in every form', () => {
    const event: EventView = {
      ...DEFAULT_EVENT_DETAILS,
      ...DEFAULT_SALE_RULES,
      eventId: 7,
      version: 3,
      owner: 'olga',
      canceledAtMs: null,
      totalTickets: 10,
      availableTickets: 4,
      heldTickets: 2,
      withheldTickets: 0,
      waitingListCount: 0,
      opensAtMs: decidedAtMs + 1,
    }
    const outcome: Outcome = { outcome: 'configured', event, decidedAtMs }
    for (const representation of [true, false]) {
      const form = { representation, staff: true }
      const response = outcomeResponse(commandId, request, outcome, form)
      expect(eventSchema.parse(response.body)).toMatchObject({
        eventId: 7,
        owner: 'olga',
        state: 'scheduled',
        serverTime: '2030-01-31T00:00:00.000Z',
      })
      expect(response.headers['etag']).toMatch(/^"3\.[\w-]{22}"$/)
      expect(appliedReturn(response, { return: 'minimal' })).toBeUndefined()
      expect(appliedReturn(response, { return: 'representation' })).toBe('representation')
    }
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

describe('Retry-After of an undecided command', () => {
  const earliest = () => 0
  const latest = () => 0.999

  it.each([
    [0, '1', '2'],
    [1, '1', '2'],
    [10, '8', '12'],
    [25, '20', '30'],
    [4000, '20', '30'],
  ])(
    'is about as long as its estimate of %i s, with jitter, and from 1 to 30 s',
    (eta, ...after) => {
      expect([earliest, latest].map((random) => pollAfter(eta, random)['retry-after'])).toEqual(
        after,
      )
    },
  )

  it('is derived from the estimate in a 202, and short if that is unknown', () => {
    const after = (etaSeconds: number | null) =>
      Number(
        submitResponse(
          { ...request, type: 'book' },
          { kind: 'accepted', commandId, etaSeconds },
          {},
          false,
        ).headers['retry-after'],
      )
    expect(after(15)).toBeGreaterThanOrEqual(12)
    expect(after(15)).toBeLessThanOrEqual(18)
    expect(after(null)).toBeLessThanOrEqual(2)
  })
})
