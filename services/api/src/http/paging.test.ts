import { expect, it } from 'vitest'
import { cutPage, decodeCursor, decodeTextCursor, encodeCursor } from './paging.js'

it('decodes a cursor of the same list', () => {
  expect(decodeCursor('events', encodeCursor('events', 9007199254740991))).toBe(9007199254740991)
})

it.each([
  '',
  'x',
  'MQ',
  encodeCursor('bookings', 5),
  `${encodeCursor('events', 5)}=`,
  Buffer.from('events:-1').toString('base64url'),
])('does not decode %j', (cursor) => {
  expect(decodeCursor('events', cursor)).toBeUndefined()
})

it('has a next page only if a row is left', () => {
  const keyOf = (row: number) => row
  expect(cutPage('events', [1, 2], 2, keyOf)).toEqual({ page: [1, 2], next: null })
  expect(cutPage('events', [1, 2, 3], 2, keyOf)).toEqual({
    page: [1, 2],
    next: encodeCursor('events', 2),
  })
})

it('encodes a cursor whose last key is a string', () => {
  const isKey = (key: unknown) => key !== ''
  const cursor = encodeCursor('users', 'žofie:🎟')

  expect(decodeTextCursor('users', cursor, isKey)).toBe('žofie:🎟')
  expect(decodeTextCursor('events', cursor, isKey)).toBeUndefined()
  expect(decodeTextCursor('users', `${cursor}=`, isKey)).toBeUndefined()
  expect(decodeTextCursor('users', encodeCursor('users', ''), isKey)).toBeUndefined()
})
