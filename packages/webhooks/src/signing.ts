import { createHash, randomBytes } from 'node:crypto'
import { Webhook } from 'standardwebhooks'

/** The headers with which a receiver verifies a message (Standard Webhooks 1.0). */
export interface SignedHeaders {
  'webhook-id': string
  /** When this attempt was signed, seconds since 1970. */
  'webhook-timestamp': string
  /** One signature for each secret, separated by spaces. */
  'webhook-signature': string
}

/** Everything that the id of a message is derived from. */
export interface MessageIdentity {
  /** The epoch of the installation. */
  epoch: string
  eventId: number
  /** Number of the first change in the message. */
  no: number
  /** Number of the last change in the message; the same as `no` in the format `single`. */
  lastNo: number
  webhookId: string
}

/**
 * The `webhook-id` of a message. It is the same in every attempt and in every replay, so a receiver
 * can recognize a message that it has already processed. It also depends on the last change,
 * because a replay may begin or end within a batch. The rest of the batch is then another message.
 */
export function messageIdOf({ epoch, eventId, no, lastNo, webhookId }: MessageIdentity): string {
  const text = [epoch, eventId, no, lastNo, webhookId].join('/')
  return `msg_${createHash('sha256').update(text).digest('base64url').slice(0, 27)}`
}

/** A `webhook-id` for a test message. */
export function newTestMessageId(): string {
  return `msg_test_${randomBytes(16).toString('base64url')}`
}

/**
 * Signs a message.
 *
 * @param timestamp when this attempt is made; receivers refuse messages that are older than a few
 * minutes
 * @param secrets each begins with `whsec_`; two in the day after a rotation
 */
export function signedHeaders(
  messageId: string,
  timestamp: Date,
  body: string,
  secrets: readonly string[],
): SignedHeaders {
  const signatures = secrets.map((secret) => new Webhook(secret).sign(messageId, timestamp, body))
  return {
    'webhook-id': messageId,
    'webhook-timestamp': String(Math.floor(timestamp.getTime() / 1000)),
    'webhook-signature': signatures.join(' '),
  }
}
