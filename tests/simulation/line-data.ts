/** The keys of one line in Redis. */
export interface LineData {
  wait: string[]
  active: string[]
  completed: string[]
  jobs: Map<string, { payload: string; starts: number }>
  locks: Map<string, { token: string; untilMs: number }>
  maybeStalled: Set<string>
  stalledCheckedUntilMs: number
  oneActive: boolean
  depth: Map<number, number>
  /** Time of the last admission. */
  countedAtMs: number
  /** Marks of the events that have an undecided settle. */
  marks: Map<number, SettleMark>
}

interface SettleMark {
  /** The job of the settle, or `rejected`. */
  jobId: string
  untilMs: number
}

/** After this time without a job, a count must be left over from a crash. */
const LEFT_BEHIND_AFTER_MS = 5000

export function emptyLine(): LineData {
  return {
    wait: [],
    active: [],
    completed: [],
    jobs: new Map(),
    locks: new Map(),
    maybeStalled: new Set(),
    stalledCheckedUntilMs: 0,
    oneActive: false,
    depth: new Map(),
    countedAtMs: 0,
    marks: new Map(),
  }
}

export interface Entering {
  /** Number of commands to admit, by event. */
  counts: Map<number, number>
  max: number
  nowMs: number
  /** Whether a count that a crash left over is reset if it would refuse commands. */
  forget: boolean
}

/**
 * Admits commands.
 * @returns how many of each event are admitted
 */
export function enterLine(
  line: LineData,
  { counts, max, nowMs, forget }: Entering,
): Map<number, number> {
  const isLeftBehind =
    forget &&
    nowMs - line.countedAtMs > LEFT_BEHIND_AFTER_MS &&
    line.wait.length + line.active.length === 0
  const granted = new Map<number, number>()
  for (const [eventId, wanted] of counts) {
    const counted = Math.max(0, line.depth.get(eventId) ?? 0)
    const before = counted + wanted > max && isLeftBehind ? 0 : counted
    const some = Math.min(wanted, Math.max(0, max - before))
    line.depth.set(eventId, before + some)
    granted.set(eventId, some)
    if (some > 0) line.countedAtMs = nowMs
  }
  return granted
}

/** Removes commands from the depth. */
export function leaveLine({ wait, depth }: LineData, counts: Map<number, number>): void {
  if (wait.length === 0) depth.clear()
  else for (const [eventId, count] of counts) depth.set(eventId, (depth.get(eventId) ?? 0) - count)
}

/** Times of `mark-settles.lua`, ms. */
export interface MarkTimes {
  markMs: number
  addingMs: number
  searchedMs: number
  rejectedMs: number
}

/** True if a settle of the event is in the line or on its way there; see `mark-settles.lua`. */
export function hasSettle(
  line: LineData,
  eventId: number,
  { markMs, addingMs, searchedMs }: MarkTimes,
  nowMs: number,
): boolean {
  const mark = line.marks.get(eventId)
  const leftMs = (mark?.untilMs ?? nowMs) - nowMs
  if (mark === undefined || leftMs <= 0) return false
  if (mark.jobId === 'rejected' || leftMs > markMs - addingMs) return true
  if (!line.jobs.has(mark.jobId) || line.completed.includes(mark.jobId)) return false
  if (leftMs > markMs - searchedMs) return true
  if (!line.wait.includes(mark.jobId) && !line.active.includes(mark.jobId)) {
    line.jobs.delete(mark.jobId)
    return false
  }
  mark.untilMs = nowMs + markMs
  return true
}
