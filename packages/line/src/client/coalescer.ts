import { type CommandRequest, MAX_COMMANDS_PER_JOB } from '@ticket-line/shared'

/** One request that waits for its place in a job. `T` is what the caller keeps with it. */
export interface Held<T> {
  request: CommandRequest
  ticket: T
}

export interface CoalescerDeps<T> {
  /**
   * Sends commands of one line, in order, as one job. Called synchronously in the order of the line.
   * The job counts as in flight until `jobDone(lineName)` is called for it.
   */
  send: (lineName: string, held: Held<T>[]) => void
  /** Longest time that commands are held back, ms. */
  holdMs: number
  setTimer: (run: () => void, ms: number) => { cancel: () => void }
  /** Runs after what has already arrived was taken in: requests of the same moment share a job. */
  soon: (run: () => void) => void
}

/** Gathers commands of a line into jobs by self-clocking. */
export interface Coalescer<T> {
  /** Adds a command behind all others of its line. */
  push(lineName: string, held: Held<T>): void
  /** Sends everything held of a line now, in order: for commands that must not wait for an answer to somebody else. */
  flush(lineName: string): void
  /** Sends everything held of all lines; each command is shown to `visit` first. */
  flushAll(visit: (ticket: T) => void): void
  /** Tells that a job of the line is no longer in flight. */
  jobDone(lineName: string): void
  /** Commands held back now, in all lines. */
  heldCount(): number
}

/** Jobs of one line that one process keeps in flight; while they are, what arrives goes together in the next. */
const JOBS_IN_FLIGHT = 2
/** The second of them goes ahead of the first one's answer only with so many commands: smaller ones cost more than they save. */
const SECOND_JOB_COMMANDS = 32
/** So many commands go in one job; two of half the size would cost more than they save. */
const UNDIVIDED_COMMANDS = 64

interface LineState<T> {
  held: Held<T>[]
  /** Commands of each job in flight, in the order of sending; jobs of a line end in it, but for faults. */
  inFlight: number[]
  scheduled: boolean
  timer: { cancel: () => void } | undefined
}

/**
 * A quiet line gets one command a job and no added wait; a hot one gets as large jobs as arrive while one or two are
 * being decided; in a crowd, each of half of all that is on its way. Without that, clients who ask again once they were
 * answered stay together as they first met: 240 in one job and 16 in the next, and nothing to do here while the 240 are
 * decided.
 *
 * The window only delays: 256 commands, `holdMs`, or a `flush` send what is held, in order.
 */
export function createCoalescer<T>(deps: CoalescerDeps<T>): Coalescer<T> {
  const lines = new Map<string, LineState<T>>()

  function stateOf(lineName: string): LineState<T> {
    let line = lines.get(lineName)
    if (line === undefined) {
      line = { held: [], inFlight: [], scheduled: false, timer: undefined }
      lines.set(lineName, line)
    }
    return line
  }

  function flush(lineName: string): void {
    const line = lines.get(lineName)
    if (line === undefined) return
    while (line.held.length > 0) sendFirst(lineName, line, MAX_COMMANDS_PER_JOB)
    unhold(line)
  }

  function sendFirst(lineName: string, line: LineState<T>, count: number): void {
    const job = line.held.splice(0, count)
    line.inFlight.push(job.length)
    deps.send(lineName, job)
  }

  function mayGo({ inFlight, held }: LineState<T>): boolean {
    if (inFlight.length === 0) return held.length > 0
    return inFlight.length < JOBS_IN_FLIGHT && held.length >= SECOND_JOB_COMMANDS
  }

  /** What one job may take, so that those in flight are of one size. */
  function shareOf({ inFlight, held }: LineState<T>): number {
    const onTheirWay = inFlight.reduce((sum, count) => sum + count, held.length)
    return Math.min(
      Math.max(Math.ceil(onTheirWay / JOBS_IN_FLIGHT), UNDIVIDED_COMMANDS),
      MAX_COMMANDS_PER_JOB,
    )
  }

  function schedule(lineName: string, line: LineState<T>): void {
    if (line.scheduled) return
    line.scheduled = true
    deps.soon(() => {
      line.scheduled = false
      while (mayGo(line)) sendFirst(lineName, line, shareOf(line))
      // What was held before goes on waiting, within the bound of the first that was.
      if (line.held.length > 0) hold(lineName, line)
      else unhold(line)
    })
  }

  function hold(lineName: string, line: LineState<T>): void {
    line.timer ??= deps.setTimer(() => flush(lineName), deps.holdMs)
  }

  function unhold(line: LineState<T>): void {
    line.timer?.cancel()
    line.timer = undefined
  }

  return {
    push(lineName, held) {
      const line = stateOf(lineName)
      line.held.push(held)
      if (line.held.length >= MAX_COMMANDS_PER_JOB) flush(lineName)
      else if (mayGo(line)) schedule(lineName, line)
      else hold(lineName, line)
    },
    flush,
    flushAll(visit) {
      for (const [lineName, line] of [...lines]) {
        for (const { ticket } of line.held) visit(ticket)
        flush(lineName)
      }
    },
    jobDone(lineName) {
      const line = lines.get(lineName)
      if (line === undefined) return
      line.inFlight.shift()
      if (line.held.length > 0) schedule(lineName, line)
      else if (line.inFlight.length === 0 && !line.scheduled) lines.delete(lineName)
    },
    heldCount() {
      let count = 0
      for (const line of lines.values()) count += line.held.length
      return count
    },
  }
}
