import { ConfigError } from '@ticket-line/shared'
import { describe, expect, test } from 'vitest'
import { readConfig } from './config.js'

const secret = 'b2f1c07d4e9a86531fd0c7ba29e48d65'
const servers = { DATABASE_URL: 'postgres://user@host/name', REDIS_URL: 'redis://host' }

function read(env: Record<string, string>, production = true) {
  const mode = production ? { NODE_ENV: 'production' } : {}
  const { auth, accounts, cookies } = readConfig({ ...servers, ...mode, ...env })
  return { ...auth, ...accounts, cookies }
}

describe('the authentication settings in production', () => {
  test('need only JWT_SECRET', () => {
    expect(read({ JWT_SECRET: secret })).toMatchObject({
      localAccounts: true,
      cookies: { always: true },
    })
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
      'words that describe it',
      { JWT_SECRET: 'my-super-secret-jwt-key-for-production' },
      /^JWT_SECRET looks like an example/,
    ],
    [
      'the name of the product',
      { JWT_SECRET: 'ticket-line-production-2026-08-17-berlin' },
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
    ...Object.entries({
      'digits in order': '12345678901234567890123456789012',
      'digits and letters in order': '0123456789abcdefghijklmnopqrstuv',
      'spaces and a few letters': `${' '.repeat(40)}abcdefgh`,
      'a walk over the keyboard': 'qwertyuiopasdfghjklzxcvbnm123456',
      'a walk in both cases': 'QWERTYUIOPqwertyuiopASDFGHJKLasdfghjkl',
      'columns of the keyboard': '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik',
      'one word repeated': 'Correct-Horse!Correct-Horse!Correct-Horse!',
      'a common password repeated': 'P@ssw0rd1P@ssw0rd1P@ssw0rd1P@ssw0rd1',
      'a long repetition': 'abcdefghij'.repeat(50),
      'letters and digits in turn': 'a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6',
      'digits in order, in base64': 'MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=',
      'bytes in order, in base64': 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
      'bytes in order, in hexadecimal digits':
        '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
      'columns of the keyboard with Shift': '!QAZ@WSX#EDC$RFV%TGB^YHN&UJM*IK<',
    }).map(([name, weak]): [string, Record<string, string>, RegExp] => [
      name,
      { JWT_SECRET: weak.padEnd(32, '9') },
      /^JWT_SECRET is easy to guess/,
    ]),
    [
      'the example of jwt.io',
      { JWT_SECRET: 'a-string-secret-at-least-256-bits-long' },
      /^JWT_SECRET looks like an example/,
    ],
    [
      'a command instead of its output',
      { JWT_SECRET: 'echo "$(openssl rand -base64 48)" >> .env' },
      /^JWT_SECRET looks like an example/,
    ],
    [
      'the password of the admin as secret',
      { JWT_SECRET: secret, ADMIN_USER: 'a', ADMIN_PASSWORD: secret.toUpperCase() },
      /^JWT_SECRET contains ADMIN_PASSWORD/,
    ],
    [
      'a secret made of the password of the admin',
      { JWT_SECRET: `${secret}-wet slate wall`, ADMIN_USER: 'a', ADMIN_PASSWORD: 'Wet Slate Wall' },
      /^JWT_SECRET contains ADMIN_PASSWORD/,
    ],
    ...Object.entries({
      'a common password in another case': ['PassWord123', 'a default or common'],
      'a common password with look-alikes': ['Passw0rd!', 'easy to guess'],
      'a keyboard walk': ['zaq12wsxcde3', 'easy to guess'],
      'digits in order': ['1234567890123', 'easy to guess'],
      'its user id in another case': ['ROOTROOT', 'a default or common'],
      'its user id with a year': ['rootroot2026', 'easy to guess'],
      'the name of the product': ['ticket-line', 'easy to guess'],
      'a season': ['Summer2026!', 'easy to guess'],
      'a season with a symbol in it': ['Spring@2026', 'easy to guess'],
      'a keyboard walk with Shift': ['1qaz@WSX3edc', 'easy to guess'],
      'one letter': ['aaaaaaaaaaaaaaaa', 'easy to guess'],
    }).map(([name, [password = '', reason]]): [string, Record<string, string>, RegExp] => [
      `for the admin ${name}`,
      { JWT_SECRET: secret, ADMIN_USER: 'rootroot', ADMIN_PASSWORD: password },
      new RegExp(`^ADMIN_PASSWORD is ${reason}`),
    ]),
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
    [
      'the subject as a role',
      { JWT_SECRET: secret, JWT_ROLE_CLAIM: 'sub' },
      /^JWT_ROLE_CLAIM must not be/,
    ],
    [
      'keys over plain http',
      { JWT_JWKS_URL: 'http://issuer.test/jwks' },
      /^JWT_JWKS_URL must be https/,
    ],
  ])('are refused with one line: %s', (_name, env, message) => {
    expect(() => read(env as Record<string, string>)).toThrow(message)
    expect(() => read(env as Record<string, string>)).toThrow(ConfigError)
  })
})

test.each([
  ['ADMIN_USER without ADMIN_PASSWORD', { JWT_SECRET: secret, ADMIN_USER: 'root' }, /together/],
  [
    'a short password',
    { JWT_SECRET: secret, ADMIN_USER: 'root', ADMIN_PASSWORD: 'short' },
    /8 to 128/,
  ],
  ['no way to sign in', { JWT_SECRET: secret, LOCAL_ACCOUNTS: 'false' }, /JWT_JWKS_URL/],
  ['a JWT_JWKS_URL that is no URL', { JWT_JWKS_URL: 'issuer' }, /JWT_JWKS_URL/],
])('the authentication settings are refused in every mode: %s', (_name, env, message) => {
  expect(() => read(env as Record<string, string>, false)).toThrow(message)
})

test('JWT_JWKS_URL turns local accounts and JWT_SECRET off unless LOCAL_ACCOUNTS is true', () => {
  const issuer = { JWT_ISSUER: 'https://issuer.test', JWT_AUDIENCE: 'tickets' }
  const env = { JWT_JWKS_URL: 'https://issuer.test/jwks', JWT_SECRET: secret, ...issuer }
  const off = read(env)
  expect(off.localAccounts).toBe(false)
  expect(off.secret).toBeUndefined()
  const on = read({ ...env, LOCAL_ACCOUNTS: 'true' })
  expect(on.localAccounts).toBe(true)
  expect(on.secret).toHaveLength(32)
})

test.each([
  'k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO',
  '086ddc2dd432a2756f1743cc590aeb5b',
  'LgN1Qy5Gx0bF7mK/3pZ9sV+2eTtRw8cU4hJdXoAiYlQ=',
  '6cb0b7d3-51a6-4a7c-9d53-6b21f0d0d9c4',
  'tall ferns by the river, wet slate and nine grey herons',
  'LgN1Qy5Gx0bF7mK/3pZ9sV+2eTtRw8cU4hJdXoAiYlQ='.repeat(20),
])('production accepts JWT_SECRET=%s', (good) => {
  const admin = { ADMIN_USER: 'root', ADMIN_PASSWORD: 'a wall of wet slate' }
  expect(read({ JWT_SECRET: good, ...admin }).firstAdmin).toBeDefined()
})

test('JWT_JWKS_URL needs no issuer and audience in development', () => {
  expect(read({ JWT_JWKS_URL: 'http://issuer.test/jwks' }, false)).toMatchObject({
    localAccounts: false,
  })
})

test('JWT_SECRET may be simple in development', () => {
  expect(read({ JWT_SECRET: 'dev' }, false)).toMatchObject({
    cookies: { always: false, trustProxy: false },
  })
})
