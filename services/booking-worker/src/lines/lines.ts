import type { Log } from '@ticket-line/shared'
import type { LineServer } from './line-server.js'

export interface LinesDeps {
  open: (lineName: string) => Promise<LineServer>
  /** Which of these lines have waiting or active jobs. */
  withWork: (lineNames: string[]) => Promise<string[]>
  maxOpenLines: number
  /** A line without jobs for this long is closed. */
  idleMs: number
  log: Log
  now: () => number
}

/** The lines this process has open. */
export interface Lines {
  /** Asks for a line to be open: at once, or as soon as one of the open ones makes room. */
  want(lineName: string): void
  /** Lines that are open now. */
  openLines(): LineServer[]
  /** How many lines are asked for and not open yet. */
  wantedCount(): number
  /** Finishes the jobs at hand and closes all lines; after `graceMs` what still runs is left to be taken over. */
  close(graceMs: number): Promise<void>
}

/** How often idle lines are looked for, and closed lines looked at again. */
const TICK_MS = 250
/** Lines opened at the same time: each opening is a connection and a few round trips. */
const OPENING_AT_ONCE = 8
/** How long after its closing a line is looked at again: longer than an API process keeps a note to itself. */
const RECHECK_AFTER_MS = 1000

/**
 * Keeps a bounded number of lines open. A line is in one of four states: *wanted* (in order of asking), *opening*,
 * *open*, *closing*. It moves on when asked for (`want`), when room comes free, when it is idle for `idleMs`, or when
 * others wait for room and it has nothing to do. A closed line is looked at once more, since a job may have
 * arrived while it closed.
 */
export function createLines(deps: LinesDeps): Lines {
  const { log, now } = deps
  const open = new Map<string, LineServer>()
  const opening = new Set<string>()
  const closing = new Map<string, Promise<void>>()
  const wanted = new Set<string>()
  const recheckAt = new Map<string, number>()
  let stopped = false

  function want(lineName: string): void {
    if (stopped || open.has(lineName) || opening.has(lineName)) return
    wanted.add(lineName)
    fill()
  }

  function fill(): void {
    for (const lineName of wanted) {
      if (stopped || opening.size >= OPENING_AT_ONCE) return
      if (closing.has(lineName)) continue
      if (open.size + opening.size + closing.size >= deps.maxOpenLines) return
      wanted.delete(lineName)
      opening.add(lineName)
      deps.open(lineName).then(
        (line) => opened(lineName, line),
        (error: unknown) => {
          opening.delete(lineName)
          log.warn({ lineName, err: error }, 'a line could not be opened')
          recheckAt.set(lineName, now() + RECHECK_AFTER_MS)
        },
      )
    }
  }

  function opened(lineName: string, line: LineServer): void {
    opening.delete(lineName)
    open.set(lineName, line)
    if (stopped) void closeLine(line, false)
    fill()
  }

  function closeLine(line: LineServer, force: boolean): Promise<void> {
    open.delete(line.lineName)
    const done = line
      .close(force)
      .catch((error: unknown) =>
        log.warn({ lineName: line.lineName, err: error }, 'a line did not close well'),
      )
      .then(() => {
        closing.delete(line.lineName)
        recheckAt.set(line.lineName, now() + RECHECK_AFTER_MS)
        fill()
      })
    closing.set(line.lineName, done)
    return done
  }

  /** Closes what is idle; where others wait for room, also what has been without a job for a moment. */
  async function makeRoom(): Promise<void> {
    const lines = [...open.values()].filter((line) => !line.busy())
    const idle = lines.filter((line) => now() - line.lastActiveAtMs() >= deps.idleMs)
    const needed = Math.min(wanted.size, 64) - (deps.maxOpenLines - open.size - opening.size - closing.size)
    const crowded =
      needed > 0 ? lines.sort((a, b) => a.lastActiveAtMs() - b.lastActiveAtMs()).slice(0, 2 * needed) : []
    const candidates = new Map([...idle, ...crowded].map((line) => [line.lineName, line]))
    if (candidates.size === 0) return
    const working = new Set(await deps.withWork([...candidates.keys()]))
    let spare = Math.max(needed, 0)
    for (const [lineName, line] of candidates) {
      if (working.has(lineName) || line.busy() || !open.has(lineName)) continue
      if (!idle.includes(line) && spare-- <= 0) continue
      void closeLine(line, false)
    }
  }

  async function recheckClosed(): Promise<void> {
    const due = [...recheckAt].filter(([, at]) => at <= now()).map(([lineName]) => lineName)
    if (due.length === 0) return
    for (const lineName of await deps.withWork(due)) want(lineName)
    for (const lineName of due) recheckAt.delete(lineName)
  }

  let ticking = Promise.resolve()
  const timer = setInterval(() => {
    ticking = ticking
      .then(makeRoom)
      .then(recheckClosed)
      .catch((error: unknown) => log.warn({ err: error }, 'lines could not be looked over'))
  }, TICK_MS)

  return {
    want,
    openLines: () => [...open.values()],
    wantedCount: () => wanted.size,
    async close(graceMs) {
      stopped = true
      clearInterval(timer)
      wanted.clear()
      const graceful = Promise.all([...open.values()].map((line) => closeLine(line, false)))
      let graceTimer: NodeJS.Timeout | undefined
      const graceOver = new Promise((resolve) => {
        graceTimer = setTimeout(resolve, graceMs)
      })
      await Promise.race([Promise.all([graceful, ...closing.values()]), graceOver])
      clearTimeout(graceTimer)
    },
  }
}
