import { describe, expect, it } from 'vitest'
import { createFormat } from '../format.js'
import { type ListedEvent, summaryOf } from './event-summary.js'

const format = createFormat('en-US', 'UTC')
const concert: ListedEvent = {
  eventId: 1001,
  name: 'Summer concert',
  startsAt: '2030-01-31T18:00:00.000Z',
  state: 'open',
  totalTickets: 5000,
  availableTickets: 1200,
  waitingListCount: 0,
}
const summary = (changes: Partial<ListedEvent>) => summaryOf({ ...concert, ...changes }, format)

describe('an event on the home page', () => {
  it('has its name, its day and the number of tickets left', () => {
    expect(summary({})).toEqual({
      name: 'Summer concert',
      day: 'Thursday, January 31, 2030',
      now: '1,200 tickets left',
    })
  })

  it('has its number if it has no name, and no day if it has no start', () => {
    expect(summary({ name: null, startsAt: null })).toMatchObject({
      name: 'Event 1001',
      day: undefined,
    })
  })

  it.each([
    [{ availableTickets: 1 }, '1 ticket left'],
    [{ availableTickets: 0 }, 'All tickets are taken.'],
    [{ availableTickets: 0, waitingListCount: 1 }, 'All tickets are taken. 1 person is waiting.'],
    [
      { availableTickets: 0, waitingListCount: 17 },
      'All tickets are taken. 17 people are waiting.',
    ],
    [{ state: 'scheduled' }, 'The sale has not begun yet.'],
    [{ state: 'paused' }, 'The sale is paused.'],
  ] as const)('says what a visitor can expect now: %o', (changes, now) => {
    expect(summary(changes).now).toBe(now)
  })
})
