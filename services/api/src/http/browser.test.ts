import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { createCookieSecurity, keepsSecureCookies } from './browser.js'
import type { AppEnv } from './env.js'

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
    'a trusted proxy without TLS',
    { always: false, trustProxy: true },
    { 'x-forwarded-proto': 'https, http' },
    false,
  ],
  [
    'a forged header',
    { always: false, trustProxy: false },
    { 'x-forwarded-proto': 'https' },
    false,
  ],
])('decides whether to mark a cookie as Secure: %s', async (_name, options, headers, secure) => {
  const isSecure = createCookieSecurity(options)
  const app = new Hono<AppEnv>().get('/', (c) => c.text(String(isSecure(c))))
  expect(
    await (await app.request('/', { headers: headers as Record<string, string> })).text(),
  ).toBe(String(secure))
})

test.each([
  ['a name in the local network', { host: 'tickets.lan:3000' }, false],
  ['an address in the local network', { host: '192.168.1.5' }, false],
  ['a name that starts with localhost', { host: 'localhost.evil.example' }, false],
  ['a form over plain HTTP', { host: 'tickets.lan', origin: 'http://tickets.lan' }, false],
  ['a proxy without TLS', { host: 'tickets.lan', 'x-forwarded-proto': 'http' }, false],
  ['localhost', { host: 'localhost:3000' }, true],
  ['a name below localhost', { host: 'tickets.localhost' }, true],
  ['IPv4 loopback', { host: '127.0.0.1:3000' }, true],
  ['IPv6 loopback', { host: '[::1]:3000' }, true],
  ['a proxy with TLS', { host: 'tickets.example', 'x-forwarded-proto': 'HTTPS' }, true],
  ['a form over HTTPS', { host: 'tickets.example', origin: 'https://tickets.example' }, true],
  [
    'a browser that trusts the connection',
    { host: 'tickets.example', 'sec-fetch-site': 'none' },
    true,
  ],
])('tells whether the browser keeps Secure cookies: %s, %j, %s', async (_name, headers, kept) => {
  const app = new Hono<AppEnv>().get('/', (c) => c.text(String(keepsSecureCookies(c))))
  const answer = await app.request('/', { headers: headers as unknown as Record<string, string> })
  expect(await answer.text()).toBe(String(kept))
})
