/**
 * The pace of a line: how fast its commands were decided lately. From it the API estimates how long
 * a queued command still waits.
 *
 * Workers measure the pace while the line is backed up, that is, while jobs are queued when a reply
 * is sent. `send-reply.lua` then adds the job and the time since the last reply to sums that fade,
 * in the round trip of the reply. All times are by the clock of Redis. The script deletes the pace
 * as soon as no job is queued, so time in which the line is idle is never measured. A line whose
 * pace is old has had queued jobs ever since, and no worker has decided any of them.
 *
 * All API processes read the same pace, so they estimate alike.
 */

/** Sums over the jobs that were decided lately. Older jobs count less. */
export interface Pace {
  jobs: number
  commands: number
  /** How long these jobs took, ms. */
  tookMs: number
  /** Time since the last job of the line was decided, ms. */
  idleMs: number
}

/** How the pace is measured. */
export const PACE_TIMES = {
  /** A job of this age counts 1 / e times as much as the latest one, ms. */
  windowMs: 10_000,
  /**
   * A longer time between two replies is not measured, ms. Nobody served the line then, or
   * PostgreSQL was away.
   */
  longestMs: 5000,
} as const

/** Before the jobs of this time are measured, the pace says too little, ms. */
const MEASURED_MS = 100
/** If no job of a line that has some is decided for this long, nobody knows how long it waits, ms. */
const STALLED_MS = 10_000
/** A job takes as long as this many commands, in addition to those that it has. */
const JOB_IN_COMMANDS = 12

/**
 * Estimates how long jobs that are decided one after the other take.
 *
 * @returns milliseconds; undefined if the pace is unknown, or if no worker seems to serve the line
 */
export function estimateMs(
  pace: Pace | undefined,
  work: { jobs: number; commands: number },
): number | undefined {
  if (pace === undefined || pace.tookMs < MEASURED_MS || pace.idleMs > STALLED_MS) return undefined
  return (pace.tookMs * effortOf(work)) / effortOf(pace)
}

function effortOf({ jobs, commands }: { jobs: number; commands: number }): number {
  return commands + jobs * JOB_IN_COMMANDS
}

/** The fields of the pace in Redis, as `HMGET` returns them. */
export function parsePace(
  idleMs: number,
  [tookMs, jobs, commands]: (string | null | undefined)[],
): Pace | undefined {
  if (tookMs == null || jobs == null || commands == null) return undefined
  return { tookMs: Number(tookMs), jobs: Number(jobs), commands: Number(commands), idleMs }
}
