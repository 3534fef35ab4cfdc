import { describe, expect, it } from 'vitest'
import { ConfigError, readBasics, readEnv, readLineLayout } from './env.js'

describe('a setting from the environment', () => {
  it('is its value, or the fallback where unset or empty', () => {
    const env = readEnv({ SET: 'value', EMPTY: '', BLANK: '  ' })

    expect([env.text('SET', 'else'), env.text('EMPTY', 'else'), env.text('BLANK', 'else')]).toEqual([
      'value',
      'else',
      'else',
    ])
    expect(env.optional('MISSING')).toBeUndefined()
  })

  it('that is needed and missing is named', () => {
    expect(() => readEnv({}).text('DATABASE_URL')).toThrow(new ConfigError('DATABASE_URL is not set'))
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

describe('what both services need', () => {
  const good = { DATABASE_URL: 'postgres://user:pass@host:5432/name', REDIS_URL: 'redis://:pass@host:6379/0' }

  it('is read', () => {
    expect(readBasics(readEnv(good))).toEqual({
      databaseUrl: good.DATABASE_URL,
      redisUrl: good.REDIS_URL,
      logLevel: 'info',
    })
  })

  it.each([
    [
      { DATABASE_URL: 'mysql://host/name' },
      'DATABASE_URL must be an address that begins with postgres:// or postgresql://',
    ],
    [
      { DATABASE_URL: 'host' },
      'DATABASE_URL must be an address that begins with postgres:// or postgresql://',
    ],
    [{ REDIS_URL: 'http://host' }, 'REDIS_URL must be an address that begins with redis:// or rediss://'],
    [
      { LOG_LEVEL: 'loud' },
      'LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, not "loud"',
    ],
  ])('is refused in one line: %o', (wrong, message) => {
    expect(() => readBasics(readEnv({ ...good, ...wrong }))).toThrow(new ConfigError(message))
  })
})

describe('where commands stand', () => {
  it('is a line per event on one shard, if nothing is said', () => {
    expect(readLineLayout(readEnv({}))).toEqual({ lines: 0, shards: 1, keyPrefix: 'tickets' })
  })

  it('is not read from LINES, which many shells export as the height of the terminal', () => {
    expect(readLineLayout(readEnv({ LINES: '48', COLUMNS: '120' }))).toMatchObject({ lines: 0 })
    expect(readLineLayout(readEnv({ LINES: '48', SHARED_LINES: '16' }))).toMatchObject({ lines: 16 })
  })

  it.each(['a b', 'a:b', '{a}', 'x'.repeat(65)])(
    'may not stand under a prefix that breaks keys: %s',
    (KEY_PREFIX) => {
      expect(() => readLineLayout(readEnv({ KEY_PREFIX }))).toThrow(ConfigError)
    },
  )
})
