import { expect, test } from 'vitest'
import { readWebhookForm } from './form.js'

function form(fields: Record<string, string | string[]>): FormData {
  const data = new FormData()
  for (const [name, values] of Object.entries(fields))
    for (const value of [values].flat()) data.append(name, value)
  return data
}

const url = 'https://crm.example.com/hooks/tickets'

test('a webhook with an address gets every change of all events, one at a time', () => {
  expect(readWebhookForm(form({ url: ` ${url} `, eventIds: '', description: ' ' }))).toEqual({
    kind: 'ok',
    body: { url, types: null, eventIds: null, format: 'single', description: null },
  })
})

test('a webhook may get some changes of some events, many at a time', () => {
  const types = ['booking.confirmed', 'waitlist.promoted']
  const some = { url, types, eventIds: '7 1001', format: 'batch', description: 'CRM' }
  expect(readWebhookForm(form(some))).toEqual({
    kind: 'ok',
    body: { url, types, eventIds: [7, 1001], format: 'batch', description: 'CRM' },
  })
})

test('the events of a webhook must be numbers', () => {
  expect(readWebhookForm(form({ url, eventIds: 'concert' }))).toMatchObject({ field: 'eventIds' })
})
