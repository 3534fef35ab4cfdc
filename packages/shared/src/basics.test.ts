import { describe, expect, it } from 'vitest'
import { readBasics } from './basics.js'
import { ConfigError, readEnv } from './env.js'

const good = { DATABASE_URL: 'postgres://user:pass@host:5432/name', REDIS_URL: 'redis://:pass@host:6379/0' }

describe('what both services need', () => {
  it('is read', () => {
    expect(readBasics(readEnv(good))).toEqual({
      production: false,
      databaseUrl: good.DATABASE_URL,
      redisUrl: good.REDIS_URL,
      logLevel: 'info',
    })
  })

  it.each([
    [{ NODE_ENV: 'Production' }, 'NODE_ENV must be one of production, development, test, not "Production"'],
    [
      { LOG_LEVEL: 'loud' },
      'LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, not "loud"',
    ],
  ])('is refused in one line: %o', (wrong, message) => {
    expect(() => readBasics(readEnv({ ...good, ...wrong }))).toThrow(new ConfigError(message))
  })
})
