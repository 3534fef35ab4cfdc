import { Hono } from 'hono'
import { expect, test } from 'vitest'
import type { AppEnv } from '../http/env.js'
import { createCookieSecurity } from './cookie-security.js'

test.each([
  ['production', { always: true, trustProxy: false }, {}, true],
  ['plain HTTP', { always: false, trustProxy: true }, {}, false],
  [
    'a trusted proxy with TLS',
    { always: false, trustProxy: true },
    { 'x-forwarded-proto': 'http, https' },
    true,
  ],
  [
    'a trusted proxy without',
    { always: false, trustProxy: true },
    { 'x-forwarded-proto': 'https, http' },
    false,
  ],
  ['a client that pretends', { always: false, trustProxy: false }, { 'x-forwarded-proto': 'https' }, false],
])('%s', async (_name, options, headers, secure) => {
  const isSecure = createCookieSecurity(options)
  const app = new Hono<AppEnv>().get('/', (c) => c.text(String(isSecure(c))))
  expect(await (await app.request('/', { headers: headers as Record<string, string> })).text()).toBe(
    String(secure),
  )
})
