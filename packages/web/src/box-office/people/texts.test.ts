import { TicketLineError } from '@ticket-line/client'
import { describe, expect, test } from 'vitest'
import { grantedText, refusalText, removedText, type StaffAction } from './texts.js'

const decided = {
  message: '',
  jobId: 'event-1001.0mpb3k2x17c4e90ad52b6.1.0',
  eventId: 1001,
  userId: 'ada',
  decidedAt: '2030-01-31T18:00:00.000Z',
}

type Code = ConstructorParameters<typeof TicketLineError>[0]['code']

function refusal(code: Code): TicketLineError {
  const message = 'Refused.'
  return new TicketLineError({
    type: 'about:blank',
    title: 'Conflict',
    status: 409,
    code,
    message,
    detail: message,
  })
}

describe('the text about a removed person', () => {
  test('says whether they had a booking, a hold or a waiting-list entry', () => {
    const textOf = (outcome: 'canceled' | 'released' | 'withdrawn'): string =>
      removedText({ ...decided, outcome })
    expect(textOf('canceled')).toBe('The booking of ada is canceled.')
    expect(textOf('released')).toBe('The held ticket of ada is released.')
    expect(textOf('withdrawn')).toBe('ada is no longer on the waiting list.')
  })

  test('names the person who gets the ticket', () => {
    const text = removedText({ ...decided, outcome: 'canceled', promotedUserId: 'grace' })
    expect(text).toContain('The ticket goes to grace')
  })
})

test('the text about a grant says whether the ticket was held before', () => {
  const grant = { ...decided, bookingId: '1001-7' }
  expect(grantedText({ ...grant, outcome: 'booked' })).toBe('ada has a ticket now (1001-7).')
  expect(grantedText({ ...grant, outcome: 'confirmed' })).toBe(
    'The held ticket of ada is now a booking (1001-7).',
  )
})

describe('a refusal', () => {
  test.each([
    ['remove', 'booking_not_found'],
    ['remove', 'hold_expired'],
    ['remove', 'event_canceled'],
    ['confirm', 'booking_not_found'],
    ['confirm', 'hold_expired'],
    ['confirm', 'already_waiting'],
    ['extend', 'hold_limit_reached'],
    ['extend', 'already_booked'],
    ['grant', 'already_booked'],
    ['grant', 'sold_out'],
  ] satisfies [StaffAction, Code][])('to %s because of %s is explained', (action, code) => {
    expect(refusalText(refusal(code), action, 'ada')).toMatch(/\.$/)
  })

  test('has different words for removing a person and for confirming a hold', () => {
    const error = refusal('hold_expired')
    expect(refusalText(error, 'remove', 'ada')).not.toBe(refusalText(error, 'confirm', 'ada'))
  })

  test('is not explained here if it is about the caller or the service', () => {
    expect(refusalText(refusal('forbidden'), 'remove', 'ada')).toBeUndefined()
    expect(refusalText(refusal('busy'), 'grant', 'ada')).toBeUndefined()
    expect(refusalText(new Error('no answer'), 'grant', 'ada')).toBeUndefined()
  })
})
