import { chunksOf, jobCreatedAtMs, type LineLayout, sleep } from '@ticket-line/shared'
import { parseDepth, readDepth } from './depth.js'
import {
  activeJobsKey,
  isCompletedList,
  isLineName,
  isUnfinishedList,
  KEYS_PER_SCAN,
  lineBase,
  linePrefix,
  parseLineKey,
  queuedJobsKey,
  recentLinesKey,
  registeredLinesKey,
  repliesKey,
  shardKeysPattern,
  shardPrefixes,
} from './keys.js'
import { type LineRedis, onEachShard } from './line-redis.js'
import { REPLIES_TTL_MS } from './replies.js'
import { defineForgetEmptyLines, defineMeasureLines, defineRemoveFinishedJobs } from './scripts.js'
import { sendWakeUp } from './wake-ups.js'

/** How many jobs a line has. */
export interface LineLength {
  queuedJobs: number
  /** At most one, unless Redis has lost the setting of the global concurrency. */
  activeJobs: number
}

/** What an overview adds up about a line that has work. */
interface LineFigures {
  queuedJobs: number
  /** Undecided commands. */
  undecided: number
  /** When its oldest job was made, ms since 1970. */
  oldestJobAtMs: number
}

/** Figures about all lines of the installation. */
export interface LinesOverview {
  /** Lines that have queued or active jobs. */
  linesWithWork: number
  queuedJobs: number
  /** Undecided commands in all lines. */
  undecidedCommands: number
  /** Undecided commands in the line that has the most. */
  deepestLine: number
  /**
   * When the oldest job that is not completed was made, ms since 1970; undefined if there is none.
   */
  oldestJobAtMs: number | undefined
}

/**
 * The set of lines that may have keys in Redis. The API registers a line before it adds a job, at
 * most twice a second. The sorted set is ordered by the time of the last registration, by the clock
 * of Redis. Workers forget a line that has been empty for a while, and remove its keys, finished
 * jobs included.
 */
export interface LineRegistry {
  /** Counts the jobs of these lines. @returns their lengths, in the order of `lineNames` */
  measure(lineNames: string[]): Promise<LineLength[]>
  /** Selects the lines that have queued or active jobs. */
  withWork(lineNames: string[]): Promise<string[]>
  /** Finds the registered lines that have queued or active jobs. */
  allWithWork(): Promise<string[]>
  /** Finds the registered lines whose first job was made before `beforeMs`, ms since 1970. */
  linesWithJobsBefore(beforeMs: number): Promise<string[]>
  /** Returns the names of the `limit` lines that were used most recently, the latest first. */
  recentLines(limit: number): Promise<string[]>
  /** Sums up all registered lines in a few round trips, however many they are. */
  overview(): Promise<LinesOverview>
  /** Registers a line and tells all workers that it has work. */
  announce(lineName: string): Promise<void>
  /**
   * Forgets lines that are empty and were last registered more than `unusedMs` ago.
   *
   * @returns how many lines were forgotten, and how many jobs removed
   */
  forgetEmpty(unusedMs: number): Promise<{ lines: number; jobs: number }>
  /**
   * Removes the finished jobs of all registered lines, busy ones too.
   *
   * @returns how many jobs were removed
   */
  removeFinished(): Promise<number>
  /**
   * Scans all keys, and registers lines that have jobs but are not registered, because of a fault
   * or an older release. It also limits the remaining lifetime of reply streams to
   * `REPLIES_TTL_MS`. The lifetime is longer than that if the clock of Redis was set back.
   *
   * @returns how many lines were registered
   */
  registerByKeys(): Promise<number>
}

/** How many lines one script handles. It blocks Redis for a few milliseconds at most. */
const LINES_PER_SCRIPT = 100
/** How many lines one pipeline reads. */
const LINES_PER_PIPELINE = 500
/** Pause between two SCANs, ms. */
const SCAN_PAUSE_MS = 5
/** How many forgotten lines a shard keeps as recent ones. */
const RECENT_LINES = 200
/** How long a shard keeps its recent lines after the last one was added, ms. */
const RECENT_LINES_MS = 7 * 24 * 3_600_000

