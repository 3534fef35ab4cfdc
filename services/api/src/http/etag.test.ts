import { expect, it } from 'vitest'
import { matchesEtag } from './etag.js'

it.each([
  [undefined, false],
  ['"5-0"', true],
  ['W/"5-0"', true],
  ['"4-0", W/"5-0"', true],
  ['*', true],
  ['"4-0"', false],
  ['5-0', false],
])('compares If-None-Match %s with the ETag "5-0": %s', (header, expected) => {
  expect(matchesEtag(header, '"5-0"')).toBe(expected)
})
