/**
 * The names of lines, and every key that the lines of an installation have in Redis.
 *
 * A *shard* is one Redis Cluster hash tag. Each line belongs to one shard, so a script can use the
 * keys of a line together with those of its shard. The keys of a line are those of its BullMQ
 * queue, `depth`, `pace` and the marks of settles. A script that handles several lines gets the
 * base of each and appends the rest of a key itself. It must spell the rest as this file does.
 */
import type { LineLayout } from '@ticket-line/shared'

/**
 * Spreads numbers evenly over a few buckets, even if they all have a common factor (Fibonacci
 * hashing).
 */
function spread(value: number, buckets: number): number {
  const hashed = (BigInt(value) * 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn
  return Number((hashed >> 32n) % BigInt(buckets))
}

/** The line that the commands of an event enter. */
export function lineNameOf(eventId: number, layout: LineLayout): string {
  return layout.sharedLines === 0
    ? `event-${eventId}`
    : `line-${spread(eventId, layout.sharedLines)}`
}

/** The event of a line that is for one event alone; undefined for a shared line. */
export function eventIdOfLine(lineName: string): number | undefined {
  const [, digits] = /^event-(\d+)$/.exec(lineName) ?? []
  return digits === undefined ? undefined : Number(digits)
}

/** True if a line of that name can exist in this layout. */
export function isLineName(name: string, { sharedLines }: LineLayout): boolean {
  const [, kind, digits = ''] = /^(event|line)-(0|[1-9]\d{0,15})$/.exec(name) ?? []
  const number = Number(digits)
  if (kind === 'line') return number < sharedLines
  return kind === 'event' && sharedLines === 0 && number > 0 && Number.isSafeInteger(number)
}

/** What all keys of a shard begin with; its braces make the prefix a Redis Cluster hash tag. */
export function shardPrefix(shard: number, layout: Pick<LineLayout, 'keyPrefix'>): string {
  return `${layout.keyPrefix}{s${shard}}`
}

/** The prefixes of all shards, in order. */
export function shardPrefixes(layout: LineLayout): string[] {
  return Array.from({ length: layout.shards }, (_, shard) => shardPrefix(shard, layout))
}

/** The prefix of the shard of a line. It is also BullMQ's `prefix` of that queue. */
export function linePrefix(lineName: string, layout: LineLayout): string {
  if (layout.shards === 1) return shardPrefix(0, layout)
  const number = Number(lineName.slice(lineName.indexOf('-') + 1))
  return shardPrefix(spread(number + 1, layout.shards), layout)
}

/** What all keys of a line begin with. The functions below take it as `base`. */
export function lineBase(lineName: string, layout: LineLayout): string {
  return `${linePrefix(lineName, layout)}:${lineName}:`
}

// Keys of a shard. They take its prefix.

/** Stream: names of lines that have work, which all workers read. */
export const wakeUpsKey = (prefix: string): string => `${prefix}:activity`

/** Sorted set: the lines that may have keys, by the time of their last registration. */
export const registeredLinesKey = (prefix: string): string => `${prefix}:lines`

/** Sorted set: the lines that were forgotten lately, by the time of their last use. */
export const recentLinesKey = (prefix: string): string => `${prefix}:recent-lines`

/** Stream: replies to one API process, by the id that its jobs carry in `replyTo`. */
export const repliesKey = (prefix: string, replyTo: string): string =>
  `${prefix}:replies:${replyTo}`

/** String: the generation of the shard (`readiness.ts`). */
export const readyKey = (prefix: string): string => `${prefix}:ready`

/** String: the token of the recovery that is in progress. */
export const recoveringKey = (prefix: string): string => `${prefix}:recovering`

// Keys of the installation. They are in the first shard.

/** Hash: the installation that the keys belong to, and the random id of this Redis. */
export const installationKey = (prefix: string): string => `${prefix}:installation`

/** Hash: the processes that are alive, by id. */
export const processesKey = (prefix: string): string => `${prefix}:processes`

/** Channel: announcements that events have new changes. It is not a key, but is named like one. */
export const changesChannel = (prefix: string): string => `${prefix}:changes`

// Keys of a line.

/** Hash: how many undecided commands each event has in the line. */
export const depthKey = (base: string): string => `${base}depth`

/** Hash: how fast the line was decided lately, while it is backed up; see `pace.ts`. */
export const paceKey = (base: string): string => `${base}pace`

/** List: jobs that a worker may fetch, the next one at its right end. */
export const queuedJobsKey = (base: string): string => `${base}wait`

/** String: the job of the undecided settle of an event, or `rejected`; see `mark-settles.lua`. */
export const settleMarkKey = (base: string, eventId: number): string => `${base}settle:${eventId}`

/**
 * List: jobs that a worker has fetched and not completed. It has at most one, except after faults.
 */
export const activeJobsKey = (base: string): string => `${base}active`

/**
 * List: the queued jobs of a line that an older version of BullMQ has paused. The present version
 * leaves the jobs of a paused line in the list of queued jobs.
 */
export const pausedJobsKey = (base: string): string => `${base}paused`

/** Sorted set: jobs that an operator gave a priority. They come after all queued jobs. */
export const prioritizedJobsKey = (base: string): string => `${base}prioritized`

/** Sorted set: jobs that an operator gave a delay. */
export const delayedJobsKey = (base: string): string => `${base}delayed`

/** Sorted set: jobs that wait for other jobs. This product adds none. */
export const waitingChildrenJobsKey = (base: string): string => `${base}waiting-children`

/** Sorted set: completed jobs, by the time of their completion. */
export const completedJobsKey = (base: string): string => `${base}completed`

/** Sorted set: failed jobs, by the time of their failure. */
export const failedJobsKey = (base: string): string => `${base}failed`

/** Hash: BullMQ's settings of the queue, such as its global concurrency. */
export const settingsKey = (base: string): string => `${base}meta`

/** Set: active jobs that count as stalled at the next check if their locks have expired by then. */
export const stalledJobsKey = (base: string): string => `${base}stalled`

/** String: a mark that some process has just checked the line for stalled jobs. */
export const stalledCheckKey = (base: string): string => `${base}stalled-check`

/** Hash: the data of a job. */
export const jobKey = (base: string, jobId: string): string => `${base}${jobId}`

/** String: the token of the worker that has the job. It expires if the worker does not renew it. */
export const jobLockKey = (base: string, jobId: string): string => `${base}${jobId}:lock`

// Finding keys with SCAN.

/** Escapes the characters that have a special meaning in a `MATCH` pattern. */
function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&')
}

