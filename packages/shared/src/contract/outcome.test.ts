import { describe, expect, it } from 'vitest'
import { bookingIdOf, sequenceOfBookingId } from './outcome.js'

describe('sequenceOfBookingId', () => {
  it('returns the number in the id of a booking', () => {
    expect(sequenceOfBookingId(7, bookingIdOf(7, 12))).toBe(12)
  })

  it.each([
    '8-12',
    '7-',
    '7-0',
    '7-012',
    '7--12',
    '7- 12',
    '7-1.5',
    '7-1e+300',
    '7-NaN',
    '7-Infinity',
    '7-9007199254740993',
    '12',
    '',
  ])('returns nothing for %j, which is the id of no booking of event 7', (bookingId) => {
    expect(sequenceOfBookingId(7, bookingId)).toBeUndefined()
  })
})
