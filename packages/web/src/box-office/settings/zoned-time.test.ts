import { describe, expect, it } from 'vitest'
import { isTimeZone } from '../../format.js'
import { instantOf, wallTimeOf } from './zoned-time.js'

describe('a wall-clock time', () => {
  it('is what the clocks at the place of the event show', () => {
    expect(wallTimeOf('2030-01-31T19:00:00.000Z', 'Europe/Berlin')).toBe('2030-01-31T20:00')
    expect(wallTimeOf('2030-07-31T18:00:00.000Z', 'Europe/Berlin')).toBe('2030-07-31T20:00')
    expect(wallTimeOf('2030-01-31T19:00:00.000Z', 'Asia/Kathmandu')).toBe('2030-02-01T00:45')
    expect(wallTimeOf('2030-01-31T03:00:00.000Z', 'America/New_York')).toBe('2030-01-30T22:00')
  })

  it('has seconds only if the time has them', () => {
    expect(wallTimeOf('2030-01-31T19:00:07.250Z', 'UTC')).toBe('2030-01-31T19:00:07')
  })

  it('becomes the instant at the place of the event', () => {
    expect(instantOf('2030-01-31T20:00', 'Europe/Berlin')).toBe('2030-01-31T19:00:00.000Z')
    expect(instantOf('2030-07-31T20:00:07', 'Europe/Berlin')).toBe('2030-07-31T18:00:07.000Z')
    expect(instantOf('2030-02-01T00:45', 'Asia/Kathmandu')).toBe('2030-01-31T19:00:00.000Z')
  })

  it('is the first of two instants when clocks are set back', () => {
    expect(instantOf('2030-10-27T02:30', 'Europe/Berlin')).toBe('2030-10-27T00:30:00.000Z')
  })

  it('is an hour later if clocks skip it', () => {
    expect(instantOf('2030-03-31T02:30', 'Europe/Berlin')).toBe('2030-03-31T01:30:00.000Z')
  })

  it('is the same after a conversion to an instant and back, in many time zones', () => {
    for (const zone of ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Tokyo'])
      for (let day = 0; day < 366; day += 5) {
        const iso = new Date(Date.UTC(2030, 0, 1 + day, 13, 30)).toISOString()
        expect(instantOf(wallTimeOf(iso, zone), zone)).toBe(iso)
      }
  })

  it('is undefined if the text is not a time', () => {
    expect(instantOf('', 'UTC')).toBeUndefined()
    expect(instantOf('tomorrow', 'UTC')).toBeUndefined()
  })
})

describe('the name of a time zone', () => {
  it('is one that the browser knows', () => {
    expect(isTimeZone('Europe/Berlin')).toBe(true)
    expect(isTimeZone('Berlin')).toBe(false)
    expect(isTimeZone('')).toBe(false)
  })
})
