import { expect, test } from 'vitest'
import { moment, number } from '../../format.js'
import { eventsText, factsOf } from './texts.js'

const AT = '2030-01-31T18:00:00.000Z'
const MONTH_MS = 30 * 24 * 3_600_000

const key = {
  id: 'Zx81kQ4fWm2Rb7Yp',
  name: 'Shop',
  scopes: ['bookings:write' as const],
  eventIds: null,
  expiresAt: null,
  rateLimit: { requests: 6000, windowSeconds: 60 },
  createdAt: AT,
  lastUsedAt: null,
  previousKeyUntil: null,
}

test('a key that was never used says so', () => {
  expect(factsOf(key, Date.parse(AT))).toEqual([
    'All events',
    `At most ${number(6000)} requests in 60 s`,
    `Created ${moment(AT)}`,
    'Never used',
  ])
})

test('a key says when it was last used, and until when it and the key before it work', () => {
  const used = { ...key, lastUsedAt: AT, expiresAt: AT, previousKeyUntil: AT }
  const facts = factsOf(used, Date.parse(AT) - MONTH_MS)
  expect(facts).toContain(`Last used ${moment(AT)}`)
  expect(facts).toContain(`Expires ${moment(AT)}`)
  expect(facts.at(-1)).toContain(moment(AT))
  expect(factsOf(used, Date.parse(AT))).toContain(`Expired ${moment(AT)}`)
})

test('the events of a key are named', () => {
  expect(eventsText([7])).toBe('Event 7')
  expect(eventsText([7, 1001])).toBe('Events 7, 1001')
})
