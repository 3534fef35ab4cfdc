import { Hono } from 'hono'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { documentedRoutes } from '../app.js'
import type { AppEnv } from './env.js'
import { cutPage, decodeCursor, decodeTextCursor, encodeCursor, nextLink } from './paging.js'

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

it.each([
  ['/events', '/events?after=a%3E1%2B&epoch=e'],
  ['/events?limit=2&after=old', '/events?limit=2&after=a%3E1%2B&epoch=e'],
  [
    '/events?q=caf%C3%A9%20%3E%22&startsAfter=2030-01-31T18:00:00%2B01:00',
    '/events?q=caf%C3%A9+%3E%22&startsAfter=2030-01-31T18%3A00%3A00%2B01%3A00&after=a%3E1%2B&epoch=e',
  ],
])('links from %s to the next page with the same parameters', async (path, target) => {
  const app = new Hono<AppEnv>().get('/events', (c) =>
    c.json([nextLink(c, 'a>1+', { epoch: 'e' }), nextLink(c, null)]),
  )
  const links = await (await app.request(path)).json()
  expect(links).toEqual([{ link: `<${target}>; rel="next"` }, {}])
})

it('is documented at every list that has pages', () => {
  const pages = documentedRoutes().flatMap(({ path, responses }) => {
    const { schema, headers } = responses?.[200] ?? {}
    const isPage = schema !== undefined && JSON.stringify(z.toJSONSchema(schema)).includes('"next"')
    return isPage ? [[path, headers ?? []] as const] : []
  })
  expect(pages.length).toBeGreaterThan(6)
  for (const [path, headers] of pages) expect(headers, String(path)).toContain('Link')
})
