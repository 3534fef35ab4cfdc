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
  flush(): Flushed
}

export interface FetchedJob {
  jobId: string
  payload: string
  /** Number of starts, including this one. */
  starts: number
}

/** What a flush has removed. */
export interface Flushed {
  /** Jobs that were queued or active. */
  lost: Set<string>
  /** Those that a worker may have fetched, and may therefore still decide. */
  inHand: Set<string>
}

export interface RedisDataDeps {
  now: () => number
  lockMs: number
  stalledIntervalMs: number
  /** Called when a job enters a line. */
  onArrival: (lineName: string, jobId: string, payload: string) => void
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
  const lines = new Map<string, LineData>()

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

  return {
    fetch,
    measure,
    add(lineName, jobId, payload) {
      const line = lineOf(lineName)
      if (line.jobs.has(jobId)) return
      line.jobs.set(jobId, { payload, starts: 0 })
      line.wait.push(jobId)
      deps.onArrival(lineName, jobId, payload)
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
    undecided: () => [...lines.values()].flatMap(({ wait, active }) => [...wait, ...active]),
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
    flush() {
      const all = [...lines.values()]
      const started = all.flatMap(({ wait, jobs }) =>
        wait.filter((jobId) => (jobs.get(jobId)?.starts ?? 0) > 0),
      )
      const active = all.flatMap((line) => line.active)
      lines.clear()
      return {
        lost: new Set([...active, ...all.flatMap((line) => line.wait)]),
        inHand: new Set([...active, ...started]),
      }
    },
  }
}
