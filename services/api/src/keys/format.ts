import { hash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

/**
 * An API key is `tlk_<id>_<secret>`. The id is 16 characters. The secret is 32 random characters
 * (190 bits) and 6 characters of checksum over everything before them. The checksum shows a typo
 * without a look-up, and lets secret scanners recognize leaked keys.
 */
const FORM = /^tlk_([0-9A-Za-z]{16})_[0-9A-Za-z]{38}$/
const PREFIX = 'tlk_'
const ID_LENGTH = 16
const RANDOM_LENGTH = 32
const CHECKSUM_LENGTH = 6
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** True if a credential begins like an API key. No JWT does. */
export function looksLikeKey(credential: string): boolean {
  return credential.startsWith(PREFIX)
}

export function newKeyId(): string {
  return randomText(ID_LENGTH)
}

/** Creates a key with a new secret. */
export function newKey(keyId: string): string {
  const unchecked = `${PREFIX}${keyId}_${randomText(RANDOM_LENGTH)}`
  return unchecked + checksumOf(unchecked)
}

/** @returns the id in the key; undefined if the form or the checksum of the key is wrong */
export function keyIdIn(key: string): string | undefined {
  const keyId = FORM.exec(key)?.[1]
  if (keyId === undefined) return undefined
  const end = key.length - CHECKSUM_LENGTH
  return checksumOf(key.slice(0, end)) === key.slice(end) ? keyId : undefined
}

/** The SHA-256 under which a key is stored. A secret of 190 random bits needs no slow hash. */
export function hashOfKey(key: string): Buffer {
  return hash('sha256', key, 'buffer')
}

function randomText(length: number): string {
  return Array.from({ length }, () => DIGITS[randomInt(DIGITS.length)]).join('')
}

/** CRC-32 in base 62. */
function checksumOf(text: string): string {
  let rest = crc32(text)
  let checksum = ''
  for (let i = 0; i < CHECKSUM_LENGTH; i++) {
    checksum = DIGITS[rest % DIGITS.length] + checksum
    rest = Math.floor(rest / DIGITS.length)
  }
  return checksum
}
