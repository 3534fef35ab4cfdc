import { commandCountOf, jobCreatedAtMs, type LineLayout } from '@ticket-line/shared'
import { parseDepth, readDepth } from '../depth.js'
import {
  activeJobsKey,
  completedJobsKey,
  failedJobsKey,
  jobKey,
  jobLockKey,
  lineBase,
  linePrefix,
  queuedJobsKey,
  settingsKey,
  settleMarkKey,
} from '../keys.js'
import type { LineRedis } from '../line-redis.js'

/** A job that a worker has fetched and not completed. */
export interface ActiveJob {
  jobId: string
  /** Time until its lock expires, ms; null if it has expired, because the worker died or froze. */
  lockLeftMs: number | null
  /** Host and process id of the worker that fetched it. */
  processedBy: string | null
}

/** The contents of a line at one moment. */
export interface LineContents {
  lineName: string
  /** Ids of the queued jobs, the next one first. */
  queuedJobs: string[]
  activeJobs: ActiveJob[]
  completed: string[]
  failed: string[]
  /** BullMQ's global concurrency of the queue; 1 is correct. */
  globalConcurrency: number | null
  paused: boolean
  /** Undecided commands by event, as counted for the depth limit. */
  undecided: Map<number, number>
}

/** The field of a job in which BullMQ keeps the name of its worker. */
const PROCESSED_BY = 'pb'

/** Reads a line in one transaction, so that each job is in exactly one of the lists. */
export async function readLine(
  lineRedis: LineRedis,
  lineName: string,
  layout: LineLayout,
): Promise<LineContents> {
  const base = lineBase(lineName, layout)
  const redis = lineRedis.of(linePrefix(lineName, layout))
  const transaction = redis
    .multi()
    .lrange(queuedJobsKey(base), 0, -1)
    .lrange(activeJobsKey(base), 0, -1)
    .zrange(completedJobsKey(base), '0', '-1')
    .zrange(failedJobsKey(base), '0', '-1')
    .hmget(settingsKey(base), 'concurrency', 'paused')
  const replies = await readDepth(transaction, base).exec()
  const [queued, active, completed, failed, settings, depth] = (replies ?? []).map(
    ([error, value]) => {
      if (error) throw error
      return value
    },
  ) as [string[], string[], string[], string[], (string | null)[], Record<string, string>]
  const activeJobs = active.map(async (jobId): Promise<ActiveJob> => {
    const [lockLeftMs, processedBy] = await Promise.all([
      redis.pttl(jobLockKey(base, jobId)),
      redis.hget(jobKey(base, jobId), PROCESSED_BY),
    ])
    return { jobId, lockLeftMs: Number(lockLeftMs) >= 0 ? Number(lockLeftMs) : null, processedBy }
  })
  const [concurrency, paused] = settings
  return {
    lineName,
    // A line is served from the right end of its list.
    queuedJobs: queued.reverse(),
    activeJobs: await Promise.all(activeJobs),
    completed,
    failed,
    globalConcurrency: concurrency == null ? null : Number(concurrency),
    paused: paused != null,
    undecided: parseDepth(depth),
  }
}

/** The worker process that completed the last job of a line; null if no such job is kept. */
export async function lastProcessedBy(
  lineRedis: LineRedis,
  line: LineContents,
  layout: LineLayout,
): Promise<string | null> {
  const last = line.completed.at(-1)
  if (last === undefined) return null
  const redis = lineRedis.of(linePrefix(line.lineName, layout))
  return redis.hget(jobKey(lineBase(line.lineName, layout), last), PROCESSED_BY)
}

/** True if the line has queued or active jobs. */
export function hasWork(line: LineContents): boolean {
  return line.queuedJobs.length + line.activeJobs.length > 0
}

/** The job that is being served, or is next. */
export function headOf(line: LineContents): string | undefined {
  return line.activeJobs[0]?.jobId ?? line.queuedJobs[0]
}

/**
 * Number of undecided commands in the line. The id of a job contains the number of its commands.
 */
export function commandsIn(line: LineContents): number {
  const ids = [...line.queuedJobs, ...line.activeJobs.map((job) => job.jobId)]
  return ids.reduce((sum, jobId) => sum + (commandCountOf(jobId) || 0), 0)
}

/** The age of the first job, ms; 0 for a line without jobs. */
export function waitedMs(line: LineContents, nowMs: number): number {
  const head = headOf(line)
  return head === undefined ? 0 : Math.max(0, nowMs - jobCreatedAtMs(head))
}

/** The undecided settle of an event, by its mark (`mark-settles.lua`). */
export type SettleInLine =
  | { kind: 'none' }
  | { kind: 'active'; jobId: string }
  /** `jobsAhead` jobs of the line come before it. */
  | { kind: 'queued'; jobId: string; jobsAhead: number }
  /** The line does not have the job: it is being added, has just been decided, or was lost. */
  | { kind: 'not_in_line'; jobId: string }
  /** The last settle was rejected. Workers add no other for this long. */
  | { kind: 'rejected'; nextInMs: number }

/**
 * Finds the undecided settle of an event.
 *
 * @param line the line of the event
 */
export async function readSettle(
  lineRedis: LineRedis,
  line: LineContents,
  eventId: number,
  layout: LineLayout,
): Promise<SettleInLine> {
  const key = settleMarkKey(lineBase(line.lineName, layout), eventId)
  const redis = lineRedis.of(linePrefix(line.lineName, layout))
  const [mark, leftMs] = await Promise.all([redis.get(key), redis.pttl(key)])
  if (mark === null) return { kind: 'none' }
  if (mark === 'rejected') return { kind: 'rejected', nextInMs: Math.max(0, Number(leftMs)) }
  if (line.activeJobs.some(({ jobId }) => jobId === mark)) return { kind: 'active', jobId: mark }
  const index = line.queuedJobs.indexOf(mark)
  return index < 0
    ? { kind: 'not_in_line', jobId: mark }
    : { kind: 'queued', jobId: mark, jobsAhead: line.activeJobs.length + index }
}
