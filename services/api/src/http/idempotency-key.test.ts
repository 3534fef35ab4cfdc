import { describe, expect, it } from 'vitest'
import { readKeyHash, requestHashOf } from './idempotency-key.js'

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

describe('requestHashOf', () => {
  it('returns nothing if a request asks for nothing', () => {
    expect(requestHashOf({})).toBeUndefined()
    expect(requestHashOf({ bookingId: undefined })).toBeUndefined()
  })

  it('does not depend on the order of the members', () => {
    const hash = requestHashOf({ seconds: 5, bookingId: '1-1' })
    expect(hash).toMatch(/^[\w-]{43}$/)
    expect(requestHashOf({ bookingId: '1-1', seconds: 5 })).toBe(hash)
  })

  it('tells null, false, texts and numbers apart', () => {
    const values = [null, false, 0, '', '0', 'null', true, 1]
    const hashes = values.map((value) => requestHashOf({ member: value }))
    expect(new Set(hashes).size).toBe(values.length)
    expect(requestHashOf({ other: null })).not.toBe(hashes[0])
  })
})
