import { every, type Log, withDeadline } from '@ticket-line/shared'
import type { LineState } from '../registry.js'
import type { Grace } from './grace.js'
import type { Line } from './line.js'

export interface LinesDeps {
  create: (lineName: string) => Line
  /** How many jobs wait and are active in each of these lines. */
  inspect: (lineNames: string[]) => Promise<LineState[]>
  /** Lines served at the same time. */
  servedAtOnce: number
  /** Lines remembered; at the bound the one that was quiet for longest is forgotten. */
  maxOpenLines: number
  /** A line without work for this long is forgotten. */
  idleMs: number
  /** Pause between two looks at lines that have work and are not served here. */
  watchIntervalMs: number
  /** Tells other processes that these lines have work. */
  handOver: (lineNames: string[]) => Promise<unknown>
  onStalled: (jobs: number) => void
  log: Log
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
}

/** The lines this process knows, and serves in turn. */
export interface Lines {
  /** A line has work: serve it, now or as soon as there is room. */
  wake(lineName: string): void
  counts(): { open: number; serving: number; queued: number }
  /** Finishes the jobs at hand, for `finishMs` at most, and hands the lines over, for `handOverMs` at most. */
  close(grace: Pick<Grace, 'finishMs' | 'handOverMs'>): Promise<void>
}

interface Entry {
  lineName: string
  line: Line
  serving: boolean
  queued: boolean
  /** A note came while it was served: look once more. */
  again: boolean
  /** Looked at by the watch until then, and as long as it has work. */
  watchedUntilMs: number
  servedAtMs: number
  foundEmptyAtMs: number
}

/** How long a line stays under watch after a note. */
const WATCH_MS = 3000
/** How long a line is served while others wait for a place. */
const TURN_MS = 100
/** How long a standby leaves notes of a line to the process that serves it. */
const STANDBY_MS = 500

/**
 * A line is *quiet*, *queued* for one of the places, or *served*. Notes from the API wake it; served, it stays so until it
 * is empty. Every process hears every note and tries; the first fetch wins, and who found nothing leaves further notes
 * for a moment to the one that serves. The watch looks at lines that were noted lately or have work, finds what notes
 * cannot tell (a worker that died, stopped, or has no room) and recovers jobs whose lock ended.
 */
export function createLines(deps: LinesDeps): Lines {
  const { log, monotonicMs } = deps
  const entries = new Map<string, Entry>()
  const queue: Entry[] = []
  const serving = new Set<Promise<void>>()
  let stopped = false

  function entryOf(lineName: string): Entry {
    const known = entries.get(lineName)
    if (known !== undefined) {
      // Kept in order of the last note: the first is the quietest.
      entries.delete(lineName)
      entries.set(lineName, known)
      return known
    }
    const entry: Entry = {
      lineName,
      line: deps.create(lineName),
      serving: false,
      queued: false,
      again: false,
      watchedUntilMs: Number.NEGATIVE_INFINITY,
      servedAtMs: Number.NEGATIVE_INFINITY,
      foundEmptyAtMs: Number.NEGATIVE_INFINITY,
    }
    entries.set(lineName, entry)
    forgetQuietest()
    return entry
  }

  function forgetQuietest(): void {
    for (const entry of entries.values()) {
      if (entries.size <= deps.maxOpenLines) return
      if (!entry.serving && !entry.queued) entries.delete(entry.lineName)
    }
  }

  function wake(lineName: string): void {
    if (stopped) return
    const entry = entryOf(lineName)
    entry.watchedUntilMs = monotonicMs() + WATCH_MS
    const standby =
      monotonicMs() - entry.foundEmptyAtMs < STANDBY_MS &&
      monotonicMs() - entry.servedAtMs > WATCH_MS
    if (!standby) enqueue(entry)
  }

  function enqueue(entry: Entry): void {
    if (entry.serving) entry.again = true
    else if (!entry.queued && !stopped) {
      entry.queued = true
      queue.push(entry)
      fill()
    }
  }

  function fill(): void {
    while (serving.size < deps.servedAtOnce && !stopped) {
      const entry = queue.shift()
      if (entry === undefined) return
      entry.queued = false
      const done = serve(entry).finally(() => {
        serving.delete(done)
        fill()
      })
      serving.add(done)
    }
  }

  async function serve(entry: Entry): Promise<void> {
    entry.serving = true
    entry.again = false
    const startedAtMs = monotonicMs()
    const mayGoOn = (): boolean => {
      if (queue.length === 0 || monotonicMs() - startedAtMs < TURN_MS) return true
      entry.again = true
      return false
    }
    try {
      const served = await entry.line.serve(mayGoOn)
      if (served > 0) entry.servedAtMs = monotonicMs()
      else entry.foundEmptyAtMs = monotonicMs()
    } catch (error) {
      log.warn(
        { lineName: entry.lineName, err: error },
        'a line was left and will be looked at again',
      )
      entry.watchedUntilMs = monotonicMs() + WATCH_MS
    } finally {
      entry.serving = false
    }
    if (entry.again) enqueue(entry)
  }

  async function watch(): Promise<void> {
    const watched: Entry[] = []
    for (const entry of entries.values()) {
      if (!entry.serving && !entry.queued && entry.watchedUntilMs > monotonicMs())
        watched.push(entry)
    }
    const states = await deps.inspect(watched.map((entry) => entry.lineName))
    await Promise.all(watched.map((entry, i) => lookAfter(entry, states[i] as LineState)))
    for (const entry of entries.values()) {
      const quietSinceMs = Math.max(entry.watchedUntilMs, entry.servedAtMs)
      if (!entry.serving && !entry.queued && monotonicMs() - quietSinceMs > deps.idleMs)
        entries.delete(entry.lineName)
    }
  }

  async function lookAfter(entry: Entry, { waiting, active }: LineState): Promise<void> {
    if (waiting + active === 0 || entry.serving) return
    entry.watchedUntilMs = monotonicMs() + WATCH_MS
    if (active > 0) {
      const recovered = await entry.line.recoverStalled()
      if (recovered === 0) return
      deps.onStalled(recovered)
    }
    enqueue(entry)
  }

  const watching = every(deps.watchIntervalMs, watch, {
    onError: (err) => log.warn({ err }, 'the lines could not be watched'),
  })

  return {
    wake,
    counts: () => ({ open: entries.size, serving: serving.size, queued: queue.length }),
    async close({ finishMs, handOverMs }) {
      stopped = true
      void watching.stop()
      const left = [...entries.values()].filter((entry) => entry.serving || entry.queued)
      await withDeadline(Promise.all(serving), finishMs, () => undefined)
      if (left.length === 0) return
      const handedOver = deps.handOver(left.map((entry) => entry.lineName))
      await withDeadline(handedOver, handOverMs, () => undefined)
    },
  }
}
