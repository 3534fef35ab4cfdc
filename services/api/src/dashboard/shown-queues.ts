import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { type Log, withDeadline } from '@ticket-line/shared'
import type { Queue } from 'bullmq'

/** Most queues on the board. */
export const MAX_SHOWN_QUEUES = 200
/** The set is looked up again when it is older than this and somebody looks. */
const REFRESH_AFTER_MS = 2000
const REFRESH_TIMEOUT_MS = 800
/** How long a line that was opened by name stays on the board after the last look, ms. */
const OPENED_FOR_MS = 10 * 60_000
/** Most lines on the board that were opened by name. */
const MAX_OPENED = 50

/** Where the board learns which lines there are. */
export interface LineSource {
  /** Names of the lines that were used last, the latest first. */
  recentLines(limit: number): Promise<string[]>
  /** True if a line of that name can exist. */
  isLine(name: string): boolean
  /** The line in which commands of that event wait. */
  lineOf(eventId: number): string
  /** The queue of a line, over the connection that all of them share. */
  queueOf(lineName: string): Queue
}

export interface ShownQueuesDeps extends Omit<LineSource, 'lineOf'> {
  writable: boolean
  /** Puts these on the board instead of those before. */
  replace: (adapters: BullMQAdapter[]) => void
  log: Log
}

/**
 * Keeps the lines that were used last on the board, and those that somebody opened by name. Nothing
 * runs by itself: a request of the board updates the set, so the board costs nothing while nobody
 * looks at it.
 */
export function createShownQueues({
  recentLines,
  isLine,
  queueOf,
  writable,
  replace,
  log,
}: ShownQueuesDeps) {
  let recent: string[] = []
  let shown = new Map<string, BullMQAdapter>()
  let refreshedAt = Number.NEGATIVE_INFINITY
  let refreshing: Promise<void> | undefined
  /**
   * When somebody last looked at a line that was opened by name, ms; the latest look comes last.
   */
  const opened = new Map<string, number>()

  function open(lineName: string): void {
    opened.delete(lineName)
    opened.set(lineName, performance.now())
    for (const [name, lookedAtMs] of opened) {
      const isOld = performance.now() > lookedAtMs + OPENED_FOR_MS
      if (isOld || opened.size > MAX_OPENED) opened.delete(name)
    }
  }

  function show(): void {
    const names = new Set([...recent.slice(0, MAX_SHOWN_QUEUES), ...opened.keys()])
    shown = new Map([...names].map((name) => [name, shown.get(name) ?? adapterOf(name)]))
    replace([...shown.values()])
  }

  function adapterOf(lineName: string): BullMQAdapter {
    return new BullMQAdapter(queueOf(lineName), { readOnlyMode: !writable })
  }

  async function refresh(): Promise<void> {
    try {
      recent = await withDeadline(recentLines(MAX_SHOWN_QUEUES), REFRESH_TIMEOUT_MS, tooSlow)
      show()
      refreshedAt = performance.now()
    } catch (err) {
      log.warn({ err }, 'the dashboard shows the lines it knew')
    }
  }

  /**
   * Resolves when the board is at most two seconds old, or could not be renewed.
   *
   * @param asked the line that the request names, if any. It is put on the board, however quiet it
   * is
   */
  return async function refreshShownQueues(asked?: string): Promise<void> {
    if (asked !== undefined && isLine(asked)) open(asked)
    if (performance.now() >= refreshedAt + REFRESH_AFTER_MS) {
      refreshing ??= refresh().finally(() => {
        refreshing = undefined
      })
      await refreshing
    }
    if (asked !== undefined && opened.has(asked) && !shown.has(asked)) show()
  }
}

function tooSlow(): never {
  throw new Error('Redis did not return the recent lines in time')
}
