import type { DueCursor, DuePage } from '@ticket-line/db'
import { every, type Log, type Loop } from '@ticket-line/shared'

export interface SettleClockDeps {
  /** Reads a page of the events that have something due; `undefined` means the first page. */
  readDue: (after: DueCursor | undefined) => Promise<DuePage>
  /** Adds a settle to the line of each of these events, unless one is undecided. */
  addSettles: (eventIds: readonly number[]) => Promise<unknown>
  log: Pick<Log, 'warn'>
}

/** Longest time between two reads, ms. */
const READ_EVERY_MS = 1000
/**
 * How many pages of settles may be on their way into their lines while the next one is read. If
 * thousands of events come due in one instant, the worker also begins to serve their lines.
 */
const PAGES_AT_ONCE = 4
/** Shortest pause between two reads, ms. What becomes due meanwhile is read together. */
const SHORTEST_PAUSE_MS = 50

/**
 * The clock of a worker: it adds a settle to the line of each event that has something due. Every
 * worker has a clock.
 *
 * Deadlines are rows in PostgreSQL, and the clock remembers nothing between two reads. So it loses
 * none if a server is unavailable, Redis is flushed, or a settle is lost. It reads at least once a
 * second. If something becomes due earlier, it reads then.
 */
export function startSettleClock({ readDue, addSettles, log }: SettleClockDeps): Loop {
  let nextDue: NodeJS.Timeout | undefined

  async function addDue(signal: AbortSignal): Promise<void> {
    clearTimeout(nextDue)
    const added: Promise<unknown>[] = []
    let after: DueCursor | undefined
    do {
      const page = await readDue(after)
      if (signal.aborted) return
      if (page.eventIds.length > 0) {
        await added.at(-PAGES_AT_ONCE)
        const adding = addSettles(page.eventIds)
        // It is awaited later. Until then its failure must not count as unhandled.
        adding.catch(() => undefined)
        added.push(adding)
      }
      after = page.next
      if (page.next === undefined) wakeIn(page.untilNextMs)
    } while (after !== undefined && !signal.aborted)
    await Promise.all(added)
  }

  function wakeIn(ms: number | undefined): void {
    if (ms === undefined || ms >= READ_EVERY_MS) return
    // A timer may fire a little early, and the read would then find nothing.
    const pauseMs = Math.max(Math.ceil(ms) + 1, SHORTEST_PAUSE_MS)
    nextDue = setTimeout(() => void loop.runNow(), pauseMs)
    nextDue.unref()
  }

  const loop = every(READ_EVERY_MS, addDue, {
    onError: (err) => log.warn({ err }, 'could not add settles for what is due'),
  })
  void loop.runNow()
  return {
    runNow: loop.runNow,
    stop() {
      clearTimeout(nextDue)
      return loop.stop()
    },
  }
}
