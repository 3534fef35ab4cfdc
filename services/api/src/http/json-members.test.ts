import { expect, it } from 'vitest'
import { countMembers } from './json-members.js'

it.each([
  ['{}', 0],
  ['{"a":1}', 1],
  ['{"a":1,"a":2}', 2],
  ['{"a":{"b":1,"c":[{"d":2}]},"e":"x:y"}', 2],
  ['{"a\\"b:":"{","c\\\\":1}', 2],
  ['{"__proto__":1}', 1],
])('%s names %i members', (json, count) => {
  expect(countMembers(json)).toBe(count)
})
