import { describe, expect, it } from 'vitest'
import { parsePrefer, preferenceApplied } from './prefer.js'

describe('parsePrefer', () => {
  it.each([
    [undefined, {}],
    ['', {}],
    ['wait=5', { waitSeconds: 5 }],
    ['Wait = 5', { waitSeconds: 5 }],
    ['wait="5"', { waitSeconds: 5 }],
    ['wait=0', { waitSeconds: 0 }],
    ['wait=31', { waitSeconds: 30 }],
    ['wait=99999999999999999999999', { waitSeconds: 30 }],
    ['respond-async', { respondAsync: true }],
    ['respond-async=""', { respondAsync: true }],
    ['respond-async, wait=10', { respondAsync: true, waitSeconds: 10 }],
    ['wait=10;foo="a,b", return=representation', { waitSeconds: 10, return: 'representation' }],
    ['return="representation"', { return: 'representation' }],
    ['return=minimal', { return: 'minimal' }],
    ['handling=lenient, foo; bar=1', {}],
  ])('reads %j', (header, expected) => {
    expect(parsePrefer(header)).toEqual(expected)
  })

  it.each([
    'wait',
    'wait=',
    'wait=-1',
    'wait=1.5',
    'wait=abc',
    'wait=1 2',
    'respond-async=true',
    'return',
    'return=everything',
    '=5',
    ',,;;',
    'wait=5"',
    '"wait=5"',
  ])('ignores %j', (header) => {
    expect(parsePrefer(header)).toEqual({})
  })

  it('ignores malformed preferences and keeps the others', () => {
    expect(parsePrefer('wait=x, (bad), return=representation')).toEqual({
      return: 'representation',
    })
  })

  it('uses the first of a repeated preference', () => {
    expect(parsePrefer('wait=3, wait=9')).toEqual({ waitSeconds: 3 })
  })

  it('ignores contradictory values of return', () => {
    expect(parsePrefer('return=minimal, return=representation')).toEqual({})
  })

  it('parses a hostile header in linear time', () => {
    // CPU time, because other processes may use the cores.
    const before = process.cpuUsage()
    parsePrefer(`a;${' '.repeat(16_000)}"${',"'.repeat(4000)}`)
    expect(process.cpuUsage(before).user).toBeLessThan(100_000)
  })
})

describe('preferenceApplied', () => {
  it('lists the preferences that were used', () => {
    expect(preferenceApplied({})).toBeUndefined()
    expect(preferenceApplied(parsePrefer('wait=100, respond-async, return=representation'))).toBe(
      'respond-async, wait=30, return=representation',
    )
  })
})
