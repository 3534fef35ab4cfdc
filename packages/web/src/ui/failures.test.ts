import { type ErrorCode, NoAnswerError, TicketLineError } from '@ticket-line/client'
import { describe, expect, it } from 'vitest'
import { explain } from './failures.js'

function errorOf(code: ErrorCode, extra: object = {}, headers?: Headers) {
  const message = 'What the API says.'
  const problem = { type: '', title: '', status: 400, code, message, detail: message, ...extra }
  return new TicketLineError(problem, { headers })
}

describe('an error', () => {
  it('is explained by what happened and what to do next', () => {
    expect(explain(errorOf('sales_paused'))).toEqual({
      text: 'The sale is paused. Please try again later.',
      details: [],
      mayRetry: false,
    })
  })

  it('with a code that has no sentence of its own keeps that of the API', () => {
    expect(explain(errorOf('method_not_allowed')).text).toBe('What the API says.')
  })

  it('of a form names the fields', () => {
    const errors = [{ pointer: '/totalTickets', detail: 'must be an integer' }]
    expect(explain(errorOf('invalid_request', { errors }))).toEqual({
      text: 'What the API says.',
      details: ['totalTickets must be an integer'],
      mayRetry: false,
    })
  })

  it('says when calls work again if there were too many', () => {
    const failedAtMs = Date.parse('2030-01-31T18:00:00Z')
    const limited = errorOf('rate_limited', {}, new Headers({ 'retry-after': '600' }))
    const time = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' })
    expect(explain(limited, failedAtMs).text).toBe(
      `You have sent too many requests. Try again at ${time.format(failedAtMs + 600_000)}.`,
    )
    expect(explain(errorOf('rate_limited')).text).toContain('Please wait a few minutes.')
  })

  it('names the position on the waiting list', () => {
    expect(explain(errorOf('already_waiting', { position: 1700 })).text).toMatch(
      /at position 1\D?700/,
    )
  })

  it.each([
    [errorOf('busy'), true],
    [errorOf('unavailable'), true],
    [errorOf('rate_limited'), true],
    [new NoAnswerError('no'), true],
    [errorOf('sold_out'), false],
    [errorOf('forbidden'), false],
  ])('may be tried again only if that can help: %o', (error, mayRetry) => {
    expect(explain(error).mayRetry).toBe(mayRetry)
  })

  it('is about the connection if no answer came, and otherwise about the page', () => {
    expect(explain(new NoAnswerError('GET http://api got no answer')).text).toContain('connection')
    expect(explain(new RangeError('x is not iterable')).text).toBe(
      'Something went wrong on this page. Please load it again.',
    )
  })
})
