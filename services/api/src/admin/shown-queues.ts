import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import type { Log } from '@ticket-line/shared'
import type { Queue } from 'bullmq'
import { withDeadline } from '../events/batch-loader.js'

/** Most queues on the board. */
export const MAX_SHOWN_QUEUES = 200
/** The set is looked up again when it is older than this and somebody looks. */
const REFRESH_AFTER_MS = 2000
const REFRESH_TIMEOUT_MS = 800

/** Where the board learns which lines there are. */
export interface LineSource {
  /** Names of the lines with most work, the busiest first. */
  busiestLines(limit: number): Promise<string[]>
  /** The queue of a line, over the connection that all of them share. */
  queueOf(lineName: string): Queue
}

export interface ShownQueuesDeps extends LineSource {
  writable: boolean
  /** Puts these on the board in place of those before. */
  replace: (adapters: BullMQAdapter[]) => void
  log: Log
}

/**
 * Keeps the queues of the busiest lines on the board. Nothing runs by itself: a request of the board brings the set up
 * to date, so lines come and go while somebody looks and cost nothing while nobody does.
 */
export function createShownQueues({ busiestLines, queueOf, writable, replace, log }: ShownQueuesDeps) {
  let shown = new Map<string, BullMQAdapter>()
  let refreshedAt = Number.NEGATIVE_INFINITY
  let refreshing: Promise<void> | undefined

  function adapterOf(lineName: string): BullMQAdapter {
    return shown.get(lineName) ?? new BullMQAdapter(queueOf(lineName), { readOnlyMode: !writable })
  }

  async function refresh(): Promise<void> {
    try {
      const lines = await withDeadline(busiestLines(MAX_SHOWN_QUEUES), REFRESH_TIMEOUT_MS, tooSlow)
      shown = new Map(lines.slice(0, MAX_SHOWN_QUEUES).map((line) => [line, adapterOf(line)]))
      replace([...shown.values()])
      refreshedAt = performance.now()
    } catch (err) {
      log.warn({ err }, 'the dashboard shows the lines it knew')
    }
  }

  /** Resolves when the board is at most two seconds old, or could not be renewed. */
  return async function refreshShownQueues(): Promise<void> {
    if (performance.now() < refreshedAt + REFRESH_AFTER_MS) return
    refreshing ??= refresh().finally(() => {
      refreshing = undefined
    })
    await refreshing
  }
}

function tooSlow(): Error {
  return new Error('the busiest lines were not told in time')
}
