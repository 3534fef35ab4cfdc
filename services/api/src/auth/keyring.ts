import { createPrivateKey, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { ConfigError } from '@ticket-line/shared'
import { type CryptoKey, calculateJwkThumbprint, importJWK, type JWK } from 'jose'
import type { AuthConfig } from './config.js'

/** An EdDSA key pair of this installation. */
interface OwnKey {
  kid: string
  privateKey: CryptoKey
  publicKey: CryptoKey
  publicJwk: JWK
}

/** All keys of this installation, imported once. */
export interface Keyring {
  /** The HS256 key; absent if HS256 is off. */
  secret?: CryptoKey
  /** The HS256 key in the form that `node:crypto` uses; absent if HS256 is off. */
  hmacKey?: KeyObject
  /** EdDSA keys. The first one signs; a second one still verifies during a rotation. */
  own: OwnKey[]
  /** Key for dashboard sessions. It is derived, so that no API token is valid as a session. */
  session?: CryptoKey
  /** Key that marks refresh tokens as ours (see `createSessions`). */
  refresh?: Uint8Array
}

/** @throws ConfigError if a private key cannot be read */
export async function createKeyring({
  secret,
  privateKeys,
}: Pick<AuthConfig, 'secret' | 'privateKeys'>): Promise<Keyring> {
  const own =
    privateKeys === undefined ? [] : await Promise.all(readPrivateJwks(privateKeys).map(importOwn))
  const ring: Keyring = { own: own.map(({ key }) => key) }
  if (secret !== undefined) {
    ring.secret = await importHmac(secret)
    ring.hmacKey = createSecretKey(secret)
  }
  const seed = secret ?? own[0]?.seed
  if (seed !== undefined) {
    ring.session = await importHmac(derive(seed, 'ticket-line dashboard session'))
    ring.refresh = derive(seed, 'ticket-line refresh token')
  }
  return ring
}

function derive(seed: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', seed, '', purpose, 32))
}

// jose would import raw bytes again for every token, so give it a CryptoKey.
function importHmac(bytes: Uint8Array<ArrayBuffer> | Uint8Array): Promise<CryptoKey> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  return crypto.subtle.importKey('raw', new Uint8Array(bytes), algorithm, false, ['sign', 'verify'])
}

/**
 * Reads one or more PEM blocks, a JWK, a list of JWKs or a JWK set. Every key must be readable: if
 * one were skipped, a different key would sign, or none.
 */
function readPrivateJwks(text: string): JWK[] {
  try {
    const keys = /-----(BEGIN|END) /.test(text) ? readPemBlocks(text) : readJwks(JSON.parse(text))
    if (keys.length > 0) return keys
  } catch (cause) {
    throw unreadable(cause)
  }
  throw unreadable()
}

function readPemBlocks(text: string): JWK[] {
  // In a single line of an .env file, the line breaks of a PEM are written as \n.
  const pem = text.replaceAll('\\n', '\n')
  const block = /-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g
  // If part of a block remains, that block is incomplete.
  if (pem.replace(block, '').includes('-----')) throw unreadable()
  return (pem.match(block) ?? []).map(
    (key) => createPrivateKey(key).export({ format: 'jwk' }) as JWK,
  )
}

function readJwks(value: unknown): JWK[] {
  if (Array.isArray(value)) return value
  const { keys } = Object(value) as { keys?: unknown }
  if (keys === undefined) return [value as JWK]
  return Array.isArray(keys) ? keys : []
}

async function importOwn(jwk: JWK): Promise<{ key: OwnKey; seed: Uint8Array }> {
  const { kty, crv, x, d } = (jwk ?? {}) as JWK
  if (kty !== 'OKP' || crv !== 'Ed25519' || typeof x !== 'string' || typeof d !== 'string')
    throw unreadable()
  try {
    const kid =
      typeof jwk.kid === 'string' ? jwk.kid : await calculateJwkThumbprint({ kty, crv, x })
    const publicJwk: JWK = { kty, crv, x, kid, alg: 'EdDSA', use: 'sig' }
    const privateKey = (await importJWK({ kty, crv, x, d }, 'EdDSA')) as CryptoKey
    const publicKey = (await importJWK(publicJwk, 'EdDSA')) as CryptoKey
    if (!(await belongTogether(privateKey, publicKey))) throw unreadable()
    return { key: { kid, privateKey, publicKey, publicJwk }, seed: Buffer.from(d, 'base64url') }
  } catch (cause) {
    throw unreadable(cause)
  }
}

/** If the `x` of a JWK does not belong to its `d`, the tokens that it signs cannot be verified. */
async function belongTogether(privateKey: CryptoKey, publicKey: CryptoKey): Promise<boolean> {
  const sample = new Uint8Array(32)
  const signature = await crypto.subtle.sign('Ed25519', privateKey, sample)
  return crypto.subtle.verify('Ed25519', publicKey, signature, sample)
}

function unreadable(cause?: unknown): ConfigError {
  return new ConfigError('JWT_PRIVATE_KEYS must contain Ed25519 private keys as PEM or JWK', {
    cause,
  })
}
