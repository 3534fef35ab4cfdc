import type { WebhookMessage } from './schemas.js'

export interface WebhookRequest {
  /** The headers, as `fetch` or Node represents them. */
  headers: Headers | Record<string, string | string[] | undefined>
  /** The body as it was sent. JSON that was parsed and written again may differ. */
  body: string
  /** The secret of the webhook. During a rotation, both secrets. */
  secret: string | readonly string[]
}

/** A verified message. */
export interface VerifiedWebhook {
  /** The same in each attempt, so a receiver can ignore messages that it has processed. */
  id: string
  message: WebhookMessage
}

/** The request is not from this API, or too old. Answer it with 401. */
export class WebhookVerificationError extends Error {
  override readonly name = 'WebhookVerificationError'
}

/** How far the clocks of sender and receiver may be apart, s. */
const TOLERANCE_S = 300
const SECRET_PREFIX = 'whsec_'

/**
 * Verifies a request to a webhook (Standard Webhooks 1.0) and parses its body.
 *
 * @throws WebhookVerificationError if the signature is wrong, or older than five minutes
 */
export async function verifyWebhook(request: WebhookRequest): Promise<VerifiedWebhook> {
  const { body, secret } = request
  const header = (name: string): string => {
    const value =
      request.headers instanceof Headers ? request.headers.get(name) : request.headers[name]
    if (typeof value !== 'string') throw new WebhookVerificationError(`There is no ${name} header.`)
    return value
  }
  const id = header('webhook-id')
  const timestamp = header('webhook-timestamp')
  const ageS = Date.now() / 1000 - Number(timestamp)
  if (!/^\d+$/.test(timestamp) || Math.abs(ageS) > TOLERANCE_S)
    throw new WebhookVerificationError('The message is too old, or its time is in the future.')

  const signed = new TextEncoder().encode(`${id}.${timestamp}.${body}`)
  const signatures = header('webhook-signature')
    .split(' ')
    .filter((signature) => signature.startsWith('v1,'))
    .map((signature) => bytesOf(signature.slice('v1,'.length)))
  for (const key of typeof secret === 'string' ? [secret] : secret) {
    if (await isSignedWith(key, signed, signatures)) return { id, message: JSON.parse(body) }
  }
  throw new WebhookVerificationError('The signature does not match the secret of the webhook.')
}

async function isSignedWith(
  secret: string,
  signed: Uint8Array<ArrayBuffer>,
  signatures: (Uint8Array<ArrayBuffer> | undefined)[],
): Promise<boolean> {
  const bytes = bytesOf(secret.startsWith(SECRET_PREFIX) ? secret.slice(6) : secret)
  if (bytes === undefined) throw new TypeError('The secret of a webhook must be whsec_ and base64.')
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', bytes, algorithm, false, ['verify'])
  for (const signature of signatures) {
    // `verify` takes the same time for every wrong signature.
    if (signature && (await crypto.subtle.verify('HMAC', key, signature, signed))) return true
  }
  return false
}

/** @returns undefined if the text is not base64 */
function bytesOf(base64: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}
