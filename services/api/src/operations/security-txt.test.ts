import { ConfigError, readEnv, systemClock } from '@ticket-line/shared'
import { Hono } from 'hono'
import { expect, it } from 'vitest'
import type { AppEnv } from '../http/env.js'
import { mountRoutes } from '../http/route.js'
import { appUnderTest, call, guards } from '../testing/app-under-test.js'
import { readSecurityContacts, securityTxtRoute } from './security-txt.js'

const clock = { ...systemClock, wallMs: () => Date.UTC(2030, 0, 1, 13, 30) }

async function read(contacts: string[], host = 'tickets.example') {
  const app = new Hono<AppEnv>()
  mountRoutes(app, [securityTxtRoute(contacts, clock)], guards)
  const response = await app.request(`http://${host}/.well-known/security.txt`)
  return { headers: response.headers, text: await response.text() }
}

it('names the contacts in their order, and when the file expires', async () => {
  const { headers, text } = await read(['mailto:security@a.example', 'https://a.example/security'])
  expect(headers.get('content-type')).toBe('text/plain; charset=utf-8')
  expect(text).toBe(
    [
      'Contact: mailto:security@a.example',
      'Contact: https://a.example/security',
      'Expires: 2030-04-01T00:00:00Z',
      'Preferred-Languages: en',
      '',
    ].join('\n'),
  )
})

it.each([
  ['tickets.example', 'tickets.example'],
  ['tickets.example:8443', 'tickets.example'],
  ['127.0.0.1:3000', 'localhost'],
  ['[::1]:3000', 'localhost'],
  ['a_b', 'localhost'],
])('names the security mailbox of the host %s if no contact is set', async (host, domain) => {
  expect((await read([], host)).text).toMatch(`Contact: mailto:security@${domain}\n`)
})

it('is served by the app, and limited like pages', async () => {
  const app = appUnderTest({ securityContacts: ['tel:+1-201-555-0123'] })
  const path = 'GET /.well-known/security.txt'
  expect((await call(app, path)).text).toContain('Contact: tel:+1-201-555-0123\n')
  expect((await call(app, path, { headers: { 'x-over-limit': '1' } })).status).toBe(429)
})

it('reads SECURITY_CONTACT, and refuses what is not a mailto, https or tel URI', () => {
  const contacts = (value: string) => readSecurityContacts(readEnv({ SECURITY_CONTACT: value }))
  expect(readSecurityContacts(readEnv({}))).toEqual([])
  expect(contacts('mailto:a@b.example,\n https://b.example/x')).toEqual([
    'mailto:a@b.example',
    'https://b.example/x',
  ])
  for (const wrong of ['a@b.example', 'http://b.example', 'mailto:nobody', 'javascript:alert(1)'])
    expect(() => contacts(`tel:+1 ${wrong}`)).toThrow(
      new ConfigError(
        `SECURITY_CONTACT must be a list of URIs such as "mailto:security@shop.example, https://shop.example/security", not "${wrong}"`,
      ),
    )
})
