import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export type Algorithm = 'HS256' | 'HS384' | 'HS512' | 'RS256' | 'ES256' | 'EdDSA'

/** A signing key. Verifiers know it as `kid`. */
export interface Signer {
  alg: Algorithm
  kid?: string
  key: KeyObject | Uint8Array
}

export type Json = Record<string, unknown>

export const encode = (part: string | Uint8Array): string => Buffer.from(part).toString('base64url')

/** Signs any text, whatever its header says. */
export function signText(input: string, { alg, key }: Pick<Signer, 'alg' | 'key'>): string {
  if (alg.startsWith('HS'))
    return createHmac(`sha${alg.slice(2)}`, key)
      .update(input)
      .digest('base64url')
  const digest = alg === 'EdDSA' ? null : 'sha256'
  // JWS concatenates the two numbers of an ECDSA signature (RFC 7518, section 3.4).
  return sign(digest, Buffer.from(input), {
    key: key as KeyObject,
    dsaEncoding: 'ieee-p1363',
  }).toString('base64url')
}

/** Assembles a token without checking it. Parts that are strings are used as they are. */
export function makeToken(
  header: Json | string,
  payload: Json | string,
  signer: Pick<Signer, 'alg' | 'key'>,
) {
  const text = (part: Json | string) => (typeof part === 'string' ? part : JSON.stringify(part))
  const input = `${encode(text(header))}.${encode(text(payload))}`
  return `${input}.${signText(input, signer)}`
}

/** The header of a valid token. */
export const headerOf = ({ alg, kid }: Signer): Json => ({ alg, typ: 'JWT', ...(kid && { kid }) })

export interface KeyPair extends Signer {
  publicKey: KeyObject
}

export function newRsa(kid: string): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { alg: 'RS256', kid, key: privateKey, publicKey }
}

export function newEc(kid: string): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { alg: 'ES256', kid, key: privateKey, publicKey }
}

export function newEd(kid: string): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return { alg: 'EdDSA', kid, key: privateKey, publicKey }
}

export const jwkOf = ({ publicKey, kid }: KeyPair): Json => ({
  ...publicKey.export({ format: 'jwk' }),
  kid,
})
