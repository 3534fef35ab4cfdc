import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { ConfigError, type EnvReader } from '@ticket-line/shared'

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
/** First byte of an encrypted secret, so that a later release can change the form. */
const FORM = 1
const KEY_ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEAD_BYTES = 1 + KEY_ID_BYTES

/** Number of random bytes in a signing secret. Standard Webhooks allows 24 to 64. */
const SECRET_BYTES = 32
const SECRET_PREFIX = 'whsec_'

/** A key of `WEBHOOK_SECRET_KEY`. */
export interface SecretKey {
  /**
   * Stored with each encrypted secret, so that its key can be found. It reveals nothing of the key.
   */
  id: Buffer
  key: KeyObject
}

/** The first key encrypts. All of them decrypt, so that an operator can replace the first one. */
export type SecretKeys = readonly [SecretKey, ...SecretKey[]]

/**
 * Reads `WEBHOOK_SECRET_KEY`: 32 random bytes in hexadecimal or base64. Several keys are separated
 * by commas, the newest first. Outside production any text of 32 bytes or more is a key.
 *
 * @returns undefined if it is not set
 * @throws ConfigError with one line for the operator
 */
export function readSecretKeys(env: EnvReader, production: boolean): SecretKeys | undefined {
  const text = env.optional('WEBHOOK_SECRET_KEY')
  if (text === undefined) return undefined
  const [first = '', ...others] = text.split(',').map((part) => part.trim())
  const toKey = (part: string) => secretKeyOf(part, production)
  return [toKey(first), ...others.map(toKey)]
}

const ENCODED_KEY = /^(?:[0-9a-f]{64}|[A-Za-z0-9+/_-]{43}=?)$/i
/** How many different characters a key must have. Random bytes have more in either encoding. */
const MIN_VARIETY = 8

function secretKeyOf(text: string, production: boolean): SecretKey {
  if (Buffer.byteLength(text) < KEY_BYTES) {
    throw new ConfigError(
      `WEBHOOK_SECRET_KEY is too short: it must be ${KEY_BYTES} random bytes, for example from \`openssl rand -hex ${KEY_BYTES}\``,
    )
  }
  if (production && !(ENCODED_KEY.test(text) && new Set(text).size >= MIN_VARIETY)) {
    throw new ConfigError(
      `WEBHOOK_SECRET_KEY must be ${KEY_BYTES} random bytes in hexadecimal or base64, for example from \`openssl rand -hex ${KEY_BYTES}\``,
    )
  }
  const derive = (purpose: string, bytes: number) =>
    Buffer.from(hkdfSync('sha256', text, '', `ticket-line webhook ${purpose}`, bytes))
  return {
    id: derive('key id', KEY_ID_BYTES),
    key: createSecretKey(derive('secrets', KEY_BYTES)),
  }
}

/** Makes a signing secret, in the form in which the owner of the webhook gets it once. */
export function newSecret(): string {
  return `${SECRET_PREFIX}${randomBytes(SECRET_BYTES).toString('base64')}`
}

/**
 * Encrypts a signing secret for the database: form, key id, nonce, ciphertext, tag.
 *
 * @param webhookId authenticated together with the secret, so that the secret of one webhook cannot
 * be decrypted in the row of another
 */
export function encryptSecret(keys: SecretKeys, webhookId: string, secret: string): Buffer {
  const [{ id, key }] = keys
  const head = Buffer.concat([Buffer.of(FORM), id])
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(associatedData(head, webhookId))
  const ciphertext = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
  return Buffer.concat([head, nonce, ciphertext, cipher.getAuthTag()])
}

/** A stored secret that cannot be decrypted. */
export class SecretError extends Error {
  override name = 'SecretError'
}

/** @throws SecretError if the key is missing, or if the stored bytes were changed */
export function decryptSecret(keys: SecretKeys, webhookId: string, stored: Buffer): string {
  const head = stored.subarray(0, HEAD_BYTES)
  if (head[0] !== FORM || stored.length <= HEAD_BYTES + NONCE_BYTES + TAG_BYTES) {
    throw new SecretError('the secret of the webhook has an unknown form')
  }
  const found = keys.find(({ id }) => id.equals(head.subarray(1)))
  if (found === undefined) {
    throw new SecretError('the secret of the webhook was encrypted with another WEBHOOK_SECRET_KEY')
  }
  const ciphertextAt = HEAD_BYTES + NONCE_BYTES
  const nonce = stored.subarray(HEAD_BYTES, ciphertextAt)
  const decipher = createDecipheriv(CIPHER, found.key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(associatedData(head, webhookId))
  decipher.setAuthTag(stored.subarray(-TAG_BYTES))
  try {
    const ciphertext = stored.subarray(ciphertextAt, -TAG_BYTES)
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString('utf8')
  } catch {
    throw new SecretError('the secret of the webhook was changed, or belongs to another webhook')
  }
}

function associatedData(head: Buffer, webhookId: string): Buffer {
  return Buffer.concat([head, createHash('sha256').update(webhookId).digest()])
}