/** About how many keys one SCAN visits. */
export const KEYS_PER_SCAN = 1000

/** The `MATCH` pattern of all keys of a shard. */
export const shardKeysPattern = (prefix: string): string => `${escapeGlob(prefix)}:*`

/** The `MATCH` pattern of all keys under a prefix, whatever its number of shards. */
export const installationKeysPattern = (keyPrefix: string): string =>
  `${escapeGlob(keyPrefix)}{s*}:*`

/** The parts of a key of a line: `rest` is what follows the base. */
export interface LineKey {
  lineName: string
  rest: string
}

/** Splits a key into its parts; undefined if it is not a key of a line in this shard. */
export function parseLineKey(key: string, prefix: string): LineKey | undefined {
  return key.startsWith(`${prefix}:`)
    ? toLineKey(LINE_KEY.exec(key.slice(prefix.length + 1)))
    : undefined
}

/** Splits a key of any shard into its parts; undefined if it is not a key of a line. */
export function parseAnyLineKey(key: string): LineKey | undefined {
  return toLineKey(ANY_LINE_KEY.exec(key))
}

const LINE_KEY = /^((?:event|line)-\d+):(.+)$/
const ANY_LINE_KEY = /\{s\d+\}:((?:event|line)-\d+):(.+)$/

function toLineKey(match: RegExpExecArray | null): LineKey | undefined {
  const [, lineName, rest] = match ?? []
  return lineName === undefined || rest === undefined ? undefined : { lineName, rest }
}

/** True if `rest` names a list of jobs that are not completed or failed. */
export const isUnfinishedList = (rest: string): boolean => UNFINISHED_LISTS.has(rest)

const UNFINISHED_LISTS: ReadonlySet<string> = new Set(
  [
    queuedJobsKey,
    activeJobsKey,
    prioritizedJobsKey,
    delayedJobsKey,
    pausedJobsKey,
    waitingChildrenJobsKey,
  ].map((keyOf) => keyOf('')),
)

/** True if `rest` names the list of completed jobs. */
export const isCompletedList = (rest: string): boolean => rest === completedJobsKey('')

/**
 * Name of the main Redis connection of a process, as `CLIENT LIST` shows it. Each process has one,
 * so `ops` can count the processes of an installation. BullMQ names the connections of open lines
 * after their queues.
 */
export function connectionName(
  service: 'api' | 'worker' | 'notifier' | 'ops',
  layout: LineLayout,
): string {
  return `${layout.keyPrefix}:${service}`
}
