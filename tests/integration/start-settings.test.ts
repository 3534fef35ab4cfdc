import { describe, expect, it } from 'vitest'
import { serverTarget, shownUrlOf, urlOf } from '../../tools/dev-stack/addresses.mjs'
import {
  namedServers,
  parseDotEnv,
  readServerUrls,
  serviceSettings,
} from '../../tools/dev-stack/settings.mjs'

describe('.env', () => {
  it('removes quotes, comments and `export` from the settings of .env', () => {
    const text = [
      '# a comment',
      'PLAIN=value',
      'export EXPORTED=yes',
      '  SPACED = some words  ',
      'QUOTED="kept # whole"',
      "SINGLE='also'  # a comment",
      'COMMENTED=value # a comment',
      'HASH=a#b',
      'EMPTY=',
      'URL=postgres://user:pa=ss@127.0.0.1:5432/name?sslmode=disable',
      'TWICE=first',
      'TWICE=second',
      'not a setting',
    ].join('\r\n')

    expect(parseDotEnv(text)).toEqual({
      PLAIN: 'value',
      EXPORTED: 'yes',
      SPACED: 'some words',
      QUOTED: 'kept # whole',
      SINGLE: 'also',
      COMMENTED: 'value',
      HASH: 'a#b',
      EMPTY: '',
      TWICE: 'second',
      URL: 'postgres://user:pa=ss@127.0.0.1:5432/name?sslmode=disable',
    })
  })
})

const pem = '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----'

it.each([
  ['a multi-line value', `KEY="${pem}"`, pem],
  ['a multi-line value in single quotes', `export KEY='${pem}' # a comment`, pem],
  ['a multi-line value in backquotes', `KEY=\`${pem}\``, pem],
  ['a multi-line value with Windows line ends', `KEY="${pem.replaceAll('\n', '\r\n')}"`, pem],
  ['escaped line breaks in double quotes', `KEY="${pem.replaceAll('\n', '\\n')}"`, pem],
  ['a literal backslash in single quotes', String.raw`KEY='a\nb'`, String.raw`a\nb`],
  ['the other kind of quote in quotes', `KEY="it's"`, "it's"],
  ['a quote in the middle', `KEY=it's`, "it's"],
  ['an unclosed quote', `KEY="open`, '"open'],
  ['a backslash before the closing quote', "KEY='C:\\'", 'C:\\'],
  ['a comment in quotes', `KEY="#"`, '#'],
  ['a comment instead of a value', `KEY= # none`, ''],
  ['a colon', `KEY: value`, 'value'],
  ['a byte order mark', `\uFEFFKEY=value`, 'value'],
  ['text that looks like a setting inside a value', `KEY="a\nOTHER=b"`, 'a\nOTHER=b'],
])('parses %s in .env', (_what, text, value) => {
  expect(
    parseDotEnv(`BEFORE=1\n${text}\nAFTER=2\n`.replace(/^(BEFORE=1\n)(\uFEFF)/, '$2$1')),
  ).toEqual({
    BEFORE: '1',
    KEY: value,
    AFTER: '2',
  })
})

describe('the URLs of the servers', () => {
  it('reads server URLs from one variable or from its parts', async () => {
    expect(await readServerUrls({ PG_URL: 'postgres://u@h/n' })).toEqual({
      databaseUrl: 'postgres://u@h/n',
      redisUrl: undefined,
    })
    const parts = {
      DATABASE_HOST: 'h',
      DATABASE_USER: 'u',
      DATABASE_PASSWORD: 'a/b',
      DATABASE_NAME: 'n',
    }
    expect(await readServerUrls({ ...parts, REDIS_HOST: 'r', REDIS_PASSWORD: '#' })).toEqual({
      databaseUrl: 'postgres://u:a%2Fb@h:5432/n',
      redisUrl: 'redis://:%23@r:6379',
    })
  })

  it.each([
    [{ REDIS_CLUSTER: 'h:6379' }, 'REDIS_CLUSTER'],
    [{ REDIS_SENTINELS: 'h:26379' }, 'REDIS_SENTINELS'],
  ])(
    'have no URL of a Redis with several servers, so that none is started: %o',
    async (env, name) => {
      expect(await readServerUrls(env)).toEqual({ databaseUrl: undefined, redisUrl: undefined })
      expect(namedServers(env).redis).toBe(name)
    },
  )

  it.each([
    [{ PG_URL: 'postgres://u:a/b@h/n' }, /^PG_URL cannot be read: percent-encode/],
    [{ NODE_ENV: 'Production' }, /^NODE_ENV must be one of/],
  ])('refuses %o with the same message as the services', async (env, message) => {
    await expect(readServerUrls(env)).rejects.toThrow(message)
  })
})

