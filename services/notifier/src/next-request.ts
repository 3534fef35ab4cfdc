import type { Cursor } from '@ticket-line/db'
import type { ChangeType, LoggedChange } from '@ticket-line/shared'
import { MAX_BATCH_CHANGES, type WebhookFormat } from '@ticket-line/webhooks'

/** What an endpoint gets next, or how its cursor moves without a request. */
export type NextRequest =
  /** Send these changes. The cursor then moves to `toNo`, past changes that are not wanted. */
  | { kind: 'send'; changes: LoggedChange[]; toNo: number }
  /** None of the changes is wanted. The cursor moves to `toNo`. */
  | { kind: 'skip'; toNo: number }
  /** There are no changes. */
  | { kind: 'none' }

export interface NextRequestInput {
  cursor: Pick<Cursor, 'deliveredNo' | 'batchTo'>
  /** The changes after `deliveredNo`, in order; there may be more of them in the log. */
  changes: readonly LoggedChange[]
  wants: (type: ChangeType) => boolean
  format: WebhookFormat
}

/**
 * Decides what an endpoint gets next. A new batch ends when it is full, or at the last change. A
 * batch that was begun earlier ends at `batchTo`.
 */
export function nextRequest({ cursor, changes, wants, format }: NextRequestInput): NextRequest {
  const { deliveredNo, batchTo } = cursor
  const next = changes.filter(({ no }) => no > deliveredNo && (batchTo === null || no <= batchTo))
  const last = next.at(-1)
  if (last === undefined) {
    return batchTo === null ? { kind: 'none' } : { kind: 'skip', toNo: batchTo }
  }
  const wanted = next.filter(({ type }) => wants(type))
  const [first] = wanted
  if (first === undefined) return { kind: 'skip', toNo: batchTo ?? last.no }
  if (format === 'single') return { kind: 'send', changes: [first], toNo: first.no }
  const batch = wanted.slice(0, MAX_BATCH_CHANGES)
  const isFull = batch.length < wanted.length
  const lastOfBatch = batch.at(-1) ?? first
  return { kind: 'send', changes: batch, toNo: batchTo ?? (isFull ? lastOfBatch.no : last.no) }
}
