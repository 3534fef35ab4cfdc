/**
 * The depth of a line: how many undecided commands each of its events has. The API counts commands
 * in before it adds their job, workers count them out with the reply, and `MAX_QUEUE_DEPTH` limits
 * the depth of an event. Only this file, `replies.ts` and the scripts use `depth` in Redis.
 *
 * A process that dies between two steps leaves a depth that is too high. Three things correct it. A
 * reply deletes the depth of a line without queued jobs. `admit-commands.lua` deletes the depth of
 * an event that is at its limit although its line is empty. `ops reconcile` deletes the depth of a
 * line without jobs.
 */
import { type LineLayout, writeTogether } from '@ticket-line/shared'
import type { ChainableCommander } from 'ioredis'
import { depthKey, lineBase, linePrefix } from './keys.js'
import { type LineRedis, onEachShard } from './line-redis.js'
import { defineAdmitCommands, defineForgetDepth, type EventCounts } from './scripts.js'

export type { EventCounts } from './scripts.js'

/** Maximum time from the counting of a job's commands until its add succeeds or fails, ms. */
const LEFT_BEHIND_AFTER_MS = 5000

/** The limit with which `admit-commands.lua` admits all commands. */
const UNLIMITED = -1

export interface DepthCounter {
  /**
   * Counts commands in.
   *
   * @param limit highest depth of an event; undefined counts all commands in
   * @param registers true to register the line as well
   * @param generation the generation of the shard that the caller knows; empty if any will do
   * @returns what was counted in, and how long it waits
   */
  admit(
    lineName: string,
    counts: EventCounts,
    limit: number | undefined,
    registers: boolean,
    generation: string,
  ): Promise<Admitted>
  /** Counts out commands whose job is not added, without waiting for the result. */
  takeBack(lineName: string, counts: EventCounts): void
  /** Deletes the depth of a line if it has no jobs. @returns whether there was one */
  forget(lineName: string): Promise<boolean>
}

export interface Admitted {
  /** False if the shard has another generation: Redis may have lost accepted jobs. */
  isReady: boolean
  /** How many commands of each event were counted in, and its depth afterwards. */
  events: { eventId: number; admitted: number; depth: number }[]
  /**
   * How long a job that is added now waits for its decision, ms, as far as the lengths of the line
   * and its pace say; undefined if the pace is unknown.
   */
  waitMs: number | undefined
}

export function createDepthCounter(redis: LineRedis, layout: LineLayout): DepthCounter {
  const admitCommands = onEachShard(redis, defineAdmitCommands)
  const forgetDepth = onEachShard(redis, defineForgetDepth)
  return {
    async admit(name, counts, limit, registers, generation) {
      const prefix = linePrefix(name, layout)
      // The caller adds the job in the same turn. The count and the add then go to the socket in
      // one write.
      if (limit === undefined) writeTogether(redis.of(prefix))
      const [ready, waitMs = -1, ...counted] = await admitCommands(prefix)(
        { name, base: lineBase(name, layout), prefix },
        {
          limit: limit ?? UNLIMITED,
          registers,
          leftBehindAfterMs: LEFT_BEHIND_AFTER_MS,
          generation,
        },
        counts,
      )
      let i = 0
      const events = [...counts.keys()].map((eventId) => ({
        eventId,
        admitted: counted[i++] ?? 0,
        depth: counted[i++] ?? 0,
      }))
      return { isReady: ready === 1, events, waitMs: waitMs < 0 ? undefined : waitMs }
    },
    takeBack(lineName, counts) {
      const key = depthKey(lineBase(lineName, layout))
      const ofShard = redis.of(linePrefix(lineName, layout))
      for (const [eventId, count] of counts)
        ofShard.hincrby(key, String(eventId), -count).catch(() => undefined)
    },
    forget: (lineName) => forgetDepth(linePrefix(lineName, layout))(lineBase(lineName, layout)),
  }
}

/** Counts the commands of each event. */
export function countEvents(commands: readonly { eventId: number }[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const { eventId } of commands) counts.set(eventId, (counts.get(eventId) ?? 0) + 1)
  return counts
}

/** Adds a read of a line's depth to a pipeline; `parseDepth` reads its reply. */
export function readDepth(pipeline: ChainableCommander, base: string): ChainableCommander {
  return pipeline.hgetall(depthKey(base))
}

/** @returns undecided commands by event id */
export function parseDepth(reply: Record<string, string>): Map<number, number> {
  return new Map(Object.entries(reply).map(([eventId, count]) => [Number(eventId), Number(count)]))
}
