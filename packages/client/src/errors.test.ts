import { describe, expect, expectTypeOf, it } from 'vitest'
import { errorOf, hasCode, TicketLineError } from './errors.js'

const problem = {
  type: 'urn:ticket-line:problem:already_held',
  title: 'Conflict',
  status: 409,
  code: 'already_held',
  message: 'This user already holds a ticket for this event.',
  detail: 'This user already holds a ticket for this event.',
  bookingId: '1001-7',
  expiresAt: '2030-01-31T18:00:00.000Z',
} as const

const refuse = (status: number, headers: Record<string, string> = {}) =>
  new Response(null, { status, headers, statusText: 'Some Text' })

describe('an error of the API', () => {
  it('has the problem, the job, the request, and when to ask again', () => {
    const headers = {
      location: '/jobs/event-1001.abc.0',
      'x-request-id': 'r-1',
      'retry-after': '12',
    }
    const error = errorOf(refuse(409, headers), problem)

    expect(error).toBeInstanceOf(TicketLineError)
    expect(error).toMatchObject({
      name: 'TicketLineError',
      message: problem.message,
      code: 'already_held',
      status: 409,
      problem,
      jobId: 'event-1001.abc.0',
      requestId: 'r-1',
      retryAfterSeconds: 12,
    })
  })

  it('has the code rate_limited for 429, whose body has none', () => {
    const message = 'Too many requests from this IP, please try again later.'
    expect(errorOf(refuse(429, { 'retry-after': '900' }), { message })).toMatchObject({
      code: 'rate_limited',
      message,
      retryAfterSeconds: 900,
    })
  })

  it.each([502, 404])('has the code unexpected_answer for a page of a proxy: %i', (status) => {
    expect(errorOf(refuse(status), '<html>')).toMatchObject({
      code: 'unexpected_answer',
      status,
      message: `The answer was ${status} Some Text.`,
    })
  })
})

describe('hasCode', () => {
  const error: unknown = new TicketLineError(problem)

  it('tells whether an error has one of some codes', () => {
    expect(hasCode(error, 'already_held')).toBe(true)
    expect(hasCode(error, 'sold_out', 'already_held')).toBe(true)
    expect(hasCode(error, 'sold_out')).toBe(false)
    expect(hasCode(new Error('no'), 'sold_out')).toBe(false)
  })

  it('tells whether an error is an answer of the API at all', () => {
    expect(hasCode(error)).toBe(true)
    expect(hasCode(new Error('no'))).toBe(false)
  })

  it('knows the members that a code has', () => {
    if (hasCode(error, 'already_held'))
      expectTypeOf(error.problem.expiresAt).toEqualTypeOf<string>()
    if (hasCode(error, 'sold_out'))
      expectTypeOf(error.problem.expiresAt).toEqualTypeOf<string | undefined>()
    // @ts-expect-error: there is no such code
    hasCode(error, 'sold_ut')
  })
})
