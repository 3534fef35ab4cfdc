import { describe, expect, it } from 'vitest'
import { isBefore } from './streams.js'

describe('the order of stream ids', () => {
  it.each([
    ['999-0', '1000-0'],
    ['1000-9', '1000-10'],
    ['0-0', '1785000000000-0'],
    ['1785000000000-18446744073709551614', '1785000000000-18446744073709551615'],
  ])('puts the id %s before %s', (id, other) => {
    expect(isBefore(id, other)).toBe(true)
    expect(isBefore(other, id)).toBe(false)
    expect(isBefore(id, id)).toBe(false)
  })
})