export function createLineRegistry(redis: LineRedis, layout: LineLayout): LineRegistry {
  const forgetEmptyLines = onEachShard(redis, defineForgetEmptyLines)
  const removeFinishedJobs = onEachShard(redis, defineRemoveFinishedJobs)
  const measureLines = onEachShard(redis, defineMeasureLines)
  const baseOf = (lineName: string): string => lineBase(lineName, layout)
  const prefixOf = (lineName: string): string => linePrefix(lineName, layout)
  const redisOf = (lineName: string) => redis.of(prefixOf(lineName))

  /** Calls `run` with all registered lines, a chunk of one shard at a time. */
  async function forRegistered(
    run: (lineNames: string[], prefix: string) => Promise<unknown>,
  ): Promise<void> {
    for (const prefix of shardPrefixes(layout)) {
      const lineNames = await redis.of(prefix).zrange(registeredLinesKey(prefix), '0', '-1')
      for (const chunk of chunksOf(lineNames, LINES_PER_SCRIPT)) await run(chunk, prefix)
    }
  }

  async function measure(lineNames: string[]): Promise<LineLength[]> {
    const lengths = new Map<string, LineLength>()
    // A script may use keys of one shard only.
    for (const [prefix, ofShard] of Map.groupBy(lineNames, prefixOf)) {
      for (const chunk of chunksOf(ofShard, LINES_PER_SCRIPT)) {
        const reply = await measureLines(prefix)(prefix, chunk.map(baseOf))
        chunk.forEach((lineName, i) => {
          const [queuedJobs = 0, activeJobs = 0] = reply.slice(2 * i, 2 * i + 2)
          lengths.set(lineName, { queuedJobs, activeJobs })
        })
      }
    }
    return lineNames.map((lineName) => lengths.get(lineName) as LineLength)
  }

  async function withWork(lineNames: string[]): Promise<string[]> {
    const lengths = await measure(lineNames)
    return lineNames.filter((_, i) => hasJobs(lengths[i]))
  }

  async function allWithWork(): Promise<string[]> {
    const found: string[] = []
    await forRegistered(async (lineNames) => found.push(...(await withWork(lineNames))))
    return found
  }

  /** Reads lines that had work a moment ago. Lines that are empty by now are left out. */
  async function read(lineNames: string[], prefix: string): Promise<LineFigures[]> {
    const pipeline = redis.of(prefix).pipeline()
    for (const base of lineNames.map(baseOf)) {
      pipeline.llen(queuedJobsKey(base))
      pipeline.lindex(queuedJobsKey(base), -1)
      pipeline.lindex(activeJobsKey(base), -1)
      readDepth(pipeline, base)
    }
    const replies = ((await pipeline.exec()) ?? []).map(([, value]) => value)
    return lineNames.flatMap((_, i) => {
      const [queuedJobs, firstQueued, active, depth] = replies.slice(4 * i, 4 * i + 4) as [
        number,
        string | null,
        string | null,
        Record<string, string> | null,
      ]
      const oldest = active ?? firstQueued
      if (oldest === null) return []
      const undecided = sum(parseDepth(depth ?? {}).values())
      return [{ queuedJobs, undecided, oldestJobAtMs: jobCreatedAtMs(oldest) }]
    })
  }

  async function shortenReplies(prefix: string, keys: string[]): Promise<void> {
    const ofShard = redis.of(prefix)
    await Promise.all(
      keys.map(async (key) => {
        if ((await ofShard.pttl(key)) > REPLIES_TTL_MS) await ofShard.pexpire(key, REPLIES_TTL_MS)
      }),
    )
  }

  return {
    measure,
    withWork,
    allWithWork,
    async linesWithJobsBefore(beforeMs) {
      const old: string[] = []
      for (const lineName of await allWithWork()) {
        const base = baseOf(lineName)
        const first = [
          ...(await redisOf(lineName).lrange(activeJobsKey(base), 0, -1)),
          await redisOf(lineName).lindex(queuedJobsKey(base), -1),
        ]
        const jobIds = first.filter((jobId) => typeof jobId === 'string')
        // Jobs with a priority or a delay are not in the order of their age, so a line that has
        // only such jobs counts as old.
        if (jobIds.length === 0 || jobIds.some((jobId) => jobCreatedAtMs(jobId) < beforeMs))
          old.push(lineName)
      }
      return old
    },
    async recentLines(limit) {
      const lists = await Promise.all(
        shardPrefixes(layout).flatMap((prefix) =>
          [registeredLinesKey(prefix), recentLinesKey(prefix)].map((key) =>
            redis.of(prefix).zrevrange(key, 0, limit - 1, 'WITHSCORES'),
          ),
        ),
      )
      const usedAt = new Map<string, number>()
      for (const list of lists) {
        for (let i = 0; i + 1 < list.length; i += 2) {
          const [name = '', at = 0] = [list[i], Number(list[i + 1])]
          // Leaves out the lines of an earlier layout, which no worker serves.
          if (isLineName(name, layout)) usedAt.set(name, Math.max(at, usedAt.get(name) ?? 0))
        }
      }
      const latestFirst = [...usedAt].sort(([, a], [, b]) => b - a)
      return latestFirst.slice(0, limit).map(([name]) => name)
    },
    async overview() {
      const overview: LinesOverview = {
        linesWithWork: 0,
        queuedJobs: 0,
        undecidedCommands: 0,
        deepestLine: 0,
        oldestJobAtMs: undefined,
      }
      function add(line: LineFigures): void {
        overview.linesWithWork += 1
        overview.queuedJobs += line.queuedJobs
        overview.undecidedCommands += line.undecided
        overview.deepestLine = Math.max(overview.deepestLine, line.undecided)
        if (line.oldestJobAtMs < (overview.oldestJobAtMs ?? Number.POSITIVE_INFINITY))
          overview.oldestJobAtMs = line.oldestJobAtMs
      }
      for (const [prefix, ofShard] of Map.groupBy(await allWithWork(), prefixOf)) {
        for (const chunk of chunksOf(ofShard, LINES_PER_PIPELINE))
          for (const line of await read(chunk, prefix)) add(line)
      }
      return overview
    },
    async announce(lineName) {
      // All registrations of lines use the clock of Redis.
      const [seconds] = await redisOf(lineName).time()
      const key = registeredLinesKey(prefixOf(lineName))
      await Promise.all([
        redisOf(lineName).zadd(key, Number(seconds) * 1000, lineName),
        sendWakeUp(redis, layout, lineName),
      ])
    },
    async forgetEmpty(unusedMs) {
      const forgotten = { lines: 0, jobs: 0 }
      for (const prefix of shardPrefixes(layout)) {
        for (let isLast = false; !isLast; ) {
          const step = await forgetEmptyLines(prefix)(prefix, {
            unusedMs,
            mostLines: LINES_PER_SCRIPT,
            recentKept: RECENT_LINES,
            recentKeptMs: RECENT_LINES_MS,
          })
          forgotten.lines += step.lines
          forgotten.jobs += step.jobs
          isLast = step.checked < LINES_PER_SCRIPT
        }
      }
      return forgotten
    },
    async removeFinished() {
      let jobs = 0
      await forRegistered(async (lineNames, prefix) => {
        jobs += await removeFinishedJobs(prefix)(prefix, lineNames.map(baseOf))
      })
      return jobs
    },
    async registerByKeys() {
      let registered = 0
      for (const prefix of shardPrefixes(layout)) {
        const match = shardKeysPattern(prefix)
        const ofShard = redis.of(prefix)
        let cursor = '0'
        do {
          const [next, keys] = await ofShard.scan(cursor, 'MATCH', match, 'COUNT', KEYS_PER_SCAN)
          const lineNames = new Set(keys.flatMap((key) => lineWithJobs(key, prefix) ?? []))
          // NX: a line that is already registered keeps its time.
          const members = [...lineNames].flatMap((lineName) => [0, lineName])
          if (members.length > 0)
            registered += Number(await ofShard.zadd(registeredLinesKey(prefix), 'NX', ...members))
          const replies = keys.filter((key) => key.startsWith(repliesKey(prefix, '')))
          await shortenReplies(prefix, replies)
          cursor = next
          if (cursor !== '0') await sleep(SCAN_PAUSE_MS)
        } while (cursor !== '0')
      }
      return registered
    },
  }
}

/** True if a line has queued or active jobs. */
export function hasJobs(length: LineLength | undefined): boolean {
  return length !== undefined && length.queuedJobs + length.activeJobs > 0
}

/** The line whose jobs this key lists; undefined for every other key. */
function lineWithJobs(key: string, prefix: string): string | undefined {
  const parsed = parseLineKey(key, prefix)
  if (parsed === undefined) return undefined
  return isUnfinishedList(parsed.rest) || isCompletedList(parsed.rest) ? parsed.lineName : undefined
}

function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}
