import type { TicketedEvent } from '@ticket-line/client'
import { describe, expect, it } from 'vitest'
import {
  durationOf,
  emptyForm,
  fieldErrorsOf,
  formOf,
  newEventOf,
  patchOf,
  problemsOf,
  secondsOf,
} from './event-form.js'

const ZONE = 'America/New_York'

const event: TicketedEvent = {
  eventId: 1001,
  name: 'Concert',
  startsAt: '2030-01-31T19:00:00.250Z',
  endsAt: null,
  timezone: 'Europe/Berlin',
  venue: null,
  url: null,
  listed: true,
  owner: 'ada',
  state: 'open',
  opensAt: null,
  closesAt: null,
  totalTickets: 500,
  availableTickets: 100,
  heldTickets: 20,
  withheldTickets: 0,
  waitingListCount: 0,
  holdSeconds: 600,
  offerSeconds: null,
  maxHoldSeconds: null,
  confirmation: 'holder',
  maxWaiting: null,
  sales: 'open',
  promotion: 'on',
  serverTime: '2030-01-01T00:00:00.000Z',
}
const base = formOf(event, ZONE)

describe('the form of an event', () => {
  it('shows times as the clocks at the place of the event do', () => {
    expect(base.startsAt).toBe('2030-01-31T20:00')
  })

  it('shows times in the time zone of the visitor if the event has none', () => {
    expect(formOf({ ...event, timezone: null }, ZONE).startsAt).toBe('2030-01-31T14:00')
  })

  it('shows a length of time in the largest unit that divides it', () => {
    expect(base.hold).toEqual({ amount: '10', unit: 'minutes' })
    expect(durationOf(90)).toEqual({ amount: '90', unit: 'seconds' })
    expect(durationOf(7200)).toEqual({ amount: '2', unit: 'hours' })
    expect(durationOf(172_800)).toEqual({ amount: '2', unit: 'days' })
    expect(secondsOf({ amount: '1.5', unit: 'minutes' })).toBe(90)
    expect(secondsOf({ amount: ' ', unit: 'minutes' })).toBeNull()
  })
})

describe('the patch of a form', () => {
  it('is empty if nothing was changed', () => {
    expect(patchOf(base, base, ZONE)).toEqual({})
  })

  it('has only the settings that were changed', () => {
    const form = { ...base, totalTickets: '600', venue: ' Main hall ' }
    expect(patchOf(base, form, ZONE)).toEqual({ totalTickets: 600, venue: 'Main hall' })
  })

  it('resets settings that were emptied', () => {
    const form = { ...base, name: '', startsAt: '', hold: { amount: '', unit: 'hours' as const } }
    expect(patchOf(base, form, ZONE)).toEqual({ name: null, startsAt: null, holdSeconds: null })
  })

  it('leaves out a length of time if only its unit was changed', () => {
    const form = { ...base, hold: { amount: '600', unit: 'seconds' as const } }
    expect(patchOf(base, form, ZONE)).toEqual({})
  })

  it('keeps the wall-clock times if the time zone is changed', () => {
    const form = { ...base, timezone: 'Europe/London' }
    expect(patchOf(base, form, ZONE)).toEqual({
      timezone: 'Europe/London',
      startsAt: '2030-01-31T20:00:00.000Z',
    })
  })

  it('contains a time zone that does not exist, so that the API refuses it', () => {
    expect(patchOf(base, { ...base, timezone: 'Berlin' }, ZONE)).toMatchObject({
      timezone: 'Berlin',
    })
  })

  it('contains an invalid number, so that the API refuses it', () => {
    expect(patchOf(base, { ...base, totalTickets: '' }, ZONE)).toEqual({ totalTickets: null })
    expect(patchOf(base, { ...base, totalTickets: 'many' }, ZONE)).toEqual({ totalTickets: 'many' })
    const hold = { amount: 'long', unit: 'hours' as const }
    expect(patchOf(base, { ...base, hold }, ZONE)).toEqual({ holdSeconds: 'long' })
  })

  it('distinguishes no limit from no waiting list', () => {
    const none = { ...base, maxWaiting: '0' }
    expect(patchOf(base, none, ZONE)).toEqual({ maxWaiting: 0 })
    expect(patchOf(none, base, ZONE)).toEqual({ maxWaiting: null })
  })

  it('asks for a shrink only together with a new size', () => {
    expect(patchOf(base, { ...base, shrink: true }, ZONE)).toEqual({})
    expect(patchOf(base, { ...base, shrink: true, totalTickets: '300' }, ZONE)).toEqual({
      totalTickets: 300,
      shrink: true,
    })
  })
})

describe('a new event', () => {
  it('needs only a number of tickets', () => {
    expect(newEventOf({ ...emptyForm(''), totalTickets: '0' }, ZONE)).toEqual({ totalTickets: 0 })
  })

  it('has all settings that differ from the defaults', () => {
    const form = {
      ...emptyForm('Europe/Berlin'),
      name: 'Concert',
      totalTickets: '500',
      opensAt: '2030-01-01T10:00',
      listed: false,
      sales: 'paused' as const,
      shrink: true,
    }
    expect(newEventOf(form, ZONE)).toEqual({
      name: 'Concert',
      timezone: 'Europe/Berlin',
      totalTickets: 500,
      opensAt: '2030-01-01T09:00:00.000Z',
      listed: false,
      sales: 'paused',
    })
  })
})

describe('the check of a form', () => {
  it('finds nothing in a form that the API accepts', () => {
    expect(problemsOf(base).size).toBe(0)
    expect(problemsOf(emptyForm('')).size).toBe(0)
    expect(problemsOf({ ...base, offer: { amount: '30', unit: 'days' } }).size).toBe(0)
    const unknown = { ...base, timezone: 'Mars/Olympus' }
    expect(problemsOf(unknown, unknown).size).toBe(0)
  })

  it('finds lengths of time that are too short or too long, and unknown time zones', () => {
    const problems = problemsOf({
      ...base,
      hold: { amount: '4', unit: 'seconds' },
      offer: { amount: '31', unit: 'days' },
      maxHold: { amount: 'long', unit: 'days' },
      timezone: 'Berlin',
    })
    expect([...problems.keys()]).toEqual(['hold', 'offer', 'maxHold', 'timezone'])
    expect(problems.get('hold')).toBe('Choose a time from 5 seconds to 7 days.')
  })
})

describe('the errors of a request', () => {
  it('are shown beside the fields that they are about', () => {
    const errors = fieldErrorsOf([
      { pointer: '/holdSeconds', detail: 'must be at least 5' },
      { pointer: '/url', detail: 'must be an http or https URL' },
      { pointer: '/url', detail: 'Is too long.' },
      { pointer: '/constructor', detail: 'is unknown' },
    ])
    expect([...errors]).toEqual([
      ['hold', 'Must be at least 5.'],
      ['url', 'Must be an http or https URL. Is too long.'],
      [undefined, 'Is unknown.'],
    ])
  })
})
