import { Hono } from 'hono'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { guards } from '../testing/app-under-test.js'
import type { AppEnv } from './env.js'
import { defineRoute, type Method, mountRoutes } from './route.js'

const schema = z.strictObject({ count: z.int() })
const shared = { auth: 'none', limit: 'none', ignoresQuery: true } as const

it('lets a handler send only the bodies that its route documents', () => {
  // `tsc` checks this test: each @ts-expect-error must be followed by an error.
  defineRoute({
    ...shared,
    method: 'GET',
    path: '/',
    responses: { 200: { description: 'A count.', schema }, 304: { description: 'No change.' } },
    handler(c, _input, reply) {
      if (c.req.header('if-none-match') !== undefined) return reply(c, 304, null)
      // @ts-expect-error: a member is missing
      reply(c, 200, {})
      // @ts-expect-error: a member is unknown
      reply(c, 200, { count: 1, total: 2 })
      // @ts-expect-error: a member has another type
      reply(c, 200, { count: '1' })
      // @ts-expect-error: the status is not documented
      reply(c, 201, { count: 1 })
      // @ts-expect-error: this status has no body
      reply(c, 304, { count: 1 })
      return reply(c, 200, { count: 1 })
    },
  })
})

it('lists all methods of a path in Allow, and runs `before` ahead of the handler', async () => {
  const calls: string[] = []
  const route = (method: Method) =>
    defineRoute({
      ...shared,
      method,
      path: '/form',
      before: [
        async (_c, next) => {
          calls.push('before')
          await next()
        },
      ],
      handler(c) {
        calls.push(method)
        return c.body(null, 204)
      },
    })
  const app = new Hono<AppEnv>()
  mountRoutes(app, [route('GET'), route('POST')], guards)

  const refused = await app.request('/form', { method: 'DELETE' })
  expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST, OPTIONS'])

  await app.request('/form', { method: 'POST' })
  expect(calls).toEqual(['before', 'POST'])
})
