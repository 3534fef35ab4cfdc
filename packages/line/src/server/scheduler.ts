/**
 * The scheduler of a worker process: which lines it knows, and which of them it serves now.
 *
 * Each line that it knows is in one of these states:
 *
 *     quiet or standby ──▶ queued ──▶ serving ──▶ quiet or standby
 *
 * - `quiet`: the process does not serve it.
 * - `standby`: the process does not serve it, because another one seems to. It ignores wake-ups of
 *   the line until `untilMs`.
 * - `queued`: it has work, or may have, and waits for one of the `servedAtOnce` places. Queued
 *   lines are served in order.
 * - `serving`: the process serves it until it is empty. `isDue` is set if there is a reason to
 *   serve it again afterwards: a wake-up arrived in the meantime, or its turn was over because
 *   other lines were queued. It is then queued again at once.
 *
 * A line *rests* while it is quiet or standby. A wake-up, the sweep or the monitor moves a resting
 * line to `queued` (`enqueue`). The first queued line gets the next free place (`fillPlaces`). When
 * `serve` ends, the line rests, or is queued again.
 *
 * Many processes have the same line in their schedulers. Every process gets every wake-up and tries
 * to fetch; BullMQ's global concurrency gives the job to one of them. A process that gets no job,
 * and has not served the line lately, is a standby for `STANDBY_MS`, so that on a busy line the
 * others do not ask Redis in vain for every job. A process that did not fetch, because Redis may
 * lack accepted jobs, is no standby. Otherwise it would ignore the sweep that follows a recovery.
 *
 * The *monitor* checks the lines that this process does not serve, if they were woken lately or
 * have work. It notices what wake-ups do not report: a worker that died, stopped, or has no free
 * place. If the lock of a job has expired, the monitor returns the job to its line. The sweep
 * (`sweeper.ts`) finds lines that nobody monitors anymore.
 *
 * Shutdown: `close` queues nothing more, waits until the jobs at hand are finished, and sends
 * wake-ups for the lines that were being served or queued.
 */
import { type Clock, every, type Log, withDeadline } from '@ticket-line/shared'
import { hasJobs, type LineLength } from '../registry.js'
import type { Line } from './line.js'

export interface SchedulerDeps {
  createLine: (lineName: string) => Line
  /** Counts the jobs of lines, in the order of their names. */
  measure: (lineNames: string[]) => Promise<LineLength[]>
  /** Number of places: how many lines are served at the same time. */
  servedAtOnce: number
  /**
   * Maximum number of lines that are remembered. Beyond that, the scheduler forgets the resting
   * line that was woken least recently.
   */
  maxOpenLines: number
  /** A line without work is forgotten after this long, ms. */
  idleMs: number
  /** Time between two runs of the monitor, ms. */
  monitorEveryMs: number
  /** Tells other processes that these lines have work. */
  handOver: (lineNames: string[]) => Promise<unknown>
  /** Called with the number of jobs whose lock has expired. */
  onStalled: (jobs: number) => void
  log: Log
  clock: Clock
}

export interface SchedulerCounts {
  /** Lines that this process knows. */
  open: number
  /** Those that it serves now. */
  serving: number
  /** Those that wait for a place. */
  queued: number
}

export interface Scheduler {
  /** Called when a line has work. It is served as soon as there is a place. */
  wake(lineName: string): void
  counts(): SchedulerCounts
  /**
   * Finishes the jobs at hand, within `finishMs`, and hands the lines over to other processes,
   * within `handOverMs`.
   */
  close(grace: { finishMs: number; handOverMs: number }): Promise<void>
}

type LineState =
  | { readonly kind: 'quiet' }
  | { readonly kind: 'standby'; readonly untilMs: number }
  | { readonly kind: 'queued' }
  | { readonly kind: 'serving'; isDue: boolean }

const QUIET: LineState = { kind: 'quiet' }
const QUEUED: LineState = { kind: 'queued' }

/** For each state, the states from which it may be entered. */
const ENTERED_FROM: Record<LineState['kind'], readonly LineState['kind'][]> = {
  quiet: ['serving'],
  standby: ['serving'],
  queued: ['quiet', 'standby'],
  serving: ['queued'],
}

/** A line that this process knows. */
interface ScheduledLine {
  readonly lineName: string
  readonly line: Line
  /** Changed by `transition` only. */
  state: LineState
  /** The monitor checks the line until then, and for as long as it has work. */
  monitoredUntilMs: number
  /** When this process last served a job of it. */
  servedAtMs: number
}

/** Moves a line to its next state. */
function transition(line: ScheduledLine, next: LineState): void {
  const { kind } = line.state
  if (!ENTERED_FROM[next.kind].includes(kind))
    throw new Error(`the line ${line.lineName} cannot be ${next.kind} after it was ${kind}`)
  line.state = next
}

/** True if a line is neither served nor queued. */
function isResting({ state }: ScheduledLine): boolean {
  return state.kind === 'quiet' || state.kind === 'standby'
}

/** The monitor checks a line for this long after a wake-up, ms. */
const MONITOR_MS = 3000
/** While other lines are queued, a line keeps its place for this long, ms. */
const TURN_MS = 100
/** How long a standby ignores wake-ups of a line, ms. */
const STANDBY_MS = 500

