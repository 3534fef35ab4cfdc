import { describe, expect, it } from 'vitest'
import { readKeyHash } from './idempotency-key.js'

describe('readKeyHash', () => {
  it('returns nothing if no key was sent', () => {
    expect(readKeyHash(undefined)).toBeUndefined()
  })

  it('returns the same hash for the quoted and the bare form', () => {
    expect(readKeyHash('"order-7"')).toBe(readKeyHash('order-7'))
    expect(readKeyHash('"a\\"b\\\\c"')).toBe(readKeyHash('a"b\\c'))
    expect(readKeyHash('order-7')).not.toBe(readKeyHash('order-8'))
  })

  it('accepts 1 to 128 characters, not counting quotes', () => {
    const longest = '~'.repeat(128)
    expect(readKeyHash(longest)).toBe(readKeyHash(`"${longest}"`))
    expect(readKeyHash('a b')).toMatch(/^[\w-]{43}$/)
  })

  it.each([
    '',
    '""',
    '"',
    '"a',
    '"a"b',
    'a\tb',
    'é',
    '"a\\b"',
    '~'.repeat(129),
    `"${'~'.repeat(129)}"`,
  ])('refuses %j', (header) => {
    expect(() => readKeyHash(header)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })
})
