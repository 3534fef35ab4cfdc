import { describe, expect, it } from 'vitest'
import { readBasics } from './basics.js'
import { ConfigError, readEnv } from './env.js'

const good = {
  DATABASE_URL: 'postgres://user:pass@host:5432/name',
  REDIS_URL: 'redis://:pass@host:6379/0',
}

describe('what both services need', () => {
  it('is read', () => {
    expect(readBasics(readEnv(good))).toEqual({
      production: false,
      databaseUrl: good.DATABASE_URL,
      databaseSchema: 'public',
      redisUrl: good.REDIS_URL,
      logLevel: 'info',
    })
  })

  it('takes the schema of the tables from DATABASE_SCHEMA', () => {
    const env = readEnv({ ...good, DATABASE_SCHEMA: 'tickets' })
    expect(readBasics(env).databaseSchema).toBe('tickets')
  })

  it.each([
    [
      { DATABASE_SCHEMA: 'pg_catalog' },
      'DATABASE_SCHEMA may have up to 63 letters, digits, dashes and underscores, and must not begin with "pg_"',
    ],
    [
      { NODE_ENV: 'Production' },
      'NODE_ENV must be one of production, development, test, not "Production"',
    ],
    [
      { LOG_LEVEL: 'loud' },
      'LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, not "loud"',
    ],
  ])('is refused in one line: %o', (wrong, message) => {
    expect(() => readBasics(readEnv({ ...good, ...wrong }))).toThrow(new ConfigError(message))
  })
})
