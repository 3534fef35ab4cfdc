import { describe, expect, it } from 'vitest'
import { ConfigError, readEnv } from './env.js'
import { readRedisUrl } from './redis-settings.js'
import { readBasics, readDatabaseReadUrl, readDatabaseUrl, readLineLayout } from './settings.js'

const database = (env: Record<string, string>) => readDatabaseUrl(readEnv(env))
const redis = (env: Record<string, string>) => readRedisUrl(readEnv(env))

/** Contains every character that has a meaning in an address. */
const PASSWORD = 'a/b#c?d%e@f:g+h i&j=k%2Fl[m]"n\\o'

describe('readDatabaseUrl and readRedisUrl', () => {
  it.each([
    'postgres://user:pass@host:5432/name',
    'postgresql://user@host/name?sslmode=verify-full',
    'postgres://user:a%2Fb%23@[::1]:5432/name',
    'postgres:///name?host=/var/run/postgresql',
    'postgres://user:pass@%2Fvar%2Frun%2Fpostgresql/name',
    'postgres://user:pass@localhost/name?host=/var/run/postgresql',
    'postgres://user:pass@/name?host=/var/run/postgresql&user=bob@corp',
  ])('accept the address %s unchanged', (address) => {
    expect(database({ DATABASE_URL: address, DATABASE_HOST: 'elsewhere' })).toBe(address)
  })

  it.each([
    ['DATABASE_URL', 'mysql://host/name', 'postgres:// or postgresql://'],
    ['DATABASE_URL', 'host', 'postgres:// or postgresql://'],
    ['REDIS_URL', 'http://host', 'redis:// or rediss://'],
  ])('refuse an unknown scheme in %s=%s', (name, address, schemes) => {
    expect(() => (name === 'REDIS_URL' ? redis : database)({ [name]: address })).toThrow(
      new ConfigError(`${name} must be an address that begins with ${schemes}`),
    )
  })

  it.each(['/', '#', '?', '%'])(
    'refuse an address whose password contains "%s" without encoding',
    (character) => {
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
    },
  )
})

describe('readDatabaseReadUrl', () => {
  const standby = (url?: string) => readDatabaseReadUrl(readEnv({ DATABASE_READ_URL: url }))

  it('returns nothing unless the variable is set', () => {
    expect([standby(), standby(' ')]).toEqual([undefined, undefined])
  })

  it('accepts an address of PostgreSQL, and names its variable if it cannot be read', () => {
    expect(standby('postgres://user:pass@standby:5432/name')).toBe(
      'postgres://user:pass@standby:5432/name',
    )
    expect(() => standby('redis://standby')).toThrow(
      new ConfigError(
        'DATABASE_READ_URL must be an address that begins with postgres:// or postgresql://',
      ),
    )
    expect(() => standby('postgres://user:s3cret/key@standby/name')).toThrow(
      /^DATABASE_READ_URL cannot be read: percent-encode .* \(a "\/" is %2F\)$/,
    )
  })
})

describe('readDatabaseUrl and readRedisUrl, from parts', () => {
  it('accept a password without encoding', () => {
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

  it('need no user and password for Redis', () => {
    expect(redis({ REDIS_HOST: 'cache' })).toBe('redis://cache:6379')
  })

  it.each([
    ['::1', '[::1]:5432'],
    ['10.0.0.7', '10.0.0.7:5432'],
    ['/var/run/postgresql', '%2Fvar%2Frun%2Fpostgresql:5432'],
  ])('accept the host %s', (DATABASE_HOST, authority) => {
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
  ])('name a part that is missing or cannot be used: %o', (env, message) => {
    expect(() => database(env as unknown as Record<string, string>)).toThrow(message)
  })

  it.each([
    ['DATABASE_URL', database],
    ['REDIS_URL', redis],
  ] as const)('name %s if neither the address nor its parts are set', (name, read) => {
    expect(() => read({})).toThrow(new ConfigError(`${name} is not set`))
  })
})

const good = {
  DATABASE_URL: 'postgres://user:pass@host:5432/name',
  REDIS_URL: 'redis://:pass@host:6379/0',
}

describe('readBasics', () => {
  it('reads the settings that all services have', () => {
    expect(readBasics(readEnv(good))).toEqual({
      production: false,
      databaseUrl: good.DATABASE_URL,
      databaseSchema: 'public',
      redis: { kind: 'single', url: good.REDIS_URL },
      logLevel: 'info',
    })
  })

  it('reads the commit of the build from BUILD_COMMIT, which may be empty', () => {
    expect(readBasics(readEnv({ ...good, BUILD_COMMIT: '0c16a9b' })).commit).toBe('0c16a9b')
    expect(readBasics(readEnv({ ...good, BUILD_COMMIT: '' })).commit).toBeUndefined()
  })

  it('reads the schema of the tables from DATABASE_SCHEMA', () => {
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
  ])('refuses %o in one line', (wrong, message) => {
    expect(() => readBasics(readEnv({ ...good, ...wrong }))).toThrow(new ConfigError(message))
  })
})

describe('readLineLayout', () => {
  it('gives each event a line of its own on one shard by default', () => {
    expect(readLineLayout(readEnv({}))).toEqual({ sharedLines: 0, shards: 1, keyPrefix: 'tickets' })
  })

  it('ignores LINES, which many shells export as the height of the terminal', () => {
    expect(readLineLayout(readEnv({ LINES: '48', COLUMNS: '120' }))).toMatchObject({
      sharedLines: 0,
    })
    expect(readLineLayout(readEnv({ LINES: '48', SHARED_LINES: '16' }))).toMatchObject({
      sharedLines: 16,
    })
  })

  it.each(['a b', 'a:b', '{a}', 'x'.repeat(65)])('refuses the key prefix %s', (KEY_PREFIX) => {
    expect(() => readLineLayout(readEnv({ KEY_PREFIX }))).toThrow(ConfigError)
  })
})
