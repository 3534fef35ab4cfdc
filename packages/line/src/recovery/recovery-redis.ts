import { chunksOf, type LineLayout, writeTogether } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { countEvents, createDepthCounter } from '../depth.js'
import { lineBase, readyKey, recoveringKey, shardPrefixes } from '../keys.js'
import { createLineQueues, type JobToStore } from '../queues.js'
import { defineEndRecovery, definePutFirst, defineRelistJob } from '../scripts.js'
import { sendWakeUp } from '../wake-ups.js'

/** What a recovery reads and writes in Redis. Each method throws the error of the connection. */
export interface RecoveryRedis {
  isConnected(): boolean
  onDisconnected(listener: () => void): void
  /**
   * Reads the id that the server got when it started, and the generation of the shards; undefined
   * if one of them has none, or another one.
   */
  readGeneration(): Promise<{ runId: string; generation: string | undefined }>
  /** Writes the token of a recovery into each shard. */
  begin(token: string): Promise<void>
  /** Looks for jobs, and lists those again that no list contains, at the end of their lines. */
  find(jobs: readonly JobToStore[]): Promise<FoundJobs>
  /** Adds jobs that Redis does not have at the end of their lines, and counts them in. */
  add(jobs: readonly JobToStore[]): Promise<void>
  /** Tells the workers that these lines have work. */
  wake(lineNames: Iterable<string>): Promise<void>
  /** Puts the jobs of each line before its other undecided jobs, and wakes the workers. */
  putFirst(jobIds: ReadonlyMap<string, readonly string[]>): Promise<void>
  /**
   * Gives each shard its generation.
   *
   * @returns false if the token of a shard is gone, because Redis has lost its data since `begin`
   */
  end(token: string, generation: string): Promise<boolean>
}

/** What became of jobs that Redis should have. */
export interface FoundJobs {
  /** Jobs that Redis does not have. */
  missing: JobToStore[]
  /** Jobs that no list contained until now. */
  relisted: JobToStore[]
}

/** Maximum number of lines whose order is changed at a time. */
const LINES_AT_ONCE = 50

export function createRecoveryRedis(redis: Redis, layout: LineLayout): RecoveryRedis {
  const prefixes = shardPrefixes(layout)
  const queues = createLineQueues(redis, layout)
  const depth = createDepthCounter(redis, layout)
  const relistJob = defineRelistJob(redis)
  const putFirst = definePutFirst(redis)
  const endRecovery = defineEndRecovery(redis)
  const wake = (lineName: string): Promise<unknown> => sendWakeUp(redis, layout, lineName)

  return {
    isConnected: () => redis.status === 'ready',
    onDisconnected: (listener) => void redis.on('close', listener),

    async readGeneration() {
      // The run id is read last. If the connection breaks in between, commands are sent again to a
      // server that may have lost its last writes. Its run id must not come from the time before.
      const reading = prefixes.map((prefix) => redis.get(readyKey(prefix)))
      const [runId, ...generations] = await Promise.all([readRunId(redis), ...reading])
      const [generation] = generations
      const isSame = generations.every((other) => other === generation)
      return { runId, generation: isSame ? (generation ?? undefined) : undefined }
    },

    async begin(token) {
      await Promise.all(prefixes.map((prefix) => redis.set(recoveringKey(prefix), token)))
    },

    async find(jobs) {
      writeTogether(redis)
      const states = await Promise.all(
        jobs.map(({ lineName, jobId }) => relistJob(lineBase(lineName, layout), jobId)),
      )
      return {
        missing: jobs.filter((_, index) => states[index] === 'missing'),
        relisted: jobs.filter((_, index) => states[index] === 'relisted'),
      }
    },

    async add(jobs) {
      writeTogether(redis)
      await Promise.all([
        ...countByLine(jobs).map(([lineName, counts]) =>
          depth.admit(lineName, counts, undefined, true, ''),
        ),
        ...jobs.map(({ lineName, jobId, payload }) =>
          queues.queueOf(lineName).add('commands', payload, { jobId, attempts: 1 }),
        ),
      ])
    },

    async wake(lineNames) {
      await Promise.all([...lineNames].map(wake))
    },

    async putFirst(jobIds) {
      for (const lines of chunksOf([...jobIds], LINES_AT_ONCE)) {
        await Promise.all(
          lines.flatMap(([lineName, ids]) => [
            putFirst(lineBase(lineName, layout), ids),
            wake(lineName),
          ]),
        )
      }
    },

    async end(token, generation) {
      const ended = await Promise.all(
        prefixes.map((prefix) => endRecovery(prefix, token, generation)),
      )
      return ended.every(Boolean)
    },
  }
}

/**
 * Reads the id that the server got when it started. If the user may not read it, a restart that
 * loses only the last writes is noticed job by job (`accepted-jobs.ts`).
 */
async function readRunId(redis: Redis): Promise<string> {
  try {
    const [, runId = HIDDEN] = /^run_id:(\w+)/m.exec(await redis.info('server')) ?? []
    return runId
  } catch (error) {
    if (/NOPERM /.test(String(error))) return HIDDEN
    throw error
  }
}

/** The run id of a Redis that hides it. */
export const HIDDEN = 'hidden'

/** The number of commands of each event, by line. */
function countByLine(jobs: readonly JobToStore[]): [string, Map<number, number>][] {
  const byLine = Map.groupBy(jobs, ({ lineName }) => lineName)
  return [...byLine].map(([lineName, ofLine]) => [
    lineName,
    countEvents(ofLine.flatMap(({ payload }) => payload.commands)),
  ])
}
