import { describe, expect, it } from 'vitest'
import { ConfigError, readEnv, readNodeEnv } from './env.js'

describe('readEnv', () => {
  it('returns the value of a variable, or the fallback if it is unset or blank', () => {
    const env = readEnv({ SET: 'value', EMPTY: '', BLANK: '  ' })

    expect([env.text('SET', 'else'), env.text('EMPTY', 'else'), env.text('BLANK', 'else')]).toEqual(
      ['value', 'else', 'else'],
    )
    expect(env.optional('MISSING')).toBeUndefined()
  })

  it('names a required variable that is missing', () => {
    expect(() => readEnv({}).text('DATABASE_URL')).toThrow(
      new ConfigError('DATABASE_URL is not set'),
    )
  })

  it.each(['7.5', '1e3', 'ten', '0x10', '-1', '101', '9007199254740993'])(
    'refuses %s as a whole number from 0 to 100',
    (value) => {
      expect(() => readEnv({ COUNT: value }).integer('COUNT', 5, { min: 0, max: 100 })).toThrow(
        /^COUNT must be/,
      )
    },
  )

  it('accepts whole numbers at both ends of their range', () => {
    const range = { min: 0, max: 100 }

    expect(readEnv({ COUNT: '0' }).integer('COUNT', 5, range)).toBe(0)
    expect(readEnv({ COUNT: ' 100 ' }).integer('COUNT', 5, range)).toBe(100)
    expect(readEnv({}).integer('COUNT', 5, range)).toBe(5)
  })

  it.each([
    ['true', true],
    ['YES', true],
    ['1', true],
    ['false', false],
    ['No', false],
    ['0', false],
  ])('reads %s as a flag', (value, flag) => {
    expect(readEnv({ FLAG: value }).flag('FLAG', !flag)).toBe(flag)
  })

  it('refuses a flag that is neither true nor false', () => {
    expect(() => readEnv({ FLAG: 'maybe' }).flag('FLAG', false)).toThrow(ConfigError)
  })
})

describe('readNodeEnv', () => {
  it.each(['production', 'development', 'test'])('accepts %s', (value) => {
    expect(readNodeEnv(readEnv({ NODE_ENV: value }))).toBe(value)
  })

  it('returns development if NODE_ENV is unset or empty', () => {
    expect([readNodeEnv(readEnv({})), readNodeEnv(readEnv({ NODE_ENV: '' }))]).toEqual([
      'development',
      'development',
    ])
  })

  it.each(['Production', 'PRODUCTION', 'prod', 'production ', ' production', 'staging', 'dev'])(
    'refuses NODE_ENV "%s"',
    (value) => {
      expect(() => readNodeEnv(readEnv({ NODE_ENV: value }))).toThrow(
        new ConfigError(`NODE_ENV must be one of production, development, test, not "${value}"`),
      )
    },
  )
})

it('keeps the message of a refused setting on one line, whatever the value contains', () => {
  expect(() =>
    readEnv({ RATE_LIMIT: '5\n6' }).integer('RATE_LIMIT', 1, { min: 1, max: 9 }),
  ).toThrow(new ConfigError('RATE_LIMIT must be a whole number from 1 to 9, not "5\\n6"'))
  expect(() => readNodeEnv(readEnv({ NODE_ENV: 'production\n' }))).toThrow(/not "production\\n"$/)
})
