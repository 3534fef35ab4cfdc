import type { Attempt } from '@ticket-line/db'
import type { Clock } from '@ticket-line/shared'
import { type Sender, type SendResult, signedHeaders } from '@ticket-line/webhooks'
import type { Endpoint } from './endpoints.js'

/** What became of a request, in the words of the list of deliveries and of the metrics. */
export type SendOutcome = Pick<Attempt, 'status' | 'error' | 'tookMs'> &
  (
    | { kind: 'delivered' }
    | {
        kind: 'failed'
        /** How long the receiver asked to wait, ms; undefined if it did not. */
        retryAfterMs: number | undefined
        /** True if the receiver answered 410. */
        gone: boolean
      }
    /** This process is stopping. The request does not count as an attempt. */
    | { kind: 'aborted' }
  )

/** Signs a message and sends it to an endpoint once. It never rejects. */
export type Send = (endpoint: Endpoint, messageId: string, body: string) => Promise<SendOutcome>

export interface SendDeps {
  sender: Sender
  /** Aborted when requests that are under way must end. */
  cut: AbortSignal
  onSent: (outcome: SendOutcome) => void
  clock: Clock
}

const GONE = 410

export function createSend({ sender, cut, onSent, clock }: SendDeps): Send {
  return async function send(endpoint, messageId, body) {
    const { url, secrets } = endpoint
    // Only a test gets here without a secret: deliveries and replays wait until it can be read.
    if (secrets === undefined) {
      return {
        kind: 'failed',
        status: null,
        error: 'secret_not_readable',
        tookMs: 0,
        retryAfterMs: undefined,
        gone: false,
      }
    }
    const headers = { ...signedHeaders(messageId, new Date(clock.wallMs()), body, secrets) }
    const outcome = outcomeOf(await sender.send({ url, headers, body, signal: cut }))
    onSent(outcome)
    return outcome
  }
}

function outcomeOf(result: SendResult): SendOutcome {
  const { tookMs } = result
  if (result.kind === 'failed') {
    const { error } = result
    if (error === 'aborted') return { kind: 'aborted', status: null, error, tookMs }
    return { kind: 'failed', status: null, error, tookMs, retryAfterMs: undefined, gone: false }
  }
  const { status, retryAfterMs } = result
  if (status >= 200 && status < 300) return { kind: 'delivered', status, error: null, tookMs }
  const gone = status === GONE
  return { kind: 'failed', status, error: 'status', tookMs, retryAfterMs, gone }
}
