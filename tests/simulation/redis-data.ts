import type { LineLength } from '@ticket-line/line'
import type { SettleStore } from '@ticket-line/line/server'
import { lineNameIn } from '@ticket-line/shared'
import { emptyLine, enterLine, hasSettle, type LineData, leaveLine } from './line-data.ts'

/**
 * What Redis does for the lines, as the scripts of BullMQ and of the product do it;
 * `tests/integration/bullmq-facts.test.ts` shows the same behavior on a real Redis. Each function
 * is one command, and so atomic.
 */
export interface RedisData {
  add(lineName: string, jobId: string, payload: string): void
  getJob(lineName: string, jobId: string): string | undefined
  setConcurrency(lineName: string): void
  fetch(lineName: string, token: string): FetchedJob | undefined
  /** @returns the next job if one was requested, or an error code of BullMQ */
  complete(
    lineName: string,
    jobId: string,
    token: string,
    fetchNext: boolean,
  ): FetchedJob | undefined | number
  extendLock(lineName: string, jobId: string, token: string, durationMs: number): 0 | 1
  recoverStalled(lineName: string): string[]
  measure(lineName: string): LineLength
  /** The jobs that are queued or active in any line. */
  undecided(): string[]
  withWork(): string[]
  /**
   * Admits commands, up to a limit.
   * @returns how many of each event are admitted
   */
  enter(lineName: string, counts: Map<number, number>, max: number): Map<number, number>
  leave(lineName: string, counts: Map<number, number>): void
  /** @returns for each settle, whether its event was marked */
  markSettles(...args: Parameters<SettleStore['mark']>): boolean[]
  endSettle(...args: Parameters<SettleStore['end']>): void
  /** Lists a job again that no list contains. */
  relist(lineName: string, jobId: string): 'missing' | 'listed' | 'relisted'
  /** Puts jobs before all others of their line, active ones included. */
  putFirst(lineName: string, jobIds: readonly string[]): void
  /** Puts an active job back at the head of its line. @returns an error code of BullMQ, or 0 */
  putBack(lineName: string, jobId: string, token: string): number
  /** The id that the server got when it started. */
  runId(): string
  /** The generation of the shard. */
  generation(): string | undefined
  beginRecovery(token: string): void
  /** @returns false if the token is gone */
  endRecovery(token: string, generation: string): boolean
  /** True if nothing was lost since the last recovery. */
  isReady(): boolean
  /** Removes everything. */
  flush(): Loss
  /** @returns what Redis has now, for a restart that loses what is written afterwards */
  save(): SavedData
  /** Starts again with what was saved, or with nothing. */
  restart(saved?: SavedData): Loss
  /** Another server takes over, which was in use before and has not changed since. */
  returnTo(former: SavedData): Loss
  /** Removes a queued job, or only its entry in the list. */
  loseJob(pick: <T>(jobs: T[]) => T | undefined, what: 'job' | 'entry'): Loss
}

/** What Redis has after a restart. */
export interface SavedData {
  runId: string
  lines: Map<string, LineData>
  generation: string | undefined
  token: string | undefined
}

export interface FetchedJob {
  jobId: string
  payload: string
  /** Number of starts, including this one. */
  starts: number
}

/** What was lost at once. */
export interface Loss {
  /** Jobs that were queued or active, and are not any more. */
  lost: Set<string>
  /** Jobs that a worker may have fetched, and may therefore still decide. */
  inHand: Set<string>
}

export interface RedisDataDeps {
  now: () => number
  lockMs: number
  stalledIntervalMs: number
  /** Called when a job enters a line, or gets another place in it. */
  onArrival: (lineName: string, jobId: string, payload: string) => void
  /** Reads the generation that PostgreSQL has. */
  recordedGeneration: () => string | undefined
  /** Guards to leave out, so that the checks can be tested. */
  without: {
    oneActiveJob?: boolean
    stalledJobToHead?: boolean
    depthReset?: boolean
    settleMarks?: boolean
    lostSettles?: boolean
  }
}

const COMPLETED_KEPT = 20

