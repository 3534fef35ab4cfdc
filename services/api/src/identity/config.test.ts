import { ConfigError, readEnv } from '@ticket-line/shared'
import { describe, expect, test } from 'vitest'
import { readIdentityConfig } from './config.js'

const secret = 'b2f1c07d4e9a86531fd0c7ba29e48d65'
const read = (env: Record<string, string>, production = true) => readIdentityConfig(readEnv(env), production)

describe('in production', () => {
  test('a secret of its own is enough', () => {
    expect(read({ JWT_SECRET: secret })).toMatchObject({ localAccounts: true, cookies: { always: true } })
  })

  test.each([
    ['no secret', {}, /^JWT_SECRET is not set/],
    ['an empty secret', { JWT_SECRET: ' ' }, /^JWT_SECRET is not set/],
    ['31 bytes', { JWT_SECRET: secret.slice(1) }, /^JWT_SECRET is too short/],
    ['one letter repeated', { JWT_SECRET: 'x'.repeat(64) }, /^JWT_SECRET looks like an example/],
    [
      'an example',
      { JWT_SECRET: 'your-256-bit-secret-your-256-bit-secret' },
      /^JWT_SECRET looks like an example/,
    ],
    [
      'a hint',
      { JWT_SECRET: 'replace-with-a-long-random-secret-value' },
      /^JWT_SECRET looks like an example/,
    ],
    [
      'a reminder',
      { JWT_SECRET: 'please-change-me-0123456789abcdefgh' },
      /^JWT_SECRET looks like an example/,
    ],
    [
      'a default password',
      { JWT_SECRET: secret, ADMIN_USER: 'a', ADMIN_PASSWORD: 'changeme-please' },
      /^ADMIN_PASSWORD is a default/,
    ],
    [
      'a common password',
      { JWT_SECRET: secret, ADMIN_USER: 'a', ADMIN_PASSWORD: 'password123' },
      /^ADMIN_PASSWORD is a default/,
    ],
    [
      'an issuer without a name and an audience',
      { JWT_JWKS_URL: 'https://issuer.test/jwks' },
      /^JWT_JWKS_URL needs JWT_ISSUER and JWT_AUDIENCE in production/,
    ],
    [
      'an issuer without an audience',
      { JWT_JWKS_URL: 'https://issuer.test/jwks', JWT_ISSUER: 'https://issuer.test' },
      /^JWT_JWKS_URL needs JWT_AUDIENCE in production/,
    ],
    [
      'an issuer with a blank name',
      { JWT_JWKS_URL: 'https://issuer.test/jwks', JWT_ISSUER: ' ', JWT_AUDIENCE: 'tickets' },
      /^JWT_JWKS_URL needs JWT_ISSUER in production/,
    ],
    [
      'an issuer without a name beside local accounts',
      { JWT_JWKS_URL: 'https://issuer.test/jwks', LOCAL_ACCOUNTS: 'true', JWT_SECRET: secret },
      /^JWT_JWKS_URL needs/,
    ],
    ['the subject as a role', { JWT_SECRET: secret, JWT_ROLE_CLAIM: 'sub' }, /^JWT_ROLE_CLAIM must not be/],
    ['keys over plain http', { JWT_JWKS_URL: 'http://issuer.test/jwks' }, /^JWT_JWKS_URL must be https/],
  ])('%s stops the start with one line', (_name, env, message) => {
    expect(() => read(env as Record<string, string>)).toThrow(message)
    expect(() => read(env as Record<string, string>)).toThrow(ConfigError)
  })
})

test.each([
  ['half an admin', { JWT_SECRET: secret, ADMIN_USER: 'root' }, /together/],
  ['a short password', { JWT_SECRET: secret, ADMIN_USER: 'root', ADMIN_PASSWORD: 'short' }, /8 to 128/],
  ['nobody to sign tokens', { JWT_SECRET: secret, LOCAL_ACCOUNTS: 'false' }, /JWT_JWKS_URL/],
  ['no address of keys', { JWT_JWKS_URL: 'issuer' }, /JWT_JWKS_URL/],
])('%s is refused everywhere', (_name, env, message) => {
  expect(() => read(env as Record<string, string>, false)).toThrow(message)
})

test('another issuer turns local accounts and the secret off, unless they are wanted', () => {
  const issuer = { JWT_ISSUER: 'https://issuer.test', JWT_AUDIENCE: 'tickets' }
  const env = { JWT_JWKS_URL: 'https://issuer.test/jwks', JWT_SECRET: secret, ...issuer }
  const off = read(env)
  expect(off.localAccounts).toBe(false)
  expect(off.secret).toBeUndefined()
  const on = read({ ...env, LOCAL_ACCOUNTS: 'true' })
  expect(on.localAccounts).toBe(true)
  expect(on.secret).toHaveLength(32)
})

test('in development an issuer needs no name', () => {
  expect(read({ JWT_JWKS_URL: 'http://issuer.test/jwks' }, false)).toMatchObject({ localAccounts: false })
})

test('in development a simple secret will do', () => {
  expect(read({ JWT_SECRET: 'dev' }, false)).toMatchObject({ cookies: { always: false, trustProxy: false } })
})
