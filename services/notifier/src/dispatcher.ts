import {
  type CursorKey,
  dispatchChanges,
  findOverdueCursors,
  findUndispatchedEvents,
  type Pool,
} from '@ticket-line/db'
import { type Clock, chunksOf, every, type Log, type Loop, sleep } from '@ticket-line/shared'
import type { Endpoints } from './endpoints.js'

/** Maximum number of events that one statement dispatches. */
const EVENTS_PER_STATEMENT = 500
/** Pause between two statements, so that changes of the same event are dispatched together, ms. */
const DISPATCH_PAUSE_MS = 15
/** How often all events are compared with what was dispatched, ms. */
const COMPARE_EVERY_MS = 30_000
/** How often the dispatcher looks for cursors that may have lost their job, ms. */
const RESCUE_EVERY_MS = 5000
/** How long such a cursor must have been due, ms. */
const OVERDUE_AFTER_MS = 2000
/** Maximum number of cursors of each webhook that get a job at a time. */
const RESCUED_PER_WEBHOOK = 50

export interface DispatcherDeps {
  pool: Pool
  endpoints: Pick<Endpoints, 'wantEvent' | 'wantedEvents'>
  /** Adds the jobs of cursors that are due. */
  addDeliveries: (keys: readonly CursorKey[]) => Promise<void>
  /** Adds the jobs of cursors that are due. If such a job is delayed already, its delay ends. */
  hurryDeliveries: (keys: readonly CursorKey[]) => Promise<void>
  log: Log
  clock: Clock
}

/**
 * Dispatches changes to the endpoints that get them. It learns of changes from announcements.
 * Because announcements may be lost and notifiers may be down, it also compares all events with
 * what was dispatched: at its start, when it may have missed announcements, and every 30 s.
 */
export interface Dispatcher {
  /** Called when an event has new changes. */
  announced(eventId: number): void
  /** Compares all events. */
  compare(): void
  /** When the last comparison of all events ended, ms of the steady clock. */
  comparedAtMs(): number
  stop(): Promise<void>
}

export function startDispatcher(deps: DispatcherDeps): Dispatcher {
  const { pool, endpoints, addDeliveries, log, clock } = deps
  const announced = new Set<number>()
  const stopping = new AbortController()
  const { signal } = stopping
  let running: Promise<void> | undefined
  let comparedAtMs = clock.steadyMs()

  async function dispatch(eventIds: readonly number[]): Promise<void> {
    const due = await dispatchChanges(pool, eventIds)
    if (due.length > 0) await addDeliveries(due)
  }

  async function dispatchAnnounced(): Promise<void> {
    while (announced.size > 0 && !signal.aborted) {
      const eventIds = [...announced].filter(endpoints.wantEvent)
      announced.clear()
      try {
        for (const chunk of chunksOf(eventIds, EVENTS_PER_STATEMENT)) await dispatch(chunk)
      } catch (err) {
        log.warn({ err }, 'could not dispatch changes; will compare all events')
        compare()
      }
      await sleep(DISPATCH_PAUSE_MS, signal)
    }
    running = undefined
  }

  const comparing: Loop = every(
    COMPARE_EVERY_MS,
    async () => {
      let after = 0
      const wanted = endpoints.wantedEvents()
      while (!signal.aborted && wanted?.length !== 0) {
        const page = await findUndispatchedEvents(pool, after, wanted, EVENTS_PER_STATEMENT)
        if (page.length > 0) await dispatch(page)
        if (page.length < EVENTS_PER_STATEMENT) break
        after = page.at(-1) ?? 0
      }
      comparedAtMs = clock.steadyMs()
    },
    { onError: (err) => log.warn({ err }, 'could not compare events with what was dispatched') },
  )

  const rescuing: Loop = every(
    RESCUE_EVERY_MS,
    async () => {
      const overdue = await findOverdueCursors(pool, OVERDUE_AFTER_MS, RESCUED_PER_WEBHOOK)
      if (overdue.length > 0) await deps.hurryDeliveries(overdue)
    },
    { onError: (err) => log.warn({ err }, 'could not look for deliveries that Redis lost') },
  )

  function compare(): void {
    void comparing.runNow()
  }

  return {
    announced(eventId) {
      announced.add(eventId)
      running ??= dispatchAnnounced()
    },
    compare,
    comparedAtMs: () => comparedAtMs,
    async stop() {
      stopping.abort()
      await Promise.all([comparing.stop(), rescuing.stop(), running])
    },
  }
}
