import { expect, it } from 'vitest'
import { clientAddress } from './client-address.js'

it.each([
  ['10.0.0.1', undefined, 0, '10.0.0.1'],
  ['::ffff:10.0.0.1', undefined, 0, '10.0.0.1'],
  ['10.0.0.1', '1.2.3.4', 0, '10.0.0.1'],
  ['10.0.0.1', '6.6.6.6, 1.2.3.4', 1, '1.2.3.4'],
  ['10.0.0.1', '6.6.6.6, 1.2.3.4, 10.0.0.2', 2, '1.2.3.4'],
  ['10.0.0.1', '1.2.3.4', 3, '1.2.3.4'],
  ['10.0.0.1', 'unknown', 1, '10.0.0.1'],
  ['10.0.0.1', '2001:db8::1', 1, '2001:db8::1'],
  ['10.0.0.1', '', 1, '10.0.0.1'],
])('%s behind %j with %i hops is %s', (remote, forwardedFor, hops, expected) => {
  expect(clientAddress(remote, forwardedFor, hops)).toBe(expected)
})
