import {
  type Attempt,
  beginBatch,
  type Cursor,
  type CursorKey,
  claimCursor,
  failCursor,
  giveBackCursor,
  moveCursor,
  type Pool,
  readChangesToDeliver,
  readOwnerIsStaff,
} from '@ticket-line/db'
import type { Clock } from '@ticket-line/shared'
import { messageIdOf, payloadOf, SEND_TIMEOUT_MS } from '@ticket-line/webhooks'
import type { Endpoint, Endpoints } from './endpoints.js'
import { type NextRequest, nextRequest } from './next-request.js'
import { askedPauseMs, PARK_AFTER_MS, retryPauseMs, SECRET_PAUSE_MS } from './retries.js'
import type { Send, SendOutcome } from './send.js'
import type { Slots } from './slots.js'

/** How a run of a delivery ended. */
export type DeliveryResult =
  /** The cursor is not due, another notifier has claimed it, or nothing may be sent now. */
  | { kind: 'not_due' }
  /** The claim has ended, and the cursor may be due again. */
  | { kind: 'given_back' }
  /** An attempt failed. The next one is due after this time, ms. */
  | { kind: 'retry'; inMs: number }

/**
 * How long a claim lasts, ms: a little longer than a request can take. If a notifier dies, another
 * one may continue after that time.
 */
const CLAIM_MS = SEND_TIMEOUT_MS + 5000
/** How long after its claim a request may begin, ms, so that it ends before the claim does. */
const BEGIN_WITHIN_MS = CLAIM_MS - SEND_TIMEOUT_MS
/** Maximum number of changes in one read. A batch has at most 100. */
const CHANGES_PER_READ = 200
/** After this time, a run leaves its slot to the other events of the endpoint, ms. */
const RUN_MS = 2000
/** How long a run trusts what it read about the owner of the webhook, ms. */
const STAFF_TRUSTED_MS = 500
/**
 * After this time, a cursor of an earlier epoch is due again, ms. By then a notifier should have
 * set it to the present epoch.
 */
const EPOCH_PAUSE_MS = 1000

export interface DeliverDeps {
  pool: Pool
  endpoints: Pick<Endpoints, 'find'>
  slots: Slots
  send: Send
  /** Called after each delivery that succeeded. */
  onDelivered: (endpoint: Endpoint, lastChange: { decidedAtMs: number }) => void
  /**
   * Called after each attempt that failed. `disabled` is the reason if it disabled the endpoint.
   */
  onFailed: (endpoint: Endpoint, failure: { disabled: 'gone' | 'failing' | undefined }) => void
  /** Called after an attempt that failed and whose changes are parked. */
  onParked: (endpoint: Endpoint, key: CursorKey) => void
  /** Aborted when no further request may begin. */
  stopping: AbortSignal
  clock: Clock
}

/**
 * Sends an endpoint the changes of an event, one request after another, strictly in order. The
 * cursor in PostgreSQL is the source of truth:
 *
 * - A run claims the cursor first. While the claim lasts, no other notifier sends the endpoint
 *   changes of the event, even if Redis has lost the job or has it twice. A claim ends after 20 s,
 *   so a notifier that dies does not block the cursor for longer.
 * - If a request could outlast its claim, because the process was frozen or PostgreSQL was slow,
 *   the run does not send it. Another notifier might send later changes before the request arrives.
 * - The cursor moves after the answer, and only from where the run found it. If the notifier dies
 *   in between, another one sends the message again, with the same id. No message is skipped.
 * - A batch records its last change before it is sent, so that a retry has the same id and content.
 * - A run that has caught up gives the cursor back in the statement that moves it. The statement
 *   compares the cursor with the last dispatched change, so no change is forgotten in between.
 * - An owner who is not staff of the event gets nothing: the cursor moves past the changes.
 */
