import {
  type Attempt,
  findSentMessage,
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
 *
 * The id of a message depends on its first and its last change. So a batch is sent with the changes
 * that it had before, as long as its attempt is kept and all its changes are replayed.
 */
export function createReplay(deps: ReplayDeps): (job: Job<ReplayData>) => Promise<ReplayResult> {
  const { pool, endpoints, send, stopping, clock } = deps

  /** The last change that the next batch may have if it is to be a message that was sent before. */
  async function endOfBatch({ webhookId, eventId, from, to }: ReplayData): Promise<number> {
    const sent = await findSentMessage(pool, { webhookId, eventId }, from)
    if (sent === undefined) return to
    return Math.min(to, sent.firstNo > from ? sent.firstNo - 1 : sent.lastNo)
  }

  return async function replay(job) {
    for (;;) {
      if (stopping.aborted) return { kind: 'again', inMs: 0 }
      const { webhookId, eventId, from, to, failures = 0, failingSinceMs } = job.data
      if (from > to) return { kind: 'done' }
      const endpoint = await endpoints.find(webhookId)
      if (endpoint === undefined || endpoint.disabledReason !== null) return { kind: 'done' }
      if (!(await readOwnerIsStaff(pool, { webhookId, eventId }))) return { kind: 'done' }
      const { wants, format } = endpoint
      const endNo = format === 'single' ? to : (job.data.endNo ?? (await endOfBatch(job.data)))
      const changes = await readChangesToDeliver(pool, eventId, from - 1, endNo, CHANGES_PER_READ)
      const cursor = { deliveredNo: from - 1, batchTo: null }
      const next = nextRequest({ cursor, changes, wants, format })
      const toNo = next.kind === 'none' ? endNo : next.toNo
      const done = { webhookId, eventId, from: toNo + 1, to }
      if (next.kind !== 'send') {
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
          endNo,
        })
        return { kind: 'again', inMs: retryPauseMs(failures + 1, outcome.retryAfterMs) }
      }
      await job.updateData(done)
    }
  }
}
