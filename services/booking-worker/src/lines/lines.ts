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
/** How long a line with work keeps its place while others with work wait for room. */
const TURN_MS = 1000
/** Lines that make room in one look. */
const LEAVING_AT_ONCE = 64

/**
 * Keeps a bounded number of lines open. A line is in one of four states: *wanted* (in order of asking), *opening*,
 * *open*, *closing*. It moves on when asked for (`want`), when room comes free, when it is idle for `idleMs`, or when
 * others wait for room and it has nothing to do. Where all open lines have work, and so perhaps another process that
 * serves them, they take turns. A closed line is looked at once more, since a job may have arrived while it closed.
 */
export function createLines(deps: LinesDeps): Lines {
  const { log, now } = deps
  const open = new Map<string, LineServer>()
  const opening = new Set<string>()
  const closing = new Map<string, Promise<void>>()
  const wanted = new Set<string>()
  const recheckAt = new Map<string, number>()
  const openedAt = new WeakMap<LineServer, number>()
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
    openedAt.set(line, now())
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

  /** Closes what is idle; where others wait for room, also what has nothing to do, or whose turn is over. */
  async function makeRoom(): Promise<void> {
    const room = deps.maxOpenLines - open.size - opening.size - closing.size
    const needed = Math.max(0, Math.min(wanted.size, LEAVING_AT_ONCE) - room)
    const isIdle = (line: LineServer): boolean => now() - line.lastActiveAtMs() >= deps.idleMs
    const candidates = [...open.values()].filter((line) => needed > 0 || (isIdle(line) && !line.busy()))
    if (candidates.length === 0) return
    const waiting = needed > 0 ? [...wanted].slice(0, LEAVING_AT_ONCE) : []
    const working = new Set(await deps.withWork([...candidates.map((line) => line.lineName), ...waiting]))
    let spare = needed
    const byIdleness = candidates.sort((a, b) => a.lastActiveAtMs() - b.lastActiveAtMs())
    for (const line of byIdleness) {
      if (working.has(line.lineName) || line.busy() || open.get(line.lineName) !== line) continue
      if (!isIdle(line) && spare <= 0) continue
      spare -= 1
      void closeLine(line, false)
    }
    const turns = Math.min(spare, waiting.filter((lineName) => working.has(lineName)).length)
    if (turns > 0) takeTurns(turns)
  }

  /** Closes those that have been open longest; what they are at is finished first. */
  function takeTurns(count: number): void {
    const openSince = (line: LineServer): number => openedAt.get(line) ?? 0
    const over = [...open.values()].filter((line) => now() - openSince(line) >= TURN_MS)
    for (const line of over.sort((a, b) => openSince(a) - openSince(b)).slice(0, count))
      void closeLine(line, false)
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
