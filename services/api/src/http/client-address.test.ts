import { describe, expect, it, vi } from 'vitest'
import { createClientAddress, parseNetworks } from './client-address.js'

function addressOf(
  remote: string,
  forwardedFor: string | undefined,
  hops: number,
  networks?: string,
) {
  const trust = { hops, networks: networks === undefined ? undefined : parseNetworks(networks) }
  return createClientAddress({ trust, onUnknownForm: () => undefined })(remote, forwardedFor)
}

it.each([
  ['10.0.0.1', undefined, 0, '10.0.0.1'],
  ['::ffff:10.0.0.1', undefined, 0, '10.0.0.1'],
  ['10.0.0.1', '1.2.3.4', 0, '10.0.0.1'],
  ['10.0.0.1', '6.6.6.6, 1.2.3.4', 1, '1.2.3.4'],
  ['10.0.0.1', '6.6.6.6, 1.2.3.4, 10.0.0.2', 2, '1.2.3.4'],
  ['10.0.0.1', '1.2.3.4', 3, '1.2.3.4'],
  ['10.0.0.1', 'unknown', 1, '10.0.0.1'],
  ['10.0.0.1', '1.2.3.4, unknown', 2, '1.2.3.4'],
  ['10.0.0.1', '2001:db8::1', 1, '2001:db8::1'],
  ['10.0.0.1', '', 1, '10.0.0.1'],
])(
  'reads the client address: peer %s, forwarded for %j, %i hops: %s',
  (remote, forwardedFor, hops, expected) => {
    expect(addressOf(remote, forwardedFor, hops)).toBe(expected)
  },
)

it.each([
  ['203.0.113.7:4711', '203.0.113.7'],
  ['"203.0.113.7:4711"', '203.0.113.7'],
  ['[2001:db8::1]:4711', '2001:db8::1'],
  ['[2001:db8::1]', '2001:db8::1'],
  ['"[2001:db8::1]:4711"', '2001:db8::1'],
  ['"2001:db8::1"', '2001:db8::1'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['[::FFFF:203.0.113.7]:4711', '203.0.113.7'],
  ['\t203.0.113.7 ', '203.0.113.7'],
])('reads the entry %j as %s', (entry, expected) => {
  expect(addressOf('10.0.0.1', `6.6.6.6, ${entry}`, 1)).toBe(expected)
})

it.each([
  'unknown',
  '_hidden',
  '203.0.113.7:',
  '203.0.113.7:port',
  '[203.0.113.7',
  '999.0.0.1',
  'for=1.2.3.4',
])('ignores the entry %j', (entry) => {
  expect(addressOf('10.0.0.1', entry, 1)).toBe('10.0.0.1')
})

describe('with trusted networks', () => {
  const networks = '10.0.0.0/8, 192.0.2.7, 2001:db8:aa::/48'

  it.each([
    ['a chain of trusted proxies', '10.0.0.1', '6.6.6.6, 1.2.3.4, 192.0.2.7, 10.9.9.9', '1.2.3.4'],
    ['a direct client', '1.2.3.4', '6.6.6.6', '1.2.3.4'],
    ['only trusted proxies', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['a proxy over IPv6', '2001:db8:aa::5', '2001:db8:bb::1', '2001:db8:bb::1'],
    ['a proxy as IPv4 in IPv6', '::ffff:10.0.0.1', '1.2.3.4', '1.2.3.4'],
    ['an entry that is not an address', '10.0.0.1', '1.2.3.4, unknown', '10.0.0.1'],
    ['no header', '10.0.0.1', undefined, '10.0.0.1'],
  ])('finds the client behind trusted networks: %s', (_name, remote, forwardedFor, expected) => {
    expect(addressOf(remote, forwardedFor, 0, networks)).toBe(expected)
  })

  it('applies trusted networks after the trusted hops', () => {
    expect(addressOf('172.18.0.2', '6.6.6.6, 1.2.3.4, 10.0.0.2', 1, networks)).toBe('1.2.3.4')
    expect(addressOf('172.18.0.2', '6.6.6.6, 1.2.3.4', 1, networks)).toBe('1.2.3.4')
  })
})

it('reports an invalid entry once', () => {
  const onUnknownForm = vi.fn()
  const address = createClientAddress({ trust: { hops: 1, networks: undefined }, onUnknownForm })
  for (const entry of ['1.2.3.4', '', '_a', 'unknown', '_b']) address('10.0.0.1', entry)
  expect(onUnknownForm.mock.calls).toEqual([['_a']])
})

it.each([
  '',
  '10.0.0.0/33',
  '10.0.0.0/x',
  '10.0.0/8',
  '2001:db8::/129',
  '10.0.0.0/8/8',
  'localhost',
  '10.0.0.1,',
])('refuses %j as a list of networks', (text) => {
  expect(parseNetworks(text)).toBeUndefined()
})
