import { expect, test } from 'vitest'
import { readKeyForm } from './form.js'

function form(fields: Record<string, string | string[]>): FormData {
  const data = new FormData()
  for (const [name, values] of Object.entries(fields))
    for (const value of [values].flat()) data.append(name, value)
  return data
}

const filled = {
  name: ' Shop ',
  scopes: ['bookings:read', 'bookings:write'],
  eventIds: '',
  expiresAt: '',
  requests: '',
  windowSeconds: '',
}

test('a key with a name and scopes works for all events, for ever, with the usual limit', () => {
  expect(readKeyForm(form(filled))).toEqual({
    kind: 'ok',
    body: { name: 'Shop', scopes: ['bookings:read', 'bookings:write'] },
  })
})

test('a key may have events, an end and a limit', () => {
  const expiresAt = '2030-01-31T18:00'
  const all = { ...filled, eventIds: '7, 1001', expiresAt, requests: '100', windowSeconds: '10' }
  expect(readKeyForm(form(all))).toEqual({
    kind: 'ok',
    body: {
      name: 'Shop',
      scopes: ['bookings:read', 'bookings:write'],
      eventIds: [7, 1001],
      expiresAt: new Date(expiresAt).toISOString(),
      rateLimit: { requests: 100, windowSeconds: 10 },
    },
  })
})

test('a key needs a scope', () => {
  expect(readKeyForm(form({ ...filled, scopes: [] }))).toMatchObject({ field: 'scopes' })
})

test('the events of a key must be numbers', () => {
  const wrong = readKeyForm(form({ ...filled, eventIds: '7, concert' }))
  expect(wrong).toMatchObject({ field: 'eventIds', problem: expect.stringContaining('concert') })
})

test('a limit needs requests and seconds', () => {
  expect(readKeyForm(form({ ...filled, requests: '100' }))).toMatchObject({ field: 'rateLimit' })
  expect(readKeyForm(form({ ...filled, windowSeconds: '9' }))).toMatchObject({ field: 'rateLimit' })
})
