import { describe, expect, it } from 'vitest'
import { readOptions, usage } from './options.ts'

describe('the options of npm run herd', () => {
  it('lets 5,000 buyers compete for 500 tickets by default', () => {
    expect(readOptions([])).toMatchObject({ buyers: 5000, tickets: 500, cancel: 50, holds: false })
  })

  it('uses holds and offers with --holds', () => {
    expect(readOptions(['--holds', '--tickets', '7'])).toMatchObject({ tickets: 7, holds: true })
  })

  it('leaves a person at a terminal time to open the page of the event', () => {
    expect(readOptions([], true)).toMatchObject({ startAfterS: 5 })
    expect(readOptions([])).toMatchObject({ startAfterS: 0 })
    expect(readOptions(['--json'], true)).toMatchObject({ startAfterS: 0 })
    expect(readOptions(['--start-after', '10'])).toMatchObject({ startAfterS: 10 })
  })

  it.each([
    ['--holds with cancellations', ['--holds', '--cancel', '5'], '--cancel cannot be used'],
    ['--holds with a baseline', ['--holds', '--baseline', 'abc'], '--baseline cannot be used'],
    ['a number of buyers that is none', ['--buyers', 'many'], '--buyers must be a whole number'],
    ['an option that does not exist', ['--hold'], '--hold'],
  ])('refuses %s', (_what, args, message) => {
    expect(() => readOptions(args)).toThrow(message)
  })

  it('explains every option in the help text', () => {
    expect(readOptions(['--help'])).toBe('help')
    for (const option of [
      'buyers',
      'tickets',
      'cancel',
      'async',
      'holds',
      'start-after',
      'apis',
      'redis',
      'json',
      'baseline',
      'pgbouncer',
    ])
      expect(usage).toContain(`--${option}`)
  })
})
