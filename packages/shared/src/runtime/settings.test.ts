import { describe, expect, it } from 'vitest'
import { ConfigError, readEnv } from './env.js'
import { readBasics, readDatabaseUrl, readRedisUrl } from './settings.js'

const database = (env: Record<string, string>) => readDatabaseUrl(readEnv(env))
const redis = (env: Record<string, string>) => readRedisUrl(readEnv(env))

/** Every character that means something in an address. */
const PASSWORD = 'a/b#c?d%e@f:g+h i&j=k%2Fl[m]"n\\o'

describe('the address of a server', () => {
  it.each([
    'postgres://user:pass@host:5432/name',
    'postgresql://user@host/name?sslmode=verify-full',
    'postgres://user:a%2Fb%23@[::1]:5432/name',
    'postgres:///name?host=/var/run/postgresql',
    'postgres://user:pass@%2Fvar%2Frun%2Fpostgresql/name',
    'postgres://user:pass@localhost/name?host=/var/run/postgresql',
    'postgres://user:pass@/name?host=/var/run/postgresql&user=bob@corp',
  ])('is taken as it is: %s', (address) => {
    expect(database({ DATABASE_URL: address, DATABASE_HOST: 'elsewhere' })).toBe(address)
  })

  it.each([
    ['DATABASE_URL', 'mysql://host/name', 'postgres:// or postgresql://'],
    ['DATABASE_URL', 'host', 'postgres:// or postgresql://'],
    ['REDIS_URL', 'http://host', 'redis:// or rediss://'],
  ])('must begin with a known scheme: %s=%s', (name, address, schemes) => {
    expect(() => (name === 'REDIS_URL' ? redis : database)({ [name]: address })).toThrow(
      new ConfigError(`${name} must be an address that begins with ${schemes}`),
    )
  })

  it.each(['/', '#', '?', '%'])('is refused if its password holds "%s" as it is', (character) => {
    for (const password of [`s3cret${character}key`, `12${character}key`, `key${character}`]) {
      for (const [read, name, rest] of [
        [database, 'DATABASE_URL', 'host:5432/name'],
        [redis, 'REDIS_URL', 'host:6379/0'],
      ] as const) {
        const scheme = name === 'REDIS_URL' ? 'redis' : 'postgres'
        const attempt = () => read({ [name]: `${scheme}://user:${password}@${rest}` })
        expect(attempt).toThrow(ConfigError)
        expect(attempt).toThrow(new RegExp(`^${name} cannot be read: percent-encode`))
        expect(attempt).not.toThrow(/key/)
      }
    }
  })
})

describe('the parts of an address', () => {
  it('take a password as it is', () => {
    const postgres = new URL(
      database({
        DATABASE_HOST: 'db.internal',
        DATABASE_USER: 'ticket line',
        DATABASE_PASSWORD: PASSWORD,
        DATABASE_NAME: 'tickets 100%',
      }),
    )
    expect(decodeURIComponent(postgres.password)).toBe(PASSWORD)
    expect(decodeURIComponent(postgres.username)).toBe('ticket line')
    expect(postgres.host).toBe('db.internal:5432')
    expect(decodeURI(postgres.pathname)).toBe('/tickets 100%')

    const cache = new URL(
      redis({ REDIS_HOST: 'cache.internal', REDIS_PORT: '6380', REDIS_PASSWORD: PASSWORD }),
    )
    expect([cache.username, decodeURIComponent(cache.password), cache.host]).toEqual([
      '',
      PASSWORD,
      'cache.internal:6380',
    ])
  })

  it('may leave out the user and password of Redis', () => {
    expect(redis({ REDIS_HOST: 'cache' })).toBe('redis://cache:6379')
  })

  it.each([
    ['::1', '[::1]:5432'],
    ['10.0.0.7', '10.0.0.7:5432'],
    ['/var/run/postgresql', '%2Fvar%2Frun%2Fpostgresql:5432'],
  ])('take the host %s', (DATABASE_HOST, authority) => {
    expect(database({ DATABASE_HOST, DATABASE_USER: 'u', DATABASE_NAME: 'n' })).toBe(
      `postgres://u:@${authority}/n`,
    )
  })

  it.each([
    [{ DATABASE_HOST: 'db', DATABASE_USER: 'u' }, /^DATABASE_NAME is not set/],
    [{ DATABASE_HOST: 'db', DATABASE_NAME: 'n' }, /^DATABASE_USER is not set/],
    [{ DATABASE_HOST: 'db/x', DATABASE_USER: 'u', DATABASE_NAME: 'n' }, /^DATABASE_HOST must be/],
    [
      { DATABASE_HOST: 'db:5432', DATABASE_USER: 'u', DATABASE_NAME: 'n' },
      /^DATABASE_HOST must be/,
    ],
    [{ DATABASE_HOST: 'db', DATABASE_USER: 'u', DATABASE_NAME: 'n#1' }, /^DATABASE_NAME must not/],
    [
      {
        DATABASE_HOST: 'db',
        DATABASE_PORT: 'tcp://10.0.0.1:5432',
        DATABASE_USER: 'u',
        DATABASE_NAME: 'n',
      },
      /^DATABASE_PORT must be a whole number/,
    ],
  ])('are named if they are missing or cannot be used: %o', (env, message) => {
    expect(() => database(env as unknown as Record<string, string>)).toThrow(message)
  })

  it.each([
    ['DATABASE_URL', database],
    ['REDIS_URL', redis],
  ] as const)('are needed if %s is not set', (name, read) => {
    expect(() => read({})).toThrow(new ConfigError(`${name} is not set`))
  })
})

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
