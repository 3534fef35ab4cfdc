import { commandCountOf, jobCreatedAtMs, type LineLayout } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { depthKey, linePrefix } from '../keys.js'

/** A job that was started and not completed. */
export interface ActiveJob {
  jobId: string
  /** Time left on its lock; null where nobody holds one: its worker died or froze. */
  lockLeftMs: number | null
  /** Host and process id of the worker that started it. */
  processedBy: string | null
}

/** One line as of one moment. */
export interface LineContents {
  lineName: string
  /** Ids of waiting jobs, the next one first. */
  waiting: string[]
  /** Jobs that count as active. */
  active: ActiveJob[]
  completed: string[]
  failed: string[]
  /** What `setGlobalConcurrency` left; 1 is right. */
  globalConcurrency: number | null
  paused: boolean
  /** Counted undecided commands by event: what `MAX_QUEUE_DEPTH` bounds. */
  undecided: Map<number, number>
}

/** Field of a job's hash in which BullMQ keeps the name of the worker. */
const PROCESSED_BY = 'pb'

/** Name of the worker process that completed the line's last job; null where none is kept. */
export async function lastProcessedBy(
  redis: Redis,
  line: LineContents,
  layout: LineLayout,
): Promise<string | null> {
  const last = line.completed.at(-1)
  if (last === undefined) return null
  return redis.hget(`${linePrefix(line.lineName, layout)}:${line.lineName}:${last}`, PROCESSED_BY)
}

/** Reads a line whole, in one transaction: its jobs are each in exactly one of the lists. */
export async function readLine(
  redis: Redis,
  lineName: string,
  layout: LineLayout,
): Promise<LineContents> {
  const prefix = linePrefix(lineName, layout)
  const base = `${prefix}:${lineName}:`
  const replies = await redis
    .multi()
    .lrange(`${base}wait`, 0, -1)
    .lrange(`${base}active`, 0, -1)
    .zrange(`${base}completed`, '0', '-1')
    .zrange(`${base}failed`, '0', '-1')
    .hmget(`${base}meta`, 'concurrency', 'paused')
    .hgetall(depthKey(prefix, lineName))
    .exec()
  const [waiting, active, completed, failed, meta, undecided] = (replies ?? []).map(
    ([error, value]) => {
      if (error) throw error
      return value
    },
  ) as [string[], string[], string[], string[], (string | null)[], Record<string, string>]
  const described = active.map(async (jobId): Promise<ActiveJob> => {
    const [lockLeftMs, processedBy] = await Promise.all([
      redis.pttl(`${base}${jobId}:lock`),
      redis.hget(`${base}${jobId}`, PROCESSED_BY),
    ])
    return { jobId, lockLeftMs: Number(lockLeftMs) >= 0 ? Number(lockLeftMs) : null, processedBy }
  })
  return {
    lineName,
    // A line is served from the right end of its list.
    waiting: waiting.reverse(),
    active: await Promise.all(described),
    completed,
    failed,
    globalConcurrency: meta[0] == null ? null : Number(meta[0]),
    paused: meta[1] != null,
    undecided: new Map(
      Object.entries(undecided).map(([eventId, count]) => [Number(eventId), Number(count)]),
    ),
  }
}

/** True where something stands in the line. */
export function hasWork(line: LineContents): boolean {
  return line.waiting.length + line.active.length > 0
}

/** The job that is next, or being worked on. */
export function headOf(line: LineContents): string | undefined {
  return line.active[0]?.jobId ?? line.waiting[0]
}

/** Undecided commands that stand in the line, by the ids of their jobs. */
export function commandsIn(line: LineContents): number {
  const ids = [...line.waiting, ...line.active.map((job) => job.jobId)]
  return ids.reduce((sum, jobId) => sum + (commandCountOf(jobId) || 0), 0)
}

/** How long the first job has been standing there, ms; 0 for an empty line. */
export function waitedMs(line: LineContents, nowMs: number): number {
  const head = headOf(line)
  return head === undefined ? 0 : Math.max(0, nowMs - jobCreatedAtMs(head))
}
