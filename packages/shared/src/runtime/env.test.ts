import { describe, expect, it } from 'vitest'
import { ConfigError, readEnv, readLineLayout, readNodeEnv } from './env.js'

describe('a setting from the environment', () => {
  it('is its value, or the fallback where unset or empty', () => {
    const env = readEnv({ SET: 'value', EMPTY: '', BLANK: '  ' })

    expect([env.text('SET', 'else'), env.text('EMPTY', 'else'), env.text('BLANK', 'else')]).toEqual(
      ['value', 'else', 'else'],
    )
    expect(env.optional('MISSING')).toBeUndefined()
  })

  it('that is needed and missing is named', () => {
    expect(() => readEnv({}).text('DATABASE_URL')).toThrow(
      new ConfigError('DATABASE_URL is not set'),
    )
  })

  it.each(['7.5', '1e3', 'ten', '0x10', '-1', '101', '9007199254740993'])(
    'is no whole number in range: %s',
    (value) => {
      expect(() => readEnv({ COUNT: value }).integer('COUNT', 5, { min: 0, max: 100 })).toThrow(
        /^COUNT must be/,
      )
    },
  )

  it('may be a whole number at either end of its range', () => {
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
  ])('may be a flag: %s', (value, flag) => {
    expect(readEnv({ FLAG: value }).flag('FLAG', !flag)).toBe(flag)
  })

  it('that is half a flag is none', () => {
    expect(() => readEnv({ FLAG: 'maybe' }).flag('FLAG', false)).toThrow(ConfigError)
  })
})

describe('NODE_ENV', () => {
  it.each(['production', 'development', 'test'])('may be %s', (value) => {
    expect(readNodeEnv(readEnv({ NODE_ENV: value }))).toBe(value)
  })

  it('means development if it is unset or empty', () => {
    expect([readNodeEnv(readEnv({})), readNodeEnv(readEnv({ NODE_ENV: '' }))]).toEqual([
      'development',
      'development',
    ])
  })

  it.each(['Production', 'PRODUCTION', 'prod', 'production ', ' production', 'staging', 'dev'])(
    'stops the process if it is "%s"',
    (value) => {
      expect(() => readNodeEnv(readEnv({ NODE_ENV: value }))).toThrow(
        new ConfigError(`NODE_ENV must be one of production, development, test, not "${value}"`),
      )
    },
  )
})

it('keeps a refusal on one line whatever the value holds', () => {
  expect(() =>
    readEnv({ RATE_LIMIT: '5\n6' }).integer('RATE_LIMIT', 1, { min: 1, max: 9 }),
  ).toThrow(new ConfigError('RATE_LIMIT must be a whole number from 1 to 9, not "5\\n6"'))
  expect(() => readNodeEnv(readEnv({ NODE_ENV: 'production\n' }))).toThrow(/not "production\\n"$/)
})

describe('where commands stand', () => {
  it('is a line per event on one shard, if nothing is said', () => {
    expect(readLineLayout(readEnv({}))).toEqual({ lines: 0, shards: 1, keyPrefix: 'tickets' })
  })

  it('is not read from LINES, which many shells export as the height of the terminal', () => {
    expect(readLineLayout(readEnv({ LINES: '48', COLUMNS: '120' }))).toMatchObject({ lines: 0 })
    expect(readLineLayout(readEnv({ LINES: '48', SHARED_LINES: '16' }))).toMatchObject({
      lines: 16,
    })
  })

  it.each(['a b', 'a:b', '{a}', 'x'.repeat(65)])(
    'may not stand under a prefix that breaks keys: %s',
    (KEY_PREFIX) => {
      expect(() => readLineLayout(readEnv({ KEY_PREFIX }))).toThrow(ConfigError)
    },
  )
})
