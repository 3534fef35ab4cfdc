import { describe, expect, it } from 'vitest'
import { nameKeyOf, saleStateOf } from './event.js'

describe('nameKeyOf', () => {
  it.each([
    ['Ärger', 'äRGER'],
    ['A\u0308rger', 'Ärger'],
    ['ΟΔΟΣ', 'οδος'],
    ['ΟΔΟΣ', 'οδοσ'],
  ])('is the same for %s and %s', (a, b) => {
    expect(nameKeyOf(a)).toBe(nameKeyOf(b))
  })

  it('keeps a prefix of a name a prefix, whatever follows it', () => {
    expect(nameKeyOf('οδοσια').startsWith(nameKeyOf('οδος'))).toBe(true)
  })
})

describe('saleStateOf', () => {
  const open = { canceledAtMs: null, opensAtMs: null, closesAtMs: null, paused: false }

  it.each([
    [{}, 'open'],
    [{ paused: true }, 'paused'],
    [{ opensAtMs: 10 }, 'open'],
    [{ opensAtMs: 11, paused: true }, 'scheduled'],
    [{ closesAtMs: 11 }, 'open'],
    [{ closesAtMs: 10, opensAtMs: 11 }, 'closed'],
    [{ canceledAtMs: 20, closesAtMs: 10 }, 'canceled'],
  ] as const)('is of %j at 10 ms: %s', (changes, state) => {
    expect(saleStateOf({ ...open, ...changes }, 10)).toBe(state)
  })
})
