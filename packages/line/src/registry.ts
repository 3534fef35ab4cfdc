import {
  defineScript,
  jobCreatedAtMs,
  type LineLayout,
  REDIS_NOW,
  sleep,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import {
  activityKey,
  depthKey,
  linePrefix,
  linesKey,
  REPLIES_TTL_MS,
  recentLinesKey,
  replyKey,
  shardPrefixes,
} from './keys.js'

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
 * Which lines there are, and which of them have work. The API registers a line before it adds a
 * job, in a sorted set, by the time of the last registration on Redis's clock. A line that has been
 * empty for a while is tidied and forgotten: all its finished jobs are removed with it.
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
  /** Tidies and forgets lines that are empty and were last registered more than `quietMs` ago. */
  forgetEmpty(quietMs: number): Promise<{ lines: number; jobs: number }>
  /**
   * Removes the finished jobs of all registered lines, busy ones included.
   *
   * @returns their number
   */
  removeFinished(): Promise<number>
  /**
   * Walks through all keys. Registers lines that have jobs but are not registered, because of a
   * fault or an older release. Also shortens the lives of reply streams to `REPLIES_TTL_MS`: if
   * Redis's clock was set back, they would stay that much longer.
   * @returns how many lines it registered
   */
  walkKeys(): Promise<number>
}

/** Lines looked at in one script: it holds up Redis for a few milliseconds at most. */
const LINES_PER_STEP = 100
/** Keys looked at in one step of a walk, and the pause between two steps, ms. */
const KEYS_PER_STEP = 1000
const WALK_PAUSE_MS = 5

/** How many forgotten lines a shard remembers, and for how long after it last forgot one, ms. */
const RECENT_LINES = 200
const RECENT_LINES_MS = 7 * 24 * 3_600_000

/**
 * Lists of a line in which BullMQ keeps jobs that are not finished. A list that is empty does not
 * exist.
 */
const UNFINISHED = ['wait', 'active', 'prioritized', 'delayed', 'paused', 'waiting-children']

// `base` is the prefix of all keys of a line. Failed jobs stay, because `ops reconcile` shows them.
const TIDY = `local function is_empty(base)
  return redis.call('EXISTS', ${UNFINISHED.map((list) => `base .. '${list}'`).join(', ')}) == 0
end
local function remove_finished(base)
  local jobs = redis.call('ZRANGE', base .. 'completed', 0, -1)
  for _, id in ipairs(jobs) do redis.call('UNLINK', base .. id, base .. id .. ':logs', base .. id .. ':lock') end
  redis.call('UNLINK', base .. 'completed', base .. 'events')
  return #jobs
end
local function remove_rest(base)
  redis.call('UNLINK', base .. 'id', base .. 'marker', base .. 'stalled', base .. 'stalled-check', base .. 'pc',
    base .. 'depth')
  if redis.call('HEXISTS', base .. 'meta', 'paused') == 0 then redis.call('UNLINK', base .. 'meta') end
end`

// One script, so that no job can be added between the look and the removal. A worker asserts the
// settings in 'meta' before each first fetch, so removing them is safe. The dashboard still shows
// the lines that were used last.
//   KEYS[1] registered lines; KEYS[2] recently forgotten lines
//   ARGV[1] how long a line must be quiet, ms; ARGV[2] prefix; ARGV[3] most lines to look at
//   Returns the numbers of lines forgotten, lines looked at, and jobs removed.
const FORGET_EMPTY = `${REDIS_NOW}
${TIDY}
local registered, recent, prefix, count = KEYS[1], KEYS[2], ARGV[2], ARGV[3]
local now, forgotten, jobs = now_ms(), 0, 0
-- These were registered before Redis's clock was set back, and would stay that much longer.
for _, line in ipairs(redis.call('ZRANGEBYSCORE', registered, now + 60000, '+inf', 'LIMIT', 0, count)) do
  redis.call('ZADD', registered, now, line)
end
local lines = redis.call('ZRANGEBYSCORE', registered, '-inf', now - ARGV[1], 'LIMIT', 0, count)
for _, line in ipairs(lines) do
  local base = prefix .. ':' .. line .. ':'
  if is_empty(base) then
    jobs = jobs + remove_finished(base)
    remove_rest(base)
    local used_at = redis.call('ZSCORE', registered, line)
    -- A line that was found by its keys has no time.
    if tonumber(used_at) > 0 then redis.call('ZADD', recent, used_at, line) end
    redis.call('ZREM', registered, line)
    forgotten = forgotten + 1
  else
    redis.call('ZADD', registered, now, line)
  end
end
if forgotten > 0 then
  redis.call('ZREMRANGEBYRANK', recent, 0, -1 - ${RECENT_LINES})
  redis.call('PEXPIRE', recent, ${RECENT_LINES_MS})
end
return { forgotten, #lines, jobs }`

//   ARGV the prefix of each line's keys
const REMOVE_FINISHED = `${TIDY}
local jobs = 0
for _, base in ipairs(ARGV) do jobs = jobs + remove_finished(base) end
return jobs`

//   ARGV the prefix of each line's keys; returns two numbers for each line: waiting and active jobs
const INSPECT = `local lengths = {}
for _, base in ipairs(ARGV) do
  local waiting, active = redis.call('LLEN', base .. 'wait'), redis.call('LLEN', base .. 'active')
  -- An operator may have given a job a priority, or a delay.
  if waiting + active == 0 then
    waiting = redis.call('ZCARD', base .. 'prioritized') + redis.call('ZCARD', base .. 'delayed')
      + redis.call('LLEN', base .. 'paused')
  end
  lengths[#lengths + 1] = waiting
  lengths[#lengths + 1] = active
end
return lengths`

