import { hash } from 'node:crypto'
import { AppError } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { AppEnv } from './env.js'

const MAX_KEY_LENGTH = 128

// Printable ASCII in quotes, with quotes and backslashes escaped (RFC 8941, section 3.3.3).
const QUOTED = /^"((?:[ !#-[\]-~]|\\["\\])*)"$/
const PRINTABLE = /^[ -~]+$/

const NAME = 'idempotency-key'

/** Message of `idempotency_key_reused`. */
export const KEY_REUSED = 'This Idempotency-Key was already used for a different request.'

/**
 * Reads the `Idempotency-Key` header of a request.
 *
 * @throws AppError `invalid_request` if the header was sent more than once. Node joins repeated
 * headers, so two keys `a` would become the key `a, a`, and the request would book again
 */
export function idempotencyKeyOf(c: Context<AppEnv>): string | undefined {
  const header = c.req.header(NAME)
  if (header?.includes(',')) {
    const names = c.env?.incoming?.rawHeaders.filter((_, index) => index % 2 === 0) ?? []
    if (names.filter((name) => name.toLowerCase() === NAME).length > 1) {
      throw new AppError('invalid_request', 'Send only one Idempotency-Key header.')
    }
  }
  return header
}

/**
 * Hashes an `Idempotency-Key` (SHA-256, base64url). The quoted and the bare form of a key have the
 * same hash. Only the hash is kept, because clients may put private data into a key.
 *
 * @returns `undefined` if there is no key
 * @throws AppError `invalid_request` if the key is malformed. If it were ignored, the request would
 * book again
 */
export function readKeyHash(header: string | undefined): string | undefined {
  const key = readKey(header)
  return key && hash('sha256', key, 'base64url')
}

/** The `checkHeaders` of commands. 400 comes before 403, and handlers read the key after that. */
export function checkKey(c: Context<AppEnv>): void {
  readKey(idempotencyKeyOf(c))
}

function readKey(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const key = header.startsWith('"') ? unquote(header) : header
  if (key === undefined || key.length > MAX_KEY_LENGTH || !PRINTABLE.test(key)) {
    const message = `Idempotency-Key must have 1 to ${MAX_KEY_LENGTH} printable ASCII characters, quoted or bare.`
    throw new AppError('invalid_request', message)
  }
  return key
}

/**
 * Hashes what a request asks for beyond its type, event and user (SHA-256, base64url). The order of
 * the members does not matter.
 *
 * @returns `undefined` if that is nothing
 */
export function requestHashOf(members: Record<string, unknown>): string | undefined {
  const entries = Object.entries(members).filter(([, value]) => value !== undefined)
  if (entries.length === 0) return undefined
  // The names are unique, and the values are scalars or lists of numbers, so this is canonical.
  const sorted = entries.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return hash('sha256', JSON.stringify(Object.fromEntries(sorted)), 'base64url')
}

function unquote(text: string): string | undefined {
  return QUOTED.exec(text)?.[1]?.replace(/\\(.)/g, '$1')
}