export function createRedisData(deps: RedisDataDeps): RedisData {
  const { now, without } = deps
  let lines = new Map<string, LineData>()
  let generation: string | undefined
  let token: string | undefined
  let starts = 1
  let runId = 'run1'

  function lineOf(lineName: string): LineData {
    const known = lines.get(lineName)
    if (known !== undefined) return known
    const line = emptyLine()
    lines.set(lineName, line)
    return line
  }

  const isLocked = (line: LineData, jobId: string): boolean =>
    (line.locks.get(jobId)?.untilMs ?? 0) > now()

  function fetch(lineName: string, token: string): FetchedJob | undefined {
    const line = lineOf(lineName)
    if (line.oneActive && line.active.length > 0 && !without.oneActiveJob) return undefined
    const jobId = line.wait.shift()
    if (jobId === undefined) return undefined
    const job = line.jobs.get(jobId) as { payload: string; starts: number }
    job.starts += 1
    line.active.push(jobId)
    line.locks.set(jobId, { token, untilMs: now() + deps.lockMs })
    return { jobId, payload: job.payload, starts: job.starts }
  }

  function measure(lineName: string): LineLength {
    const line = lines.get(lineName)
    return { queuedJobs: line?.wait.length ?? 0, activeJobs: line?.active.length ?? 0 }
  }

  /** Called when the queued jobs of a line have a new order. */
  function reordered(lineName: string, jobIds: string[]): void {
    const { jobs } = lineOf(lineName)
    for (const jobId of jobIds)
      deps.onArrival(lineName, jobId, (jobs.get(jobId) as { payload: string }).payload)
  }

  function load(saved: SavedData): void {
    ;({ runId, lines, generation, token } = structuredClone(saved))
    for (const [lineName, { active, wait }] of lines) reordered(lineName, [...active, ...wait])
  }

  const undecided = (): string[] =>
    [...lines.values()].flatMap(({ wait, active }) => [...wait, ...active])

  /** Jobs that a worker has or had. */
  const inHand = (): string[] =>
    [...lines.values()].flatMap(({ wait, active, jobs }) => [
      ...active,
      ...wait.filter((jobId) => (jobs.get(jobId)?.starts ?? 0) > 0),
    ])

  /** @returns what is lost by the removal */
  function remove(run: () => void): Loss {
    const before = undecided()
    const hands = new Set(inHand())
    run()
    const left = new Set(undecided())
    return { lost: new Set(before.filter((jobId) => !left.has(jobId))), inHand: hands }
  }

  return {
    fetch,
    measure,
    undecided,
    add(lineName, jobId, payload) {
      const line = lineOf(lineName)
      if (line.jobs.has(jobId)) return
      line.jobs.set(jobId, { payload, starts: 0 })
      line.wait.push(jobId)
      reordered(lineName, [jobId])
    },
    getJob: (lineName, jobId) => lines.get(lineName)?.jobs.get(jobId)?.payload,
    setConcurrency(lineName) {
      lineOf(lineName).oneActive = true
    },
    complete(lineName, jobId, token, fetchNext) {
      const line = lineOf(lineName)
      if (!line.jobs.has(jobId)) return -1
      if (!isLocked(line, jobId)) return -2
      if (line.locks.get(jobId)?.token !== token) return -6
      const at = line.active.indexOf(jobId)
      if (at < 0) return -3
      line.active.splice(at, 1)
      line.locks.delete(jobId)
      line.maybeStalled.delete(jobId)
      line.completed.push(jobId)
      if (line.completed.length > COMPLETED_KEPT) line.jobs.delete(line.completed.shift() as string)
      return fetchNext ? fetch(lineName, token) : undefined
    },
    extendLock(lineName, jobId, token, durationMs) {
      const line = lineOf(lineName)
      if (!isLocked(line, jobId) || line.locks.get(jobId)?.token !== token) return 0
      line.locks.set(jobId, { token, untilMs: now() + durationMs })
      line.maybeStalled.delete(jobId)
      return 1
    },
    recoverStalled(lineName) {
      const line = lineOf(lineName)
      if (line.stalledCheckedUntilMs > now()) return []
      line.stalledCheckedUntilMs = now() + deps.stalledIntervalMs
      const isStalled = (jobId: string): boolean =>
        !isLocked(line, jobId) && line.active.includes(jobId)
      const stalled = [...line.maybeStalled].filter(isStalled)
      for (const jobId of stalled) {
        line.active.splice(line.active.indexOf(jobId), 1)
        if (without.stalledJobToHead) line.wait.push(jobId)
        else line.wait.unshift(jobId)
      }
      line.maybeStalled = new Set(line.active)
      return stalled
    },
    withWork() {
      return [...lines.keys()].filter((lineName) => {
        const { queuedJobs, activeJobs } = measure(lineName)
        return queuedJobs + activeJobs > 0
      })
    },
    enter: (lineName, counts, max) =>
      enterLine(lineOf(lineName), { counts, max, nowMs: now(), forget: !without.depthReset }),
    leave: (lineName, counts) => leaveLine(lineOf(lineName), counts),
    markSettles: (_prefix, settles, times) =>
      settles.map(({ eventId, jobId }) => {
        const line = lineOf(lineNameIn(jobId))
        const isMarked = without.lostSettles
          ? line.marks.has(eventId)
          : hasSettle(line, eventId, times, now())
        if (isMarked && !without.settleMarks) return false
        line.marks.set(eventId, { jobId, untilMs: now() + times.markMs })
        const counts = new Map([[eventId, 1]])
        enterLine(line, { counts, max: Number.POSITIVE_INFINITY, nowMs: now(), forget: false })
        return true
      }),
    endSettle({ eventId, jobId }, rejectedMs) {
      const { marks } = lineOf(lineNameIn(jobId))
      if (rejectedMs > 0) marks.set(eventId, { jobId: 'rejected', untilMs: now() + rejectedMs })
      else if (marks.get(eventId)?.jobId === jobId) marks.delete(eventId)
    },
    relist(lineName, jobId) {
      const { jobs, wait, active, completed } = lineOf(lineName)
      if (!jobs.has(jobId)) return 'missing'
      if ([wait, active, completed].some((list) => list.includes(jobId))) return 'listed'
      wait.push(jobId)
      reordered(lineName, [jobId])
      return 'relisted'
    },
    putFirst(lineName, jobIds) {
      const line = lineOf(lineName)
      const queued = [...line.active.splice(0), ...line.wait]
      line.locks.clear()
      line.maybeStalled.clear()
      line.wait = [
        ...jobIds.filter((jobId) => queued.includes(jobId)),
        ...queued.filter((jobId) => !jobIds.includes(jobId)),
      ]
      reordered(lineName, line.wait)
    },
    putBack(lineName, jobId, lock) {
      const line = lineOf(lineName)
      if (!line.jobs.has(jobId)) return -1
      if (!isLocked(line, jobId)) return -2
      if (line.locks.get(jobId)?.token !== lock) return -6
      line.locks.delete(jobId)
      line.maybeStalled.delete(jobId)
      if (!line.active.includes(jobId)) return 0
      line.active.splice(line.active.indexOf(jobId), 1)
      line.wait.unshift(jobId)
      return 0
    },
    runId: () => runId,
    generation: () => generation,
    beginRecovery(next) {
      token = next
    },
    endRecovery(expected, next) {
      if (token !== expected) return false
      generation = next
      token = undefined
      return true
    },
    isReady: () =>
      generation?.startsWith(`${runId}:`) === true && generation === deps.recordedGeneration(),
    flush: () =>
      remove(() => {
        lines.clear()
        generation = undefined
        token = undefined
      }),
    save: () => structuredClone({ runId, lines, generation, token }),
    restart: (saved = { runId, lines: new Map(), generation: undefined, token: undefined }) =>
      remove(() => load({ ...saved, runId: `run${++starts}` })),
    returnTo: (former) => remove(() => load(former)),
    loseJob: (pick, what) =>
      remove(() => {
        const jobId = pick([...lines.values()].flatMap(({ wait }) => wait))
        if (jobId === undefined) return
        const line = lineOf(lineNameIn(jobId))
        line.wait.splice(line.wait.indexOf(jobId), 1)
        if (what === 'job') line.jobs.delete(jobId)
      }),
  }
}

/** True for the job of a settle. */
export function isSettle(job: { payload: string } | undefined): boolean {
  return job?.payload.includes('"type":"settle"') === true
}