/** Notes kept for workers that read slowly; what they miss their sweeper finds. */
const NOTES_KEPT = 20_000

/** Tells all workers that a line has work. */
export function noteActivity(redis: Redis, layout: LineLayout, lineName: string): Promise<unknown> {
  const key = activityKey(linePrefix(lineName, layout))
  return redis.xadd(key, 'MAXLEN', '~', NOTES_KEPT, '*', 'line', lineName)
}

export function createLineRegistry(redis: Redis, layout: LineLayout): LineRegistry {
  const forgetEmpty = defineScript(redis, 'ticketsForgetEmptyLines', 2, FORGET_EMPTY)
  const removeFinished = defineScript(redis, 'ticketsRemoveFinished', 0, REMOVE_FINISHED)
  const inspectLines = defineScript(redis, 'ticketsInspectLines', 0, INSPECT)
  const baseOf = (lineName: string): string => `${linePrefix(lineName, layout)}:${lineName}:`

  /** Runs something for all registered lines, a step at a time. */
  async function forRegistered(run: (lineNames: string[]) => Promise<unknown>): Promise<void> {
    for (const prefix of shardPrefixes(layout)) {
      const lineNames = await redis.zrange(linesKey(prefix), '0', '-1')
      for (let i = 0; i < lineNames.length; i += LINES_PER_STEP)
        await run(lineNames.slice(i, i + LINES_PER_STEP))
    }
  }

  async function inspect(lineNames: string[]): Promise<LineState[]> {
    const states: LineState[] = []
    for (let i = 0; i < lineNames.length; i += LINES_PER_STEP) {
      const some = lineNames.slice(i, i + LINES_PER_STEP)
      const lengths = (await inspectLines(...some.map(baseOf))) as number[]
      states.push(
        ...some.map((_, j) => ({ waiting: lengths[2 * j] ?? 0, active: lengths[2 * j + 1] ?? 0 })),
      )
    }
    return states
  }

  async function withWork(lineNames: string[]): Promise<string[]> {
    const states = await inspect(lineNames)
    return lineNames.filter((_, i) => (states[i]?.waiting ?? 0) + (states[i]?.active ?? 0) > 0)
  }

  async function allWithWork(): Promise<string[]> {
    const found: string[] = []
    await forRegistered(async (lineNames) => found.push(...(await withWork(lineNames))))
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

  async function shortenReplies(keys: string[]): Promise<void> {
    await Promise.all(
      keys.map(async (key) => {
        if ((await redis.pttl(key)) > REPLIES_TTL_MS) await redis.pexpire(key, REPLIES_TTL_MS)
      }),
    )
  }

  return {
    inspect,
    withWork,
    allWithWork,
    async linesWithJobsBefore(beforeMs) {
      const old: string[] = []
      for (const lineName of await allWithWork()) {
        const base = `${linePrefix(lineName, layout)}:${lineName}:`
        const first = [
          ...(await redis.lrange(`${base}active`, 0, -1)),
          await redis.lindex(`${base}wait`, -1),
        ]
        const jobIds = first.filter((jobId) => typeof jobId === 'string')
        // Jobs with a priority or a delay are in no order of age: such a line counts as old.
        if (jobIds.length === 0 || jobIds.some((jobId) => jobCreatedAtMs(jobId) < beforeMs))
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
    async forgetEmpty(quietMs) {
      const forgotten = { lines: 0, jobs: 0 }
      for (const prefix of shardPrefixes(layout)) {
        for (let looked = LINES_PER_STEP; looked === LINES_PER_STEP; ) {
          const step = await forgetEmpty(
            linesKey(prefix),
            recentLinesKey(prefix),
            quietMs,
            prefix,
            LINES_PER_STEP,
          )
          const [lines, lookedAt, jobs] = step as [number, number, number]
          forgotten.lines += lines
          forgotten.jobs += jobs
          looked = lookedAt
        }
      }
      return forgotten
    },
    async removeFinished() {
      let jobs = 0
      await forRegistered(async (lineNames) => {
        jobs += (await removeFinished(...lineNames.map(baseOf))) as number
      })
      return jobs
    },
    async walkKeys() {
      let registered = 0
      for (const prefix of shardPrefixes(layout)) {
        for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
          const match = `${escapeGlob(prefix)}:*`
          const [next, keys] = await redis.scan(cursor, 'MATCH', match, 'COUNT', KEYS_PER_STEP)
          const lineNames = new Set(
            keys.flatMap((key) => lineWithJobs(key.slice(prefix.length + 1)) ?? []),
          )
          // NX: a line that is already registered keeps its time.
          const members = [...lineNames].flatMap((lineName) => [0, lineName])
          if (members.length > 0)
            registered += Number(await redis.zadd(linesKey(prefix), 'NX', ...members))
          await shortenReplies(keys.filter((key) => key.startsWith(replyKey(prefix, ''))))
          cursor = next
          if (cursor !== '0') await sleep(WALK_PAUSE_MS)
        }
      }
      return registered
    },
  }
}

const lineKey = new RegExp(`^((?:event|line)-\\d+):(?:${[...UNFINISHED, 'completed'].join('|')})$`)

/** The line whose jobs this key lists; undefined for every other key. */
function lineWithJobs(key: string): string | undefined {
  return lineKey.exec(key)?.[1]
}

/** Text in which no character has a meaning for `MATCH`. */
export function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&')
}
