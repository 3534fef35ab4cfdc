import type { Redis } from 'ioredis'
import { jobCreatedAtMs } from './ids.js'
import { activityKey, depthKey, type LineLayout, linePrefix, linesKey, shardPrefixes } from './line.js'
import { defineScript } from './redis.js'

/** How many jobs of a line wait, and how many are being applied (one, unless Redis forgot the bound). */
export interface LineState {
  waiting: number
  active: number
}

/** All lines of the installation in a few numbers. */
export interface LinesOverview {
  /** Lines that have waiting or active jobs. */
  linesWithWork: number
  waitingJobs: number
  /** Undecided commands in all lines, and in the line that has most. */
  undecidedCommands: number
  deepestLine: number
  /** When the oldest job that is not completed was put together; undefined where there is none. */
  oldestJobAtMs: number | undefined
}

/**
 * Which lines there are, and which of them have work. A line is registered by the API with every note of activity
 * (a sorted set by time of the last note) and forgotten once it has been empty for a while.
 */
export interface LineRegistry {
  /** The lengths of these lines, in their order. */
  inspect(lineNames: string[]): Promise<LineState[]>
  /** Those of the lines that have waiting or active jobs. */
  withWork(lineNames: string[]): Promise<string[]>
  /** All registered lines that have waiting or active jobs. */
  allWithWork(): Promise<string[]>
  /** Registered lines whose first job was put together before `beforeMs`. */
  linesWithJobsBefore(beforeMs: number): Promise<string[]>
  /** Looks through all registered lines: a few round trips, whatever their number. */
  overview(): Promise<LinesOverview>
  /** Tells all workers that these lines have work. */
  note(lineNames: string[]): Promise<void>
  /** Forgets lines that are empty and were last noted before `beforeMs`. */
  forgetEmpty(beforeMs: number): Promise<number>
}

/** Lines looked at in one script: it holds up Redis for a fraction of a millisecond. */
const LINES_PER_STEP = 500

// One script, so that no job can come between the look and the removal.
const FORGET_EMPTY = `local forgotten = 0
local lines = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[4])
for _, line in ipairs(lines) do
  local base = ARGV[2] .. ':' .. line .. ':'
  if redis.call('LLEN', base .. 'wait') == 0 and redis.call('LLEN', base .. 'active') == 0 then
    redis.call('ZREM', KEYS[1], line)
    forgotten = forgotten + 1
  else
    redis.call('ZADD', KEYS[1], ARGV[3], line)
  end
end
return { forgotten, #lines }`

/** Notes kept for workers that read slowly; what they miss their sweeper finds. */
const NOTES_KEPT = 20_000

/** Tells all workers that a line has work. */
export function noteActivity(redis: Redis, layout: LineLayout, lineName: string): Promise<unknown> {
  const key = activityKey(linePrefix(lineName, layout))
  return redis.xadd(key, 'MAXLEN', '~', NOTES_KEPT, '*', 'line', lineName)
}

export function createLineRegistry(redis: Redis, layout: LineLayout, now: () => number): LineRegistry {
  const forgetEmpty = defineScript(redis, 'ticketsForgetEmptyLines', 1, FORGET_EMPTY)

  async function inspect(lineNames: string[]): Promise<LineState[]> {
    if (lineNames.length === 0) return []
    const pipeline = redis.pipeline()
    for (const lineName of lineNames) {
      const base = `${linePrefix(lineName, layout)}:${lineName}:`
      pipeline.llen(`${base}wait`)
      pipeline.llen(`${base}active`)
    }
    const replies = (await pipeline.exec()) ?? []
    return lineNames.map((_, i) => ({
      waiting: Number(replies[2 * i]?.[1] ?? 0),
      active: Number(replies[2 * i + 1]?.[1] ?? 0),
    }))
  }

  async function withWork(lineNames: string[]): Promise<string[]> {
    const states = await inspect(lineNames)
    return lineNames.filter((_, i) => (states[i]?.waiting ?? 0) + (states[i]?.active ?? 0) > 0)
  }

  async function allWithWork(): Promise<string[]> {
    const found: string[] = []
    for (const prefix of shardPrefixes(layout)) {
      const lineNames = await redis.zrange(linesKey(prefix), '0', '-1')
      for (let i = 0; i < lineNames.length; i += 500)
        found.push(...(await withWork(lineNames.slice(i, i + 500))))
    }
    return found
  }

  /** What stands in lines that had work a moment ago; those that are empty by now are left out. */
  async function describe(lineNames: string[]) {
    const pipeline = redis.pipeline()
    for (const lineName of lineNames) {
      const prefix = linePrefix(lineName, layout)
      pipeline.llen(`${prefix}:${lineName}:wait`)
      pipeline.lindex(`${prefix}:${lineName}:wait`, -1)
      pipeline.lindex(`${prefix}:${lineName}:active`, -1)
      pipeline.hvals(depthKey(prefix, lineName))
    }
    const replies = ((await pipeline.exec()) ?? []).map(([, value]) => value)
    return lineNames.flatMap((_, i) => {
      const [waiting, firstWaiting, active, depths] = replies.slice(4 * i, 4 * i + 4) as [
        number,
        string | null,
        string | null,
        string[] | null,
      ]
      const oldest = active ?? firstWaiting
      if (oldest === null) return []
      const undecided = (depths ?? []).reduce((sum, depth) => sum + Number(depth), 0)
      return [{ waiting, undecided, oldestJobAtMs: jobCreatedAtMs(oldest) }]
    })
  }

  return {
    inspect,
    withWork,
    allWithWork,
    async linesWithJobsBefore(beforeMs) {
      const old: string[] = []
      for (const lineName of await allWithWork()) {
        const base = `${linePrefix(lineName, layout)}:${lineName}:`
        const first = [...(await redis.lrange(`${base}active`, 0, -1)), await redis.lindex(`${base}wait`, -1)]
        if (first.some((jobId) => typeof jobId === 'string' && jobCreatedAtMs(jobId) < beforeMs))
          old.push(lineName)
      }
      return old
    },
    async overview() {
      const overview: LinesOverview = {
        linesWithWork: 0,
        waitingJobs: 0,
        undecidedCommands: 0,
        deepestLine: 0,
        oldestJobAtMs: undefined,
      }
      const lineNames = await allWithWork()
      for (let i = 0; i < lineNames.length; i += 500) {
        for (const line of await describe(lineNames.slice(i, i + 500))) {
          overview.linesWithWork += 1
          overview.waitingJobs += line.waiting
          overview.undecidedCommands += line.undecided
          overview.deepestLine = Math.max(overview.deepestLine, line.undecided)
          if (line.oldestJobAtMs < (overview.oldestJobAtMs ?? Number.POSITIVE_INFINITY))
            overview.oldestJobAtMs = line.oldestJobAtMs
        }
      }
      return overview
    },
    async note(lineNames) {
      await Promise.all(lineNames.map((lineName) => noteActivity(redis, layout, lineName)))
    },
    async forgetEmpty(beforeMs) {
      let forgotten = 0
      for (const prefix of shardPrefixes(layout)) {
        for (let looked = LINES_PER_STEP; looked === LINES_PER_STEP; ) {
          const step = await forgetEmpty(linesKey(prefix), beforeMs, prefix, now(), LINES_PER_STEP)
          const [forgottenNow, lookedAt] = step as [number, number]
          forgotten += forgottenNow
          looked = lookedAt
        }
      }
      return forgotten
    },
  }
}