export function createScheduler(deps: SchedulerDeps): Scheduler {
  const { log, clock } = deps
  /** In the order of their last wake-up: the first one was woken least recently. */
  const lines = new Map<string, ScheduledLine>()
  const queue: ScheduledLine[] = []
  /** One promise for each place that is taken. It resolves when the place is free. */
  const places = new Set<Promise<void>>()
  let isClosed = false

  function openLine(lineName: string): ScheduledLine {
    const known = lines.get(lineName)
    if (known !== undefined) {
      lines.delete(lineName)
      lines.set(lineName, known)
      return known
    }
    const line: ScheduledLine = {
      lineName,
      line: deps.createLine(lineName),
      state: QUIET,
      monitoredUntilMs: Number.NEGATIVE_INFINITY,
      servedAtMs: Number.NEGATIVE_INFINITY,
    }
    makeRoom()
    lines.set(lineName, line)
    return line
  }

  /**
   * Forgets a line that rests, if there are too many. Thousands of lines may be queued, so it
   * searches only if some line rests.
   */
  function makeRoom(): void {
    const resting = lines.size - queue.length - places.size
    let surplus = Math.min(lines.size + 1 - deps.maxOpenLines, resting)
    for (const line of lines.values()) {
      if (surplus <= 0) return
      if (!isResting(line)) continue
      lines.delete(line.lineName)
      surplus -= 1
    }
  }

  function wake(lineName: string): void {
    if (isClosed) return
    const line = openLine(lineName)
    const nowMs = clock.steadyMs()
    line.monitoredUntilMs = nowMs + MONITOR_MS
    if (line.state.kind === 'standby' && nowMs < line.state.untilMs) return
    enqueue(line)
  }

  /** quiet or standby → queued; a line that is served becomes due */
  function enqueue(line: ScheduledLine): void {
    switch (line.state.kind) {
      case 'serving':
        line.state.isDue = true
        break
      case 'quiet':
      case 'standby':
        if (isClosed) break
        transition(line, QUEUED)
        queue.push(line)
        fillPlaces()
        break
      case 'queued':
        break
    }
  }

  /** queued → serving, for as many lines as there are places */
  function fillPlaces(): void {
    while (places.size < deps.servedAtOnce && !isClosed) {
      const line = queue.shift()
      if (line === undefined) return
      const place = serve(line).finally(() => {
        places.delete(place)
        fillPlaces()
      })
      places.add(place)
    }
  }

  /** queued → serving → quiet or standby, and queued if it is due */
  async function serve(line: ScheduledLine): Promise<void> {
    const serving = { kind: 'serving' as const, isDue: false }
    transition(line, serving)
    const startedAtMs = clock.steadyMs()
    function mayContinue(): boolean {
      if (queue.length === 0 || clock.steadyMs() - startedAtMs < TURN_MS) return true
      serving.isDue = true
      return false
    }
    let next: LineState = QUIET
    try {
      const served = await line.line.serve(mayContinue)
      const nowMs = clock.steadyMs()
      if (served === undefined) next = QUIET
      else if (served > 0) line.servedAtMs = nowMs
      else if (nowMs - line.servedAtMs > MONITOR_MS)
        next = { kind: 'standby', untilMs: nowMs + STANDBY_MS }
    } catch (err) {
      log.warn({ lineName: line.lineName, err }, 'could not serve a line; the monitor will retry')
      line.monitoredUntilMs = clock.steadyMs() + MONITOR_MS
    }
    transition(line, next)
    if (serving.isDue) enqueue(line)
  }

  async function monitor(): Promise<void> {
    const monitored = [...lines.values()].filter(
      (line) => isResting(line) && line.monitoredUntilMs > clock.steadyMs(),
    )
    const lengths = await deps.measure(monitored.map((line) => line.lineName))
    await Promise.all(monitored.map((line, i) => monitorLine(line, lengths[i] as LineLength)))
    for (const line of lines.values()) {
      const unusedSinceMs = Math.max(line.monitoredUntilMs, line.servedAtMs)
      if (isResting(line) && clock.steadyMs() - unusedSinceMs > deps.idleMs)
        lines.delete(line.lineName)
    }
  }

  async function monitorLine(line: ScheduledLine, length: LineLength): Promise<void> {
    if (!hasJobs(length) || line.state.kind === 'serving') return
    line.monitoredUntilMs = clock.steadyMs() + MONITOR_MS
    if (length.activeJobs > 0) {
      const recovered = await line.line.recoverStalled()
      if (recovered === 0) return
      deps.onStalled(recovered)
    }
    enqueue(line)
  }

  const monitorLoop = every(deps.monitorEveryMs, monitor, {
    onError: (err) => log.warn({ err }, 'could not monitor the lines'),
  })

  return {
    wake,
    counts: () => ({ open: lines.size, serving: places.size, queued: queue.length }),
    async close({ finishMs, handOverMs }) {
      isClosed = true
      void monitorLoop.stop()
      const left = [...lines.values()].filter((line) => !isResting(line))
      await withDeadline(Promise.all(places), finishMs, () => undefined)
      if (left.length === 0) return
      const handedOver = deps.handOver(left.map((line) => line.lineName))
      await withDeadline(handedOver, handOverMs, () => undefined)
    },
  }
}