describe('the address in a server URL', () => {
  it.each([
    ['postgres://u:p@db.internal:6543/n', { host: 'db.internal', port: 6543 }],
    ['postgres://u:p@[::1]/n', { host: '::1', port: 5432 }],
    ['postgres:///n?host=/run/pg', { path: '/run/pg/.s.PGSQL.5432' }],
    ['postgres://u:p@%2Frun%2Fpg:6543/n', { path: '/run/pg/.s.PGSQL.6543' }],
    ['postgres://u:p@/n?host=/run/pg', { path: '/run/pg/.s.PGSQL.5432' }],
    ['postgres://u@localhost/n?host=/run/pg&port=6543', { path: '/run/pg/.s.PGSQL.6543' }],
    ['postgres:///n', { host: 'localhost', port: 5432 }],
    ['no URL', undefined],
  ])('reads the server address from %s', (url, target) => {
    expect(serverTarget(url, 5432)).toEqual(target)
  })
})

it.each([
  ['127.0.0.1', 'http://127.0.0.1:3000', 'http://localhost:3000'],
  ['0.0.0.0', 'http://127.0.0.1:3000', 'http://localhost:3000'],
  ['::', 'http://[::1]:3000', 'http://localhost:3000'],
  ['::1', 'http://[::1]:3000', 'http://[::1]:3000'],
  ['127.0.0.2', 'http://127.0.0.2:3000', 'http://127.0.0.2:3000'],
  ['box.lan', 'http://box.lan:3000', 'http://box.lan:3000'],
])('reaches an API that listens on %s at %s and shows it as %s', (host, reached, shown) => {
  expect([urlOf(host, 3000), shownUrlOf(host, 3000)]).toEqual([reached, shown])
})

describe('the settings of the services', () => {
  it('sets no defaults for services in production', () => {
    expect(serviceSettings({ NODE_ENV: 'production', PORT: '1' })).toEqual({
      NODE_ENV: 'production',
      PORT: '1',
    })
  })

  it('keeps the values that a developer set', () => {
    const set = {
      JWT_SECRET: 'x'.repeat(32),
      WEBHOOK_SECRET_KEY: 'y'.repeat(32),
      ADMIN_USER: 'root',
      ADMIN_PASSWORD: 'a long password',
    }
    expect(serviceSettings(set)).toEqual({
      ...set,
      NODE_ENV: 'development',
      INITIALIZE_OPEN: 'true',
    })
  })

  it('sets INITIALIZE_OPEN in development only, unless a developer set it', () => {
    const set = {
      JWT_SECRET: 'x'.repeat(32),
      WEBHOOK_SECRET_KEY: 'y'.repeat(32),
      ADMIN_USER: 'root',
      ADMIN_PASSWORD: 'a long password',
    }
    expect(serviceSettings({ ...set, INITIALIZE_OPEN: 'false' })['INITIALIZE_OPEN']).toBe('false')
    expect(serviceSettings({ ...set, NODE_ENV: 'test' })).not.toHaveProperty('INITIALIZE_OPEN')
    expect(serviceSettings({ ...set, NODE_ENV: 'production' })).not.toHaveProperty(
      'INITIALIZE_OPEN',
    )
  })
})
