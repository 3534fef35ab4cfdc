import { expect, test } from 'vitest'
import { parseEventIds } from './event-ids.js'

test('reads ids that are separated by commas and spaces', () => {
  expect(parseEventIds(' 1001, 7\n42 ')).toEqual({ kind: 'some', eventIds: [1001, 7, 42] })
})

test('counts an id that is repeated once', () => {
  expect(parseEventIds('7,7')).toEqual({ kind: 'some', eventIds: [7] })
})

test('reads an empty field as all events', () => {
  expect(parseEventIds('')).toEqual({ kind: 'all' })
  expect(parseEventIds(' , ')).toEqual({ kind: 'all' })
})

test.each(['abc', '0', '-1', '1.5', '9007199254740992', '01'])('refuses %s as an id', (part) => {
  expect(parseEventIds(`1001, ${part}`)).toEqual({ kind: 'invalid', part })
})
