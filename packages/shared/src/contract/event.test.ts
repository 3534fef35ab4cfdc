import { describe, expect, it } from 'vitest'
import {
  DEFAULT_EVENT_DETAILS,
  DEFAULT_SALE_RULES,
  nameKeyOf,
  saleStateOf,
  shownSettingsOf,
} from './event.js'

describe('nameKeyOf', () => {
  it.each([
    ['Ärger', 'äRGER'],
    ['A\u0308rger', 'Ärger'],
    ['ΟΔΟΣ', 'οδος'],
    ['ΟΔΟΣ', 'οδοσ'],
  ])('is the same for %s and %s', (a, b) => {
    expect(nameKeyOf(a)).toBe(nameKeyOf(b))
  })

  it('keeps a prefix of a name a prefix, whatever follows it', () => {
    expect(nameKeyOf('οδοσια').startsWith(nameKeyOf('οδος'))).toBe(true)
  })
})

describe('saleStateOf', () => {
  const open = { canceledAtMs: null, opensAtMs: null, closesAtMs: null, paused: false }

  it.each([
    [{}, 'open'],
    [{ paused: true }, 'paused'],
    [{ opensAtMs: 10 }, 'open'],
    [{ opensAtMs: 11, paused: true }, 'scheduled'],
    [{ closesAtMs: 11 }, 'open'],
    [{ closesAtMs: 10, opensAtMs: 11 }, 'closed'],
    [{ canceledAtMs: 20, closesAtMs: 10 }, 'canceled'],
  ] as const)('is of %j at 10 ms: %s', (changes, state) => {
    expect(saleStateOf({ ...open, ...changes }, 10)).toBe(state)
  })
})

describe('shownSettingsOf', () => {
  it('gives settings the names and values of the API', () => {
    const settings = { ...DEFAULT_EVENT_DETAILS, ...DEFAULT_SALE_RULES, totalTickets: 5 }
    const opensAtMs = Date.parse('2030-01-31T20:00:00.123Z') - 0.0001

    expect(shownSettingsOf({ ...settings, opensAtMs, paused: true })).toEqual({
      name: null,
      startsAt: null,
      endsAt: null,
      timezone: null,
      venue: null,
      url: null,
      listed: true,
      confirmation: 'holder',
      opensAt: '2030-01-31T20:00:00.123Z',
      closesAt: null,
      sales: 'paused',
      promotion: 'on',
      holdSeconds: null,
      offerSeconds: null,
      maxHoldSeconds: null,
      maxWaiting: null,
      totalTickets: 5,
    })
  })

  it('shows only the settings of a patch', () => {
    expect(shownSettingsOf({ promoting: false, endsAtMs: null })).toEqual({
      promotion: 'off',
      endsAt: null,
    })
  })
})
