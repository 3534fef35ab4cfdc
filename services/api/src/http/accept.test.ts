import { expect, it } from 'vitest'
import { prefersCsv } from './accept.js'

it.each([
  [undefined, false],
  ['*/*', false],
  ['application/json', false],
  ['text/csv', true],
  ['TEXT/CSV', true],
  ['text/*', true],
  ['text/csv, application/json', false],
  ['text/csv, application/json;q=0.9', true],
  ['text/csv;q=0.5, */*;q=0.8', false],
  ['text/csv;q=0', false],
  ['text/csv;q=x, application/json', false],
  ['text/html, text/csv;q=0.9, */*;q=0.1', true],
])('Accept: %s asks for CSV: %s', (accept, expected) => {
  expect(prefersCsv(accept)).toBe(expected)
})
