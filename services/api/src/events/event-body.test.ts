import { DEFAULT_EVENT_DETAILS, DEFAULT_SALE_RULES, type EventView } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { eventBodyOf, eventSchema, eventTagOf, versionOfIfMatch } from './event-body.js'

const NOW_MS = Date.UTC(2030, 0)

function view(changes: Partial<EventView> = {}): EventView {
  return {
    ...DEFAULT_EVENT_DETAILS,
    ...DEFAULT_SALE_RULES,
    eventId: 5,
    version: 3,
    owner: 'olga',
    canceledAtMs: null,
    totalTickets: 10,
    availableTickets: 4,
    heldTickets: 2,
    withheldTickets: 0,
    waitingListCount: 0,
    ...changes,
  }
}

const tagOf = (event: EventView, nowMs = NOW_MS, staff = false) =>
  eventTagOf(event.version, eventBodyOf(event, nowMs, staff))

describe('the body of an event', () => {
  it('has exactly the documented members, with the owner only for staff', () => {
    const body = {
      eventId: 5,
      name: null,
      startsAt: null,
      endsAt: null,
      timezone: null,
      venue: null,
      url: null,
      listed: true,
      state: 'open',
      opensAt: null,
      closesAt: null,
      totalTickets: 10,
      availableTickets: 4,
      heldTickets: 2,
      withheldTickets: 0,
      waitingListCount: 0,
      holdSeconds: null,
      offerSeconds: null,
      maxHoldSeconds: null,
      confirmation: 'holder',
      maxWaiting: null,
      sales: 'open',
      promotion: 'on',
      serverTime: '2030-01-01T00:00:00.000Z',
    }
    expect(eventBodyOf(view(), NOW_MS, false)).toEqual(body)
    expect(eventBodyOf(view(), NOW_MS, true)).toEqual({ ...body, owner: 'olga' })
    expect(eventSchema.parse(eventBodyOf(view(), NOW_MS, true))).toEqual({ ...body, owner: 'olga' })
  })

  it.each([
    [{}, 'open'],
    [{ paused: true }, 'paused'],
    [{ paused: true, opensAtMs: NOW_MS + 1 }, 'scheduled'],
    [{ opensAtMs: NOW_MS }, 'open'],
    [{ closesAtMs: NOW_MS + 1 }, 'open'],
    [{ closesAtMs: NOW_MS, opensAtMs: NOW_MS + 1, paused: true }, 'closed'],
    [{ closesAtMs: NOW_MS, canceledAtMs: 1 }, 'canceled'],
    [{ opensAtMs: NOW_MS + 10, closesAtMs: NOW_MS + 5 }, 'scheduled'],
  ])('shows of an event with %j the state %s', (changes, state) => {
    expect(eventBodyOf(view(changes), NOW_MS, false).state).toBe(state)
  })

  it('shows no live counts of a canceled event while its claims are still being ended', () => {
    const canceled = view({ canceledAtMs: 1, waitingListCount: 3, withheldTickets: 8 })
    expect(eventBodyOf(canceled, NOW_MS, false)).toMatchObject({
      totalTickets: 10,
      availableTickets: 0,
      heldTickets: 0,
      withheldTickets: 0,
      waitingListCount: 0,
    })
  })

  it('shows times of PostgreSQL as whole milliseconds', () => {
    const shown = eventBodyOf(view({ startsAtMs: 999.9998, closesAtMs: 1e15 }), 1, false)
    expect(shown.startsAt).toBe('1970-01-01T00:00:01.000Z')
  })
})

describe('the ETag of an event', () => {
  it('has the version and a digest, and stays the same over time', () => {
    expect(tagOf(view())).toMatch(/^"3\.[\w-]{22}"$/)
    expect(tagOf(view(), NOW_MS + 5000)).toBe(tagOf(view()))
  })

  it.each([
    ['a count', { availableTickets: 3 }],
    ['a setting', { name: 'Concert' }],
    ['the version', { version: 4 }],
    ['a time', { closesAtMs: NOW_MS + 1 }],
  ])('changes with %s', (_, changes) => {
    expect(tagOf(view(changes))).not.toBe(tagOf(view()))
  })

  it('changes when the sale opens, and differs for staff', () => {
    const scheduled = view({ opensAtMs: NOW_MS + 1 })
    expect(tagOf(scheduled, NOW_MS + 1)).not.toBe(tagOf(scheduled))
    expect(tagOf(view(), NOW_MS, true)).not.toBe(tagOf(view()))
  })
})

describe('versionOfIfMatch', () => {
  const digest = 'a'.repeat(22)
  it.each([
    [undefined, undefined],
    ['*', undefined],
    [`"3.${digest}"`, 3],
    [` "3.${digest}" `, 3],
    [tagOf(view({ version: 12 })), 12],
    [`"3.${digest}", "4.${digest}"`, 4],
    [`W/"3.${digest}"`, 0],
    [`"03.${digest}"`, 0],
    ['"3"', 0],
    ['"5-0"', 0],
    ['3', 0],
    ['', 0],
    [`W/"4.${digest}", "3.${digest}"`, 3],
  ])('reads %s as %s', (header, expected) => {
    expect(versionOfIfMatch(header)).toBe(expected)
  })
})
