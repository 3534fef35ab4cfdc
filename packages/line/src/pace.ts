/**
 * The pace of a line: how fast its commands were decided lately. From it the API estimates how long
 * a queued command still waits.
 *
 * Workers measure the pace while the line is backed up, that is, while jobs are queued when a reply
 * is sent. `send-reply.lua` then adds the job, and the time since the last reply, to sums that
 * fade, in the round trip of the reply. All times are by the clock of Redis. The script deletes the
 * pace as soon as no job is queued, so time in which the line is idle is never measured. A line
 * whose pace is old has had queued jobs ever since, and no worker has decided any of them.
 *
 * All API processes read the same pace, so they estimate alike.
 */

/** Sums over the jobs that were decided lately. The older a job is, the less it counts. */
export interface PaceSums {
  jobs: number
  commands: number
  /** How long these jobs took, ms. */
  tookMs: number
}

export interface Pace {
  /** Sums that fade in `PACE_TIMES.longMs`. */
  long: PaceSums
  /** Sums that fade in `PACE_TIMES.shortMs`. */
  short: PaceSums
  /** Time since the last job of the line was decided, ms. */
  idleMs: number
}

/** How the pace is measured. */
export const PACE_TIMES = {
  /** After this long, a job counts 1 / e times in the long sums, ms. */
  longMs: 10_000,
  /** The same for the short sums, ms. */
  shortMs: 1000,
  /**
   * A longer time between two replies is not measured, ms. Nobody served the line then, or
   * PostgreSQL was away.
   */
  longestMs: 5000,
} as const

/** Before this much time is measured, the pace says too little, ms. */
const MEASURED_MS = 1000
/** If a line with jobs has decided none for this long, nobody knows how long they wait, ms. */
const STALLED_MS = 10_000
/** A job takes as long as this many commands, in addition to those that it has. */
const JOB_IN_COMMANDS = 12
/**
 * A line becomes faster in its first seconds, while the JIT compilers and the caches of a worker
 * warm up. It is expected to be this much faster in the end, as a fraction of the measured speed.
 */
const SPEED_UP = 0.5
/** After this much measured time, 1 / e of the speed-up is still to come, ms. */
const SPEED_UP_MS = 2000

/**
 * Estimates how long jobs that are decided one after the other take. The faster one of both sums
 * counts: the short ones notice at once that a line has become faster, and the long ones outlast a
 * pause, for example while another worker takes the line over.
 *
 * @returns milliseconds; undefined if the pace is unknown, or if no worker seems to serve the line
 */
export function estimateMs(
  pace: Pace | undefined,
  work: { jobs: number; commands: number },
): number | undefined {
  if (pace === undefined || pace.idleMs > STALLED_MS) return undefined
  const { long, short } = pace
  if (long.tookMs < MEASURED_MS) return undefined
  const measured = Math.max(effortOf(long) / long.tookMs, effortOf(short) / short.tookMs)
  const speedUp = 1 + SPEED_UP * Math.exp(-long.tookMs / SPEED_UP_MS)
  return effortOf(work) / (measured * speedUp)
}

function effortOf({ jobs, commands }: { jobs: number; commands: number }): number {
  return commands + jobs * JOB_IN_COMMANDS
}

/** @param sums the fields of the pace in Redis: time, jobs, commands of the long and short sums */
export function parsePace(
  idleMs: number,
  sums: readonly (string | null | undefined)[],
): Pace | undefined {
  const [long, short] = [sumsOf(sums.slice(0, 3)), sumsOf(sums.slice(3, 6))]
  return long === undefined || short === undefined ? undefined : { long, short, idleMs }
}

function sumsOf([tookMs, jobs, commands]: (string | null | undefined)[]): PaceSums | undefined {
  if (tookMs == null || jobs == null || commands == null) return undefined
  return { tookMs: Number(tookMs), jobs: Number(jobs), commands: Number(commands) }
}
