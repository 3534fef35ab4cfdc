import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { type Clock, type Log, systemClock, withDeadline } from '@ticket-line/shared'
import type { Queue } from 'bullmq'
import { createEventNames, LineAdapter } from './line-adapter.js'

/** Maximum number of recent lines on the board. */
export const MAX_SHOWN_QUEUES = 200
/** A request of the board reads the recent lines again if they are older than this, ms. */
const REFRESH_AFTER_MS = 2000
const REFRESH_TIMEOUT_MS = 800
/** How long a line that was opened by name stays on the board after its last request, ms. */
const OPENED_FOR_MS = 10 * 60_000
/** Maximum number of lines on the board that were opened by name. */
const MAX_OPENED = 50

/** Tells the board which lines there are. */
export interface LineSource {
  /** Names of the most recently used lines, the latest first. */
  recentLines(limit: number): Promise<string[]>
  /** True if a line of that name can exist. */
  isLine(name: string): boolean
  /** The line of an event. */
  lineOf(eventId: number): string
  /** The queue of a line. All queues share one connection. */
  queueOf(lineName: string): Queue
  /** The names of these events. Events without a name are left out. */
  readNames(eventIds: number[]): Promise<Map<number, string>>
  /** The queue of the notifiers, which is no line and always on the board. */
  notifierQueue(): Queue
}

export interface ShownQueuesDeps extends Omit<LineSource, 'lineOf'> {
  writable: boolean
  /** Called with all queues that the board must show from now on. */
  replace: (adapters: BullMQAdapter[]) => void
  log: Log
  clock?: Clock
}

/**
 * Keeps the most recently used lines on the board, the lines that were opened by name, and the
 * queue of the notifiers. Only a request of the board updates them, so an unused board costs
 * nothing.
 */
export function createShownQueues({
  recentLines,
  isLine,
  queueOf,
  readNames,
  notifierQueue,
  writable,
  replace,
  log,
  clock = systemClock,
}: ShownQueuesDeps) {
  const names = createEventNames(readNames, clock)
  let recent: string[] = []
  let shown = new Map<string, LineAdapter>()
  let notifier: BullMQAdapter | undefined
  let refreshedAtMs = Number.NEGATIVE_INFINITY
  let refreshing: Promise<void> | undefined
  /** When each line that was opened by name was last requested, ms. The latest comes last. */
  const opened = new Map<string, number>()

  function open(lineName: string): void {
    opened.delete(lineName)
    opened.set(lineName, clock.steadyMs())
    for (const [name, requestedAtMs] of opened) {
      const isOld = clock.steadyMs() > requestedAtMs + OPENED_FOR_MS
      if (isOld || opened.size > MAX_OPENED) opened.delete(name)
    }
  }

  async function show(): Promise<void> {
    const lines = new Set([...recent.slice(0, MAX_SHOWN_QUEUES), ...opened.keys()])
    shown = new Map([...lines].map((line) => [line, shown.get(line) ?? adapterOf(line)]))
    notifier ??= new BullMQAdapter(notifierQueue(), { readOnlyMode: !writable })
    replace([...shown.values(), notifier])
    const eventIds = [...shown.values()].map(({ eventId }) => eventId)
    await names.load(eventIds.filter((eventId) => eventId !== undefined))
  }

  function adapterOf(lineName: string): LineAdapter {
    return new LineAdapter(queueOf(lineName), { readOnly: !writable, names })
  }

  async function refresh(): Promise<void> {
    try {
      recent = await withDeadline(recentLines(MAX_SHOWN_QUEUES), REFRESH_TIMEOUT_MS, () => {
        throw new Error('Redis did not return the recent lines in time')
      })
      await show()
      refreshedAtMs = clock.steadyMs()
    } catch (err) {
      log.warn({ err }, 'the dashboard cannot read the recent lines and shows the last known ones')
    }
  }

  /**
   * Resolves when the board is at most two seconds old, or could not be refreshed.
   *
   * @param requested the line that the request names, if any. It is put on the board even if it was
   * not used recently
   */
  return async function refreshShownQueues(requested?: string): Promise<void> {
    if (requested !== undefined && isLine(requested)) open(requested)
    if (clock.steadyMs() >= refreshedAtMs + REFRESH_AFTER_MS) {
      refreshing ??= refresh().finally(() => {
        refreshing = undefined
      })
      await refreshing
    }
    if (requested !== undefined && opened.has(requested) && !shown.has(requested)) await show()
  }
}
