import { generateKeyPairSync } from 'node:crypto'
import { ConfigError } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { createKeyring } from './keyring.js'

const secret = new TextEncoder().encode('k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO')
const newKey = () => generateKeyPairSync('ed25519').privateKey
const pemOf = (key = newKey()) => String(key.export({ format: 'pem', type: 'pkcs8' }))
const jwkOf = (key = newKey()) => key.export({ format: 'jwk' })
const ecPem = String(
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    format: 'pem',
    type: 'pkcs8',
  }),
)
const publicPem = String(
  generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' }),
)

describe('JWT_PRIVATE_KEYS', () => {
  it.each([
    ['two PEM blocks', pemOf() + pemOf(), 2],
    ['a PEM whose line breaks are written as \\n', pemOf().replaceAll('\n', '\\n'), 1],
    ['a PEM with text before it', `Ticket line, 2026\n${pemOf()}`, 1],
    ['a JWK', JSON.stringify(jwkOf()), 1],
    ['a list of JWKs', JSON.stringify([jwkOf(), jwkOf()]), 2],
    ['a JWK set', JSON.stringify({ keys: [jwkOf()] }), 1],
  ])('can contain %s', async (_what, privateKeys, count) => {
    expect((await createKeyring({ privateKeys })).own).toHaveLength(count)
  })

  it.each([
    ['the first line of a PEM', '-----BEGIN PRIVATE KEY-----'],
    ['the first line of a PEM and a quote', '"-----BEGIN PRIVATE KEY-----'],
    ['the last line of a PEM', '-----END PRIVATE KEY-----'],
    ['a PEM without its last line', pemOf().replace(/-----END.*/, '')],
    ['a PEM cut in the middle', `${pemOf().slice(0, 60)}\n-----END PRIVATE KEY-----\n`],
    ['a complete PEM after an incomplete one', pemOf().replace(/-----END.*/, '') + pemOf()],
    ['a complete PEM before an incomplete one', pemOf() + pemOf().slice(0, 40)],
    ['a key of another kind', ecPem],
    ['a public key', publicPem],
    ['no key', '[]'],
    ['an empty JWK set', '{"keys":[]}'],
    ['a JWK set without a list', '{"keys":"many"}'],
    ['null', 'null'],
    ['a JWK without its private part', JSON.stringify({ ...jwkOf(), d: undefined })],
    ['a JWK with parts of two keys', JSON.stringify({ ...jwkOf(), d: jwkOf().d })],
    ['some other text', 'secret'],
  ])('is refused if it contains %s', async (_what, privateKeys) => {
    await expect(createKeyring({ secret, privateKeys })).rejects.toThrow(
      new ConfigError('JWT_PRIVATE_KEYS must contain Ed25519 private keys as PEM or JWK'),
    )
  })
})
