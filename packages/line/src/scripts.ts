/**
 * The Lua scripts of `packages/line/scripts`, each with a function that names its keys and
 * arguments. The legend at the head of a script says what it does.
 *
 * `define…` registers a script on a connection, and returns the function that runs it there. That
 * function rejects as any command on the connection does.
 */
import { defineScript, readScript } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import {
  activeJobsKey,
  completedJobsKey,
  delayedJobsKey,
  depthKey,
  failedJobsKey,
  jobKey,
  paceKey,
  pausedJobsKey,
  prioritizedJobsKey,
  queuedJobsKey,
  readyKey,
  recentLinesKey,
  recoveringKey,
  registeredLinesKey,
  settleMarkKey,
  stalledCheckKey,
  stalledJobsKey,
  waitingChildrenJobsKey,
} from './keys.js'
import { type PACE_TIMES, type Pace, parsePace } from './pace.js'

/** Number of commands by event id. */
export type EventCounts = ReadonlyMap<number, number>

/**
 * @returns 1 if the shard has the generation, otherwise 0; how long a job at the end of the line
 * waits, ms, or -1; then commands admitted and depth afterwards, two numbers for each event of
 * `counts`
 */
export function defineAdmitCommands(redis: Redis) {
  const run = define<number[]>(redis, 'admit-commands')
  return (
    line: { name: string; base: string; prefix: string },
    options: { limit: number; registers: boolean; leftBehindAfterMs: number; generation: string },
    counts: EventCounts,
  ): Promise<number[]> =>
    run(
      depthKey(line.base),
      registeredLinesKey(line.prefix),
      queuedJobsKey(line.base),
      activeJobsKey(line.base),
      paceKey(line.base),
      readyKey(line.prefix),
      options.limit,
      options.registers ? 1 : 0,
      line.name,
      options.leftBehindAfterMs,
      options.generation,
      ...flat(counts),
    )
}

/** A reply as JSON, and the stream that it is added to. */
export interface ReplyToSend {
  repliesKey: string
  json: string
}

/**
 * @param reply undefined for a job that leaves its line without one
 * @param announcement empty if the job has changed nothing
 */
export function defineSendReply(redis: Redis) {
  const run = define<null>(redis, 'send-reply')
  return (
    reply: ReplyToSend | undefined,
    base: string,
    options: { repliesKept: number; ttlMs: number; pace: typeof PACE_TIMES },
    announced: { channel: string; announcement: string },
    counts: EventCounts,
  ): Promise<null> =>
    run(
      // A script has a fixed number of keys. Without a reply it does not use the first one.
      reply?.repliesKey ?? depthKey(base),
      queuedJobsKey(base),
      depthKey(base),
      paceKey(base),
      reply?.json ?? '',
      options.repliesKept,
      options.ttlMs,
      options.pace.longMs,
      options.pace.shortMs,
      options.pace.longestMs,
      announced.channel,
      announced.announcement,
      ...flat(counts),
    )
}

/** @returns whether there was a depth to delete */
export function defineForgetDepth(redis: Redis) {
  const run = define<number>(redis, 'forget-depth')
  return async (base: string): Promise<boolean> =>
    (await run(queuedJobsKey(base), activeJobsKey(base), depthKey(base))) > 0
}

/** Where a job is in its line. */
export type JobLocation =
  | { kind: 'active' }
  /**
   * `ids` are those of the active jobs, then those of the queued jobs ahead. If these are more than
   * `mostIds`, `ids` has an even sample of them. A prioritized job counts as queued, without ids.
   */
  | { kind: 'queued'; jobsAhead: number; ids: string[]; pace: Pace | undefined }
  /** It is neither active, queued nor prioritized. */
  | { kind: 'unlisted'; queuedJobs: number; pace: Pace | undefined }

export function defineLocateJob(redis: Redis) {
  type Reply = [
    kind: number,
    jobs: number,
    pace: [idleMs: number, ...sums: string[]] | [],
    ...ids: string[],
  ]
  const run = define<Reply>(redis, 'locate-job')
  return async (base: string, jobId: string, mostIds: number): Promise<JobLocation> => {
    const [kind, jobs, [idleMs = 0, ...sums] = [], ...ids] = await run(
      queuedJobsKey(base),
      activeJobsKey(base),
      prioritizedJobsKey(base),
      paceKey(base),
      jobId,
      mostIds,
    )
    if (kind === 0) return { kind: 'active' }
    const pace = parsePace(idleMs, sums)
    return kind === 1
      ? { kind: 'queued', jobsAhead: jobs, ids, pace }
      : { kind: 'unlisted', queuedJobs: jobs, pace }
  }
}

export function defineRelistJob(redis: Redis) {
  const run = define<0 | 1 | 2>(redis, 'relist-job')
  const results = ['missing', 'listed', 'relisted'] as const
  return async (base: string, jobId: string): Promise<(typeof results)[number]> =>
    results[
      await run(
        queuedJobsKey(base),
        activeJobsKey(base),
        pausedJobsKey(base),
        prioritizedJobsKey(base),
        delayedJobsKey(base),
        waitingChildrenJobsKey(base),
        completedJobsKey(base),
        failedJobsKey(base),
        jobKey(base, jobId),
        jobId,
      )
    ]
}

