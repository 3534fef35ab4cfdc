import {
  type Attempt,
  logAttempt,
  type Pool,
  readChangesToDeliver,
  readOwnerIsStaff,
} from '@ticket-line/db'
import type { Clock } from '@ticket-line/shared'
import { messageIdOf, payloadOf } from '@ticket-line/webhooks'
import type { Job } from 'bullmq'
import type { Endpoints } from './endpoints.js'
import { nextRequest } from './next-request.js'
import type { ReplayData } from './queue.js'
import { PARK_AFTER_MS, retryPauseMs, SECRET_PAUSE_MS } from './retries.js'
import type { Send } from './send.js'

export type ReplayResult = { kind: 'done' } | { kind: 'again'; inMs: number }

/** Maximum number of changes in one read. */
const CHANGES_PER_READ = 200

export interface ReplayDeps {
  pool: Pool
  endpoints: Pick<Endpoints, 'find'>
  send: Send
  readEpoch: () => string
  stopping: AbortSignal
  clock: Clock
}

/**
 * Sends changes again, while the live deliveries go on, and without moving their cursor. The data
 * of the job says what is still to be sent.
 */
export function createReplay(deps: ReplayDeps): (job: Job<ReplayData>) => Promise<ReplayResult> {
  const { pool, endpoints, send, stopping, clock } = deps

  return async function replay(job) {
    for (;;) {
      if (stopping.aborted) return { kind: 'again', inMs: 0 }
      const { webhookId, eventId, from, to, failures = 0, failingSinceMs } = job.data
      const endpoint = await endpoints.find(webhookId)
      if (endpoint === undefined || endpoint.disabledReason !== null) return { kind: 'done' }
      if (!(await readOwnerIsStaff(pool, { webhookId, eventId }))) return { kind: 'done' }
      const changes = await readChangesToDeliver(pool, eventId, from - 1, to, CHANGES_PER_READ)
      const { wants, format } = endpoint
      const cursor = { deliveredNo: from - 1, batchTo: null }
      const next = nextRequest({ cursor, changes, wants, format })
      if (next.kind === 'none') return { kind: 'done' }
      const done = { webhookId, eventId, from: next.toNo + 1, to }
      if (next.kind === 'skip') {
        await job.updateData(done)
        continue
      }
      if (endpoint.secrets === undefined) return { kind: 'again', inMs: SECRET_PAUSE_MS }
      const firstNo = next.changes[0]?.no ?? from
      const lastNo = next.changes.at(-1)?.no ?? from
      const epoch = deps.readEpoch()
      const messageId = messageIdOf({ epoch, eventId, no: firstNo, lastNo, webhookId })
      const outcome = await send(endpoint, messageId, payloadOf(next.changes, { format, epoch }))
      if (outcome.kind === 'aborted') return { kind: 'again', inMs: 0 }
      const nowMs = clock.wallMs()
      const isParked =
        outcome.kind === 'failed' && nowMs - (failingSinceMs ?? nowMs) >= PARK_AFTER_MS
      const attempt: Attempt = {
        webhookId,
        eventId,
        firstNo,
        lastNo,
        messageId,
        attempt: failures + 1,
        kind: 'replay',
        state: isParked ? 'parked' : outcome.kind,
        tookMs: outcome.tookMs,
        status: outcome.status,
        error: outcome.error,
      }
      await logAttempt(pool, attempt)
      if (outcome.kind === 'failed' && !isParked) {
        await job.updateData({
          ...job.data,
          failures: failures + 1,
          failingSinceMs: failingSinceMs ?? nowMs,
        })
        return { kind: 'again', inMs: retryPauseMs(failures + 1, outcome.retryAfterMs) }
      }
      await job.updateData(done)
    }
  }
}
