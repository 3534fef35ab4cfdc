import { readEnv } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { checkUrl, isAllowed, readAddressRules } from './addresses.js'

const rulesOf = (env: Record<string, string>, production = true) =>
  readAddressRules(readEnv(env), { production })

describe('WEBHOOK_ALLOW_HTTP', () => {
  it('is false by default in production, and true elsewhere', () => {
    expect(rulesOf({}).allowHttp).toBe(false)
    expect(rulesOf({}, false).allowHttp).toBe(true)
    expect(rulesOf({ WEBHOOK_ALLOW_HTTP: 'true' }).allowHttp).toBe(true)
    expect(rulesOf({ WEBHOOK_ALLOW_HTTP: 'false' }, false).allowHttp).toBe(false)
  })
})

describe('WEBHOOK_ALLOW_HOSTS', () => {
  it('is empty by default', () => {
    expect(rulesOf({}).allowedHosts).toEqual(new Set())
  })

  it.each([
    ['crm.internal', ['crm.internal']],
    ['CRM.Internal., localhost:4000', ['crm.internal', 'localhost:4000']],
    ['10.0.0.7, 10.0.0.8:8443', ['10.0.0.7', '10.0.0.8:8443']],
    ['::1, [fd00::7]:8443, [fd00:0::8]', ['::1', 'fd00::7:8443', 'fd00::8']],
    ['0x7f.1', ['127.0.0.1']],
    ['bücher.internal', ['xn--bcher-kva.internal']],
  ])('is read from %s', (list, hosts) => {
    expect([...rulesOf({ WEBHOOK_ALLOW_HOSTS: list }).allowedHosts]).toEqual(hosts)
  })

  it.each([
    'https://crm.internal',
    'crm.internal/path',
    'crm.internal,',
    'user@crm.internal',
    'crm.internal:port',
    '10.0.0.0/8',
    'a b',
    '*.internal',
    '1.2.3.4.5',
  ])('cannot be %s', (list) => {
    expect(() => rulesOf({ WEBHOOK_ALLOW_HOSTS: list })).toThrow(
      /^WEBHOOK_ALLOW_HOSTS must be a list/,
    )
  })

  it('allows a host with any port, or with one', () => {
    const rules = rulesOf({ WEBHOOK_ALLOW_HOSTS: 'localhost,10.0.0.7:443,[::1]:8443' })
    const urls = [
      'https://localhost/',
      'https://localhost:8080/',
      'https://10.0.0.7/',
      'https://10.0.0.7:8080/',
      'https://[::1]:8443/',
      'https://[::1]/',
      'https://127.0.0.1/',
    ]
    expect(urls.map((url) => checkUrl(url, rules) instanceof URL)).toEqual([
      true,
      true,
      true,
      false,
      true,
      false,
      false,
    ])
    expect(isAllowed('10.0.0.7', new URL('https://crm.example.com/'), rules)).toBe(true)
    expect(isAllowed('10.0.0.7', new URL('http://crm.example.com/'), rules)).toBe(false)
  })
})
