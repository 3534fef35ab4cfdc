import { randomBytes } from 'node:crypto'
import { readEnv } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import {
  decryptSecret,
  encryptSecret,
  newSecret,
  readSecretKeys,
  type SecretKeys,
} from './secrets.js'

const ID = '3f2b7c1e-5d0a-4c53-9f0e-8a1b2c3d4e5f'
const OTHER_ID = '3f2b7c1e-5d0a-4c53-9f0e-8a1b2c3d4e60'
const text = () => randomBytes(32).toString('base64')

function keysOf(value: string, production = true): SecretKeys {
  const keys = readSecretKeys(readEnv({ WEBHOOK_SECRET_KEY: value }), production)
  if (keys === undefined) throw new Error('no key')
  return keys
}

describe('a signing secret', () => {
  it('has 32 random bytes', () => {
    expect(newSecret()).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    expect(newSecret()).not.toBe(newSecret())
  })

  it('is encrypted differently each time, and decrypted to the same text', () => {
    const keys = keysOf(text())
    const secret = newSecret()
    const [first, second] = [encryptSecret(keys, ID, secret), encryptSecret(keys, ID, secret)]
    expect(first.equals(second)).toBe(false)
    expect([decryptSecret(keys, ID, first), decryptSecret(keys, ID, second)]).toEqual([
      secret,
      secret,
    ])
    expect(first.includes(secret.slice(6, 20))).toBe(false)
  })

  it('cannot be decrypted as the secret of another webhook', () => {
    const keys = keysOf(text())
    const stored = encryptSecret(keys, ID, newSecret())
    expect(() => decryptSecret(keys, OTHER_ID, stored)).toThrow('belongs to another webhook')
  })

  it('cannot be decrypted after any of its bytes was changed', () => {
    const keys = keysOf(text())
    const stored = encryptSecret(keys, ID, newSecret())
    for (let index = 0; index < stored.length; index++) {
      const changed = Buffer.from(stored)
      changed[index] = (changed[index] ?? 0) ^ 1
      expect(() => decryptSecret(keys, ID, changed)).toThrow('secret of the webhook')
    }
    expect(() => decryptSecret(keys, ID, stored.subarray(0, 20))).toThrow('unknown form')
    expect(() => decryptSecret(keys, ID, Buffer.alloc(0))).toThrow('unknown form')
  })

  it('can be decrypted with its old key after a new one was added', () => {
    const [before, now] = [text(), text()]
    const stored = encryptSecret(keysOf(before), ID, 'whsec_abc')
    expect(decryptSecret(keysOf(`${now}, ${before}`), ID, stored)).toBe('whsec_abc')
    expect(() => decryptSecret(keysOf(now), ID, stored)).toThrow('another WEBHOOK_SECRET_KEY')
    const written = encryptSecret(keysOf(`${now},${before}`), ID, 'whsec_abc')
    expect(decryptSecret(keysOf(now), ID, written)).toBe('whsec_abc')
  })
})

describe('WEBHOOK_SECRET_KEY', () => {
  it('may be missing', () => {
    expect(readSecretKeys(readEnv({}), true)).toBeUndefined()
    expect(readSecretKeys(readEnv({ WEBHOOK_SECRET_KEY: ' ' }), true)).toBeUndefined()
  })

  it.each([
    ['base64', randomBytes(32).toString('base64')],
    ['base64url', randomBytes(32).toString('base64url')],
    ['hexadecimal', randomBytes(32).toString('hex')],
  ])('is accepted in production in %s', (_form, value) => {
    expect(keysOf(value)).toHaveLength(1)
  })

  it.each([
    ['16 bytes', randomBytes(16).toString('base64')],
    ['48 bytes', randomBytes(48).toString('base64')],
    ['a sentence', 'this is the secret key of our webhooks'],
    ['one repeated character', 'A'.repeat(43)],
    ['a second key that is too short', `${randomBytes(32).toString('hex')},abc`],
    ['an empty second key', `${randomBytes(32).toString('hex')},`],
  ])('is refused in production: %s', (_what, value) => {
    expect(() => keysOf(value)).toThrow(/^WEBHOOK_SECRET_KEY .*openssl rand -hex 32/)
  })

  it('may be any text of 32 bytes outside production', () => {
    expect(keysOf('this is the secret key of our webhooks', false)).toHaveLength(1)
    expect(() => keysOf('short', false)).toThrow('too short')
  })
})
