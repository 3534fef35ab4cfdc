import { describe, expect, it } from 'vitest'
import { createFormat } from './format.js'

const plain = (text: string) => text.replaceAll(/[\u00a0\u202f]/g, ' ')
const american = createFormat('en-US', 'America/New_York')
const german = createFormat('de', 'Europe/Zurich')
const START = '2030-01-31T18:00:00.000Z'

describe('numbers and times', () => {
  it('have the form of the visitor’s locale', () => {
    expect(american.number(1234567)).toBe('1,234,567')
    expect(german.number(1234567)).toBe('1.234.567')
    expect(american.plural(1, 'ticket', 'tickets')).toBe('1 ticket')
    expect(american.plural(0, 'ticket', 'tickets')).toBe('0 tickets')
    expect(american.plural(2000, 'ticket', 'tickets')).toBe('2,000 tickets')
  })

  it('are in the visitor’s time zone by default', () => {
    expect(american.day(START)).toBe('Thursday, January 31, 2030')
    expect(plain(american.time(START))).toBe('1:00 PM')
    expect(german.time(START)).toBe('19:00')
    expect(plain(american.moment(START))).toBe('Jan 31, 2030, 1:00 PM')
  })

  it('are in the event’s time zone if it is given, and name it if it differs', () => {
    expect(plain(american.time(START, 'Europe/Zurich'))).toBe('7:00 PM GMT+1')
    expect(german.time(START, 'Europe/Zurich')).toBe('19:00')
    expect(german.time(START, 'Europe/Paris')).toBe('19:00')
    expect(german.day('2030-01-31T23:30:00Z', 'America/New_York')).toBe(
      'Donnerstag, 31. Januar 2030',
    )
  })

  it('are in the visitor’s time zone if the browser does not know that of the event', () => {
    expect(german.time(START, 'Mars/Olympus')).toBe('19:00')
    expect(german.time(START, null)).toBe('19:00')
  })

  it('name the day only if it is not today', () => {
    const nowMs = Date.parse(START)
    expect(plain(american.until('2030-01-31T18:30:00Z', nowMs))).toBe('1:30 PM')
    expect(plain(american.until('2030-02-01T06:00:00Z', nowMs))).toBe('Feb 1, 1:00 AM')
  })

  it('name the day of a period once, and leave out an end that is unknown', () => {
    const end = '2030-01-31T20:30:00.000Z'
    const period = (...times: Parameters<typeof american.period>) =>
      plain(american.period(...times)).replaceAll('\u2009', ' ')
    expect(period(START, end)).toBe('Thursday, January 31, 2030, 1:00 – 3:30 PM')
    expect(period(START, end, 'Europe/Zurich')).toBe(
      'Thursday, January 31, 2030, 7:00 – 9:30 PM GMT+1',
    )
    expect(period(START, null)).toBe('Thursday, January 31, 2030 at 1:00 PM')
    expect(period(START, '2030-01-30T00:00:00.000Z')).toBe('Thursday, January 31, 2030 at 1:00 PM')
  })
})

it.each([
  [1, '1 second'],
  [90, '90 seconds'],
  [600, '10 minutes'],
  [3600, '1 hour'],
  [5400, '90 minutes'],
  [172_800, '2 days'],
])('shows %i s as %s', (seconds, text) => {
  expect(american.duration(seconds)).toBe(text)
})

it.each([
  [-5, '0:00'],
  [0, '0:00'],
  [1, '0:01'],
  [999, '0:01'],
  [1001, '0:02'],
  [245_000, '4:05'],
  [3_599_000, '59:59'],
  [3_600_000, '1 hour, 0 minutes'],
  [7_500_000, '2 hours, 5 minutes'],
  [266_400_000, '3 days, 2 hours'],
])('shows that %i ms are left as %s', (ms, text) => {
  expect(plain(american.timeLeft(ms))).toBe(text)
})
