import { commandCountOf, depthKey, jobCreatedAtMs, type LineLayout, linePrefix } from '@ticket-line/shared'
import type { Redis } from 'ioredis'

/** One line as of one moment. */
export interface LineState {
  lineName: string
  /** Ids of waiting jobs, the next one first. */
  waiting: string[]
  /** Jobs that count as active, with the time left on their lock; null where nobody holds one. */
  active: { jobId: string; lockLeftMs: number | null }[]
  completed: string[]
  failed: string[]
  /** What `setGlobalConcurrency` left; 1 is right. */
  globalConcurrency: number | null
  paused: boolean
  /** Counted undecided commands by event: what `MAX_QUEUE_DEPTH` bounds. */
  undecided: Map<number, number>
}

/** Reads a line whole, in one transaction: its jobs are each in exactly one of the lists. */
export async function readLine(redis: Redis, lineName: string, layout: LineLayout): Promise<LineState> {
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
  const [waiting, active, completed, failed, meta, undecided] = (replies ?? []).map(([error, value]) => {
    if (error) throw error
    return value
  }) as [string[], string[], string[], string[], (string | null)[], Record<string, string>]
  const locks = await Promise.all(active.map((jobId) => redis.pttl(`${base}${jobId}:lock`)))
  return {
    lineName,
    // A line is served from the right end of its list.
    waiting: waiting.reverse(),
    active: active.map((jobId, i) => ({
      jobId,
      lockLeftMs: Number(locks[i]) >= 0 ? Number(locks[i]) : null,
    })),
    completed,
    failed,
    globalConcurrency: meta[0] == null ? null : Number(meta[0]),
    paused: meta[1] != null,
    undecided: new Map(Object.entries(undecided).map(([eventId, count]) => [Number(eventId), Number(count)])),
  }
}

/** True where something stands in the line. */
export function hasWork(line: LineState): boolean {
  return line.waiting.length + line.active.length > 0
}

/** The job that is next, or being worked on. */
export function headOf(line: LineState): string | undefined {
  return line.active[0]?.jobId ?? line.waiting[0]
}

/** Undecided commands that stand in the line, by the ids of their jobs. */
export function commandsIn(line: LineState): number {
  const ids = [...line.waiting, ...line.active.map((job) => job.jobId)]
  return ids.reduce((sum, jobId) => sum + (commandCountOf(jobId) || 0), 0)
}

/** How long the first job has been standing there, ms; 0 for an empty line. */
export function waitedMs(line: LineState, nowMs: number): number {
  const head = headOf(line)
  return head === undefined ? 0 : Math.max(0, nowMs - jobCreatedAtMs(head))
}