/** Puts the recorded jobs of a line before its other undecided jobs, in the given order. */
export function definePutFirst(redis: Redis) {
  const run = define<null>(redis, 'put-first')
  return (base: string, jobIds: readonly string[]): Promise<null> =>
    run(queuedJobsKey(base), activeJobsKey(base), stalledJobsKey(base), base, ...jobIds)
}

/** @returns whether the token was still there, so that the shard has its generation now */
export function defineEndRecovery(redis: Redis) {
  const run = define<0 | 1>(redis, 'end-recovery')
  return async (prefix: string, token: string, generation: string): Promise<boolean> =>
    (await run(recoveringKey(prefix), readyKey(prefix), token, generation)) === 1
}

/** The settle of an event, on its way into the line. */
export interface SettleToMark {
  eventId: number
  lineName: string
  base: string
  jobId: string
}

/** Times of `mark-settles.lua`, ms. */
export interface SettleTimes {
  markMs: number
  addingMs: number
  searchedMs: number
  rejectedMs: number
}

/**
 * The lines of all settles must be of the shard with the given prefix.
 *
 * @returns for each settle, whether its event was marked and its job must be added
 */
export function defineMarkSettles(redis: Redis) {
  const run = define<(0 | 1)[]>(redis, 'mark-settles')
  return async (
    prefix: string,
    settles: readonly SettleToMark[],
    times: SettleTimes,
  ): Promise<boolean[]> => {
    const { markMs, addingMs, searchedMs, rejectedMs } = times
    const each = settles.flatMap(({ base, lineName, eventId, jobId }) => [
      base,
      lineName,
      eventId,
      jobId,
    ])
    const reply = await run(
      registeredLinesKey(prefix),
      ...[markMs, addingMs, searchedMs, rejectedMs],
      ...each,
    )
    return reply.map((marked) => marked === 1)
  }
}

/** @param rejectedMs how long further settles are kept away; 0 if the settle was not rejected */
export function defineEndSettle(redis: Redis) {
  const run = define<null>(redis, 'end-settle')
  return (
    { base, eventId, jobId }: Omit<SettleToMark, 'lineName'>,
    rejectedMs: number,
  ): Promise<null> => run(settleMarkKey(base, eventId), jobId, rejectedMs)
}

/**
 * The lines must be of the shard with the given prefix.
 *
 * @returns queued and active jobs, two numbers for each line
 */
export function defineMeasureLines(redis: Redis) {
  const run = define<number[]>(redis, 'measure-lines')
  return (prefix: string, bases: string[]): Promise<number[]> =>
    run(registeredLinesKey(prefix), ...bases)
}

/**
 * The lines must be of the shard with the given prefix.
 *
 * @returns how many jobs were removed
 */
export function defineRemoveFinishedJobs(redis: Redis) {
  const run = define<number>(redis, 'remove-finished-jobs')
  return (prefix: string, bases: string[]): Promise<number> =>
    run(registeredLinesKey(prefix), ...bases)
}

export function defineForgetEmptyLines(redis: Redis) {
  const run = define<[lines: number, checked: number, jobs: number]>(redis, 'forget-empty-lines')
  return async (
    prefix: string,
    options: { unusedMs: number; mostLines: number; recentKept: number; recentKeptMs: number },
  ): Promise<{ lines: number; checked: number; jobs: number }> => {
    const [lines, checked, jobs] = await run(
      registeredLinesKey(prefix),
      recentLinesKey(prefix),
      options.unusedMs,
      prefix,
      options.mostLines,
      options.recentKept,
      options.recentKeptMs,
    )
    return { lines, checked, jobs }
  }
}

/** Shortens the locks of a line. */
export type ShortenLocks = (base: string) => Promise<unknown>

/** @param times maximum lifetimes of a lock and of `stalled-check`, the same for all workers */
export function defineShortenLocks(
  redis: Redis,
  times: { lockDurationMs: number; stalledIntervalMs: number },
): ShortenLocks {
  const run = define<null>(redis, 'shorten-locks')
  return (base) =>
    run(
      activeJobsKey(base),
      stalledCheckKey(base),
      base,
      times.lockDurationMs,
      times.stalledIntervalMs,
    )
}

export function defineRenewMark(redis: Redis) {
  const run = define<(string | null)[]>(redis, 'renew-mark')
  return (
    keys: { owner: string; processes: string },
    self: { installationId: string; processId: string; service: string; databaseId: string },
    aliveMs: number,
  ): Promise<(string | null)[]> =>
    run(
      keys.owner,
      keys.processes,
      self.installationId,
      self.processId,
      self.service,
      self.databaseId,
      aliveMs,
    )
}

export function defineTakeOwnership(redis: Redis) {
  const run = define<null>(redis, 'take-ownership')
  return async (installationKey: string, installationId: string, redisId: string): Promise<void> =>
    void (await run(installationKey, installationId, redisId))
}

/** The pairs of a map, one after the other. */
function flat(counts: EventCounts): number[] {
  const values: number[] = []
  for (const [eventId, count] of counts) values.push(eventId, count)
  return values
}

/** The folder of the scripts is beside both `src` and `dist`. */
const FOLDER = new URL('../scripts/', import.meta.url)

function define<Reply>(
  redis: Redis,
  name: string,
): (...args: (string | number)[]) => Promise<Reply> {
  const script = readScript(new URL(`${name}.lua`, FOLDER))
  return defineScript(redis, `ticketLine:${name}`, script) as (
    ...args: (string | number)[]
  ) => Promise<Reply>
}
