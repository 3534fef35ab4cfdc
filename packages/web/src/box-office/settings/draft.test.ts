import { describe, expect, it } from 'vitest'
import { isChanged, mergeForms, wordsOf } from './draft.js'
import { emptyForm } from './event-form.js'

const base = { ...emptyForm('Europe/Berlin'), name: 'Concert', totalTickets: '500' }

describe('a draft', () => {
  it('knows whether something was changed', () => {
    expect(isChanged(base, { ...base, hold: { ...base.hold } })).toBe(false)
    expect(isChanged(base, { ...base, hold: { amount: '5', unit: 'minutes' } })).toBe(true)
  })
})

describe('two people who change an event at the same time', () => {
  it('both get their changes if they changed different settings', () => {
    const mine = { ...base, name: 'Gala' }
    const theirs = { ...base, totalTickets: '600' }
    expect(mergeForms(base, mine, theirs)).toEqual({
      form: { ...base, name: 'Gala', totalTickets: '600' },
      conflicts: [],
    })
  })

  it('see where they differ if they changed the same setting', () => {
    const mine = { ...base, name: 'Gala', venue: 'Main hall' }
    const theirs = { ...base, name: 'Ball', venue: 'Main hall' }
    expect(mergeForms(base, mine, theirs)).toEqual({
      form: mine,
      conflicts: [{ field: 'name', theirs: 'Ball' }],
    })
  })

  it('read in words what the other one chose', () => {
    expect(wordsOf('Ball')).toBe('Ball')
    expect(wordsOf('')).toBe('nothing')
    expect(wordsOf('2030-01-31T20:00')).toBe('2030-01-31 20:00')
    expect(wordsOf(true)).toBe('yes')
    expect(wordsOf({ amount: '10', unit: 'minutes' })).toBe('10 minutes')
    expect(wordsOf({ amount: '', unit: 'minutes' })).toBe('nothing')
  })
})
