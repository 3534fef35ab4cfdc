import { hash } from 'node:crypto'
import { AppError } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { AppEnv } from '../http/env.js'

const MAX_KEY_LENGTH = 128

// RFC 8941, section 3.3.3: printable ASCII in quotes, of which quotes and backslashes are escaped.
const QUOTED = /^"((?:[ !#-[\]-~]|\\["\\])*)"$/
const PRINTABLE = /^[ -~]+$/

const NAME = 'idempotency-key'

/**
 * Reads the one `Idempotency-Key` of a request.
 *
 * @throws AppError `invalid_request` if more than one was sent. Node joins them, so two bare keys
 * `a` would become the key `a, a`, which would book again
 */
export function idempotencyKeyOf(c: Context<AppEnv>): string | undefined {
  const header = c.req.header(NAME)
  if (header?.includes(',')) {
    const names = c.env?.incoming?.rawHeaders.filter((_, index) => index % 2 === 0) ?? []
    if (names.filter((name) => name.toLowerCase() === NAME).length > 1) {
      throw new AppError('invalid_request', 'Only one Idempotency-Key may be sent.')
    }
  }
  return header
}

/**
 * SHA-256 (base64url) of an `Idempotency-Key`, the same for its quoted and its bare form; `undefined` where none was
 * sent. A client may put anything into a key, so nothing but the hash is kept.
 * @throws AppError `invalid_request` for a malformed key: ignored, it would book twice
 */
export function readKeyHash(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const key = header.startsWith('"') ? unquote(header) : header
  if (key === undefined || key.length > MAX_KEY_LENGTH || !PRINTABLE.test(key)) {
    const message = `Idempotency-Key must hold 1 to ${MAX_KEY_LENGTH} printable ASCII characters, in quotes or bare.`
    throw new AppError('invalid_request', message)
  }
  return hash('sha256', key, 'base64url')
}

function unquote(text: string): string | undefined {
  return QUOTED.exec(text)?.[1]?.replace(/\\(.)/g, '$1')
}