export function createDeliver(deps: DeliverDeps): (key: CursorKey) => Promise<DeliveryResult> {
  const { pool, endpoints, slots, send, stopping, clock } = deps

  return async function deliver(key) {
    if (!isOpen(await endpoints.find(key.webhookId))) return { kind: 'not_due' }
    let claimedAtMs = clock.steadyMs()
    const claimed = await claimCursor(pool, key, CLAIM_MS, CHANGES_PER_READ)
    if (claimed === undefined) return { kind: 'not_due' }
    let cursor: Cursor = claimed
    if (!claimed.isOfEpoch) return giveBack(key, cursor, EPOCH_PAUSE_MS)
    let { changes, ownerIsStaff } = claimed
    let staffReadAtMs = clock.steadyMs()
    const endsAtMs = clock.steadyMs() + RUN_MS
    for (;;) {
      const endpoint = await endpoints.find(key.webhookId)
      if (!isOpen(endpoint) || stopping.aborted) return giveBack(key, cursor, 0)
      if (clock.steadyMs() - staffReadAtMs >= STAFF_TRUSTED_MS) {
        staffReadAtMs = clock.steadyMs()
        ownerIsStaff = await readOwnerIsStaff(pool, key)
      }
      const wants = ownerIsStaff ? endpoint.wants : nothing
      const next = nextRequest({ cursor, changes, wants, format: endpoint.format })
      let attempt: Attempt | undefined
      if (next.kind === 'send') {
        // No fault of the receiver. The change waits until a notifier has the key.
        if (endpoint.secrets === undefined) return giveBack(key, cursor, SECRET_PAUSE_MS)
        const sent = await sendNext(endpoint, key, {
          cursor,
          next,
          epoch: claimed.epoch,
          claimedAtMs,
        })
        if (sent.kind === 'ended') return sent.result
        attempt = sent.attempt
      }
      const toNo =
        next.kind === 'none' ? Math.max(cursor.announcedNo, cursor.deliveredNo) : next.toNo
      const allUsed = (changes.at(-1)?.no ?? 0) <= toNo
      const mayHaveMore = !allUsed || changes.length === CHANGES_PER_READ
      const continues = mayHaveMore && clock.steadyMs() < endsAtMs && !stopping.aborted
      const claimForMs = continues ? CLAIM_MS : undefined
      const move = { key, fromNo: cursor.deliveredNo, toNo, attempt, claimForMs }
      claimedAtMs = clock.steadyMs()
      const moved = await moveCursor(pool, move)
      if (moved === 'lost') return { kind: 'not_due' }
      if (!continues) return { kind: 'given_back' }
      cursor = { ...cursor, deliveredNo: toNo, batchTo: null, attempts: 0, failingSinceMs: null }
      if (allUsed) {
        const { eventId } = key
        const anyNo = Number.MAX_SAFE_INTEGER
        changes = await readChangesToDeliver(pool, eventId, toNo, anyNo, CHANGES_PER_READ)
      }
    }
  }

  async function giveBack(
    key: CursorKey,
    { deliveredNo }: Cursor,
    dueInMs: number,
  ): Promise<DeliveryResult> {
    await giveBackCursor(pool, key, deliveredNo, dueInMs)
    return { kind: 'not_due' }
  }

  interface Sending {
    cursor: Cursor
    next: NextRequest & { kind: 'send' }
    epoch: string
    /** When the claim began, or was renewed. */
    claimedAtMs: number
  }

  /** Sends a request, and records an attempt that failed. */
  async function sendNext(
    endpoint: Endpoint,
    key: CursorKey,
    { cursor, next, epoch, claimedAtMs }: Sending,
  ): Promise<{ kind: 'delivered'; attempt: Attempt } | { kind: 'ended'; result: DeliveryResult }> {
    const { webhookId, eventId } = key
    const { format } = endpoint
    const ended = (result: DeliveryResult) => ({ kind: 'ended', result }) as const
    if (format === 'batch' && cursor.batchTo === null) {
      const hasBegun = await beginBatch(pool, key, cursor.deliveredNo, next.toNo)
      if (!hasBegun) return ended({ kind: 'not_due' })
    }
    if (clock.steadyMs() - claimedAtMs > BEGIN_WITHIN_MS) return ended({ kind: 'not_due' })
    const firstNo = next.changes[0]?.no ?? next.toNo
    const lastNo = next.changes.at(-1)?.no ?? next.toNo
    const messageId = messageIdOf({ epoch, eventId, no: firstNo, lastNo, webhookId })
    const outcome = await send(endpoint, messageId, payloadOf(next.changes, { format, epoch }))
    const attempt: Attempt = {
      ...key,
      firstNo,
      lastNo,
      messageId,
      attempt: cursor.attempts + 1,
      kind: 'live',
      state: outcome.kind === 'delivered' ? 'delivered' : 'failed',
      tookMs: outcome.tookMs,
      status: outcome.status,
      error: outcome.error,
    }
    switch (outcome.kind) {
      case 'delivered':
        slots.succeeded(webhookId)
        deps.onDelivered(endpoint, { decidedAtMs: next.changes.at(-1)?.atMs ?? 0 })
        return { kind: 'delivered', attempt }
      case 'aborted':
        return ended(await giveBack(key, cursor, 0))
      case 'failed':
        return ended(await fail(endpoint, key, { cursor, toNo: next.toNo, attempt, outcome }))
    }
  }

  async function fail(
    endpoint: Endpoint,
    key: CursorKey,
    failed: {
      cursor: Cursor
      toNo: number
      attempt: Attempt
      outcome: SendOutcome & { kind: 'failed' }
    },
  ): Promise<DeliveryResult> {
    const { cursor, attempt, outcome, toNo } = failed
    const { retryAfterMs, gone } = outcome
    slots.failed(key.webhookId, askedPauseMs(retryAfterMs))
    const failingForMs = cursor.failingSinceMs === null ? 0 : clock.wallMs() - cursor.failingSinceMs
    if (failingForMs >= PARK_AFTER_MS && !gone) {
      const parked = { ...attempt, state: 'parked' as const }
      const fromNo = cursor.deliveredNo
      await moveCursor(pool, { key, fromNo, toNo, attempt: parked, claimForMs: undefined })
      deps.onParked(endpoint, key)
      return { kind: 'given_back' }
    }
    const retryInMs = retryPauseMs(cursor.attempts + 1, retryAfterMs)
    const { deliveredNo } = cursor
    const disabled = await failCursor(pool, { key, deliveredNo, attempt, retryInMs, gone })
    deps.onFailed(endpoint, { disabled })
    return disabled === undefined ? { kind: 'retry', inMs: retryInMs } : { kind: 'not_due' }
  }
}

/** The filter of an endpoint whose owner is not staff of the event. */
const nothing = () => false

/** True if requests may be sent to the endpoint. */
function isOpen(endpoint: Endpoint | undefined): endpoint is Endpoint {
  return endpoint !== undefined && endpoint.disabledReason === null
}
