import { createHash } from 'node:crypto'
import { type LineLayout, parseRedisInfo, writeTogether } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { countEvents, createDepthCounter } from '../depth.js'
import { lineBase, linePrefix, readyKey, recoveringKey, shardPrefixes } from '../keys.js'
import { isConnected, type LineRedis, onEachShard } from '../line-redis.js'
import { createLineQueues, type JobToStore } from '../queues.js'
import { defineEndRecovery, definePutFirst, defineRelistJob } from '../scripts.js'
import { sendWakeUp } from '../wake-ups.js'

/** What a recovery reads and writes in Redis. Each method throws the error of the connection. */
export interface RecoveryRedis {
  isConnected(): boolean
  onDisconnected(listener: () => void): void
  /** Reads the identity of Redis, and the generation of its data. */
  readPresentGeneration(): Promise<PresentGeneration>
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

/** Written instead of an id or an identity that Redis hides. */
export const HIDDEN = 'hidden'

/** What a Redis says about itself and its data. */
export interface PresentGeneration {
  /** The ids of the servers and of the histories of their data; undefined if one hides them. */
  identity: string | undefined
  /** The generation of all shards; undefined if one of them has none, or another one. */
  generation: string | undefined
}

/** What became of jobs that Redis should have. */
export interface FoundJobs {
  /** Jobs that Redis does not have. */
  missing: JobToStore[]
  /** Jobs that no list contained until now. */
  relisted: JobToStore[]
}

export function createRecoveryRedis(redis: LineRedis, layout: LineLayout): RecoveryRedis {
  const prefixes = shardPrefixes(layout)
  const queues = createLineQueues(redis, layout)
  const depth = createDepthCounter(redis, layout)
  const relistJob = onEachShard(redis, defineRelistJob)
  const putFirst = onEachShard(redis, definePutFirst)
  const endRecovery = onEachShard(redis, defineEndRecovery)
  const prefixOf = (lineName: string): string => linePrefix(lineName, layout)
  const wake = (lineName: string): Promise<unknown> => sendWakeUp(redis, layout, lineName)

  return {
    isConnected: () => isConnected(redis),
    onDisconnected(listener) {
      for (const connection of redis.connections) connection.redis.on('close', listener)
    },

    async readPresentGeneration() {
      // The identity is read last. If a connection breaks in between, the commands are sent again,
      // to a server that may have lost its last writes. The identity must not be older than that.
      const reading = prefixes.map((prefix) => redis.of(prefix).get(readyKey(prefix)))
      const [identity, ...generations] = await Promise.all([readIdentity(redis), ...reading])
      const [generation] = generations
      const isSame = generations.every((other) => other === generation)
      return { identity, generation: isSame ? (generation ?? undefined) : undefined }
    },

    async begin(token) {
      await Promise.all(
        prefixes.map((prefix) => redis.of(prefix).set(recoveringKey(prefix), token)),
      )
    },

    async find(jobs) {
      writeTogetherToAll(redis)
      const states = await Promise.all(
        jobs.map(({ lineName, jobId }) =>
          relistJob(prefixOf(lineName))(lineBase(lineName, layout), jobId),
        ),
      )
      return {
        missing: jobs.filter((_, index) => states[index] === 'missing'),
        relisted: jobs.filter((_, index) => states[index] === 'relisted'),
      }
    },

    async add(jobs) {
      writeTogetherToAll(redis)
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
      await Promise.all(
        [...jobIds].flatMap(([lineName, ids]) => [
          putFirst(prefixOf(lineName))(lineBase(lineName, layout), ids),
          wake(lineName),
        ]),
      )
    },

    async end(token, generation) {
      const ended = await Promise.all(
        prefixes.map((prefix) => endRecovery(prefix)(prefix, token, generation)),
      )
      return ended.every(Boolean)
    },
  }
}

function writeTogetherToAll({ connections }: LineRedis): void {
  for (const { redis } of connections) writeTogether(redis)
}

/**
 * Reads the identities of the servers that have the shards. Those of several servers are hashed
 * into one short text, because a script compares it each time commands are counted into a line. The
 * text changes as soon as one shard is on another server.
 *
 * @returns undefined if a server hides its identity
 */
async function readIdentity({ connections }: LineRedis): Promise<string | undefined> {
  const identities = await Promise.all(connections.map(({ redis }) => readIdentityOf(redis)))
  if (identities.length === 1) return identities[0]
  if (identities.includes(undefined)) return undefined
  return createHash('sha256').update(identities.join(' ')).digest('hex')
}

/**
 * Reads the run id, which the server gets at each start, and the replication id, which it gets when
 * it starts, when it becomes a replica, and when it is promoted. If it hides one of them from all
 * users, the other one counts.
 *
 * The replication id also changes if the server drops its replication backlog after an hour without
 * replicas, and when a replica connects after that. A recovery then finds nothing to add.
 */
async function readIdentityOf(redis: Redis): Promise<string | undefined> {
  try {
    // Before Redis 7, INFO accepts one section at a time.
    const texts = await Promise.all([redis.info('server'), redis.info('replication')])
    const info = parseRedisInfo(texts.join('\n'))
    const ids = [info.get('run_id'), info.get('master_replid')]
    return ids.some(Boolean) ? ids.map((id) => id || HIDDEN).join('.') : undefined
  } catch (error) {
    if (/NOPERM |unknown command/.test(String(error))) return undefined
    throw error
  }
}

/** The number of commands of each event, by line. */
function countByLine(jobs: readonly JobToStore[]): [string, Map<number, number>][] {
  const byLine = Map.groupBy(jobs, ({ lineName }) => lineName)
  return [...byLine].map(([lineName, ofLine]) => [
    lineName,
    countEvents(ofLine.flatMap(({ payload }) => payload.commands)),
  ])
}
