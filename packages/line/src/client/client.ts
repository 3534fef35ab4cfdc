import { randomUUID } from 'node:crypto'
import { createCommandStore, type Pool } from '@ticket-line/db'
import {
  createFailFastRedis,
  createReaderRedis,
  createTurns,
  every,
  type JobReply,
  type LineLayout,
  type Log,
  newJobId,
  reconnectTogether,
  sleep,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import {
  connectionName,
  isLineName,
  linesKey,
  recentLinesKey,
  replyKey,
  shardPrefix,
  shardPrefixes,
} from '../keys.js'
import { createLineQueues, type LineQueues } from '../queues.js'
import { noteActivity } from '../registry.js'
import { followStreams } from '../streams.js'
import { watchAvailability } from './availability.js'
import { createEntrance } from './entrance.js'
import { createFinder } from './finder.js'
import { createJobStore } from './job-store.js'
import { createKeepInLine } from './keep-in-line.js'
import type { Availability, LineClient } from './line-client.js'
import { createFindStored } from './outcome-watch.js'
import { watchRedisRoom } from './redis-room.js'
import { createSubmitter } from './submitter.js'

export interface LineClientDeps {
  redisUrl: string
  pool: Pool
  layout: LineLayout
  /** Most undecided commands of one event. */
  maxQueueDepth: number
  /** Longest time that commands of a busy line are held back to travel together, ms. */
  holdMs: number
  /** After this long a Redis command counts as unanswered, ms. */
  redisTimeoutMs: number
  /** Pause between two probes of each server, and the longest that one may take, ms. */
  probeMs: number
  probeTimeoutMs: number
  log: Log
}

/** The API's side of the line with everything that keeps it running. */
export interface LineService extends LineClient {
  availability: Availability
  queues: LineQueues
  /** The fail-fast connection of the line, for those who read of it. */
  redis: Redis
  /**
   * Names of up to `limit` lines that were used last, the latest first: the busiest ones are among
   * them.
   */
  recentLines(limit: number): Promise<string[]>
  counts(): { waiting: number; held: number; jobs: number }
  /** Stops waiting: everything held is stored, and waiters are answered with 202 as soon as it is. */
  drain(): void
  close(): Promise<void>
}

/** How often overdue waiters are looked over. */
const TICK_MS = 250

export function createLineClient(deps: LineClientDeps): LineService {
  const { pool, layout, log } = deps
  const now = (): number => Date.now()
  const monotonicMs = (): number => performance.now()

  const redis = createFailFastRedis(deps.redisUrl, deps.redisTimeoutMs, {
    connectionName: connectionName('api', layout),
  })
  // BullMQ increases the bound for each listener that it adds, so 0 (no bound) would become a bound
  // of 3.
  redis.setMaxListeners(100)
  redis.on('error', (error) => log.warn({ err: error }, 'Redis connection error'))
  const queues = createLineQueues(redis, layout)
  const note = (lineName: string): void => {
    // A lost note is no lost command: the workers' sweeper finds the line.
    noteActivity(redis, layout, lineName).catch(() => undefined)
  }
  const commandStore = createCommandStore(pool)
  const findStored = createFindStored(commandStore)
  const keepInLine = createKeepInLine(redis, layout, note)
  const availability = watchAvailability({
    redis,
    keyPrefix: shardPrefix(0, layout),
    pool,
    probeMs: deps.probeMs,
    probeTimeoutMs: deps.probeTimeoutMs,
    onChange: (server, available) =>
      available
        ? log.info({ server, available }, 'a server is within reach')
        : log.warn({ server, available }, 'a server is out of reach'),
  })

  const room = watchRedisRoom({
    redis,
    onChange: (hasRoom) =>
      hasRoom
        ? log.info('Redis has room for commands again')
        : log.error(
            'Redis is nearly full: commands are refused until the workers have emptied their lines',
          ),
  })

  const replyTo = randomUUID()
  const submitter = createSubmitter({
    layout,
    replyTo,
    entrance: createEntrance({ redis, layout, maxQueueDepth: deps.maxQueueDepth, monotonicMs }),
    jobStore: createJobStore({ queues, note, store: commandStore, log, monotonicMs, sleep }),
    newJobId,
    isInRedis: keepInLine,
    findStored,
    holdMs: deps.holdMs,
    log,
    now,
    monotonicMs,
    setTimer(run, ms) {
      const timer = setTimeout(run, ms)
      return { cancel: () => clearTimeout(timer) }
    },
    // So that what is sent for several lines is one write to Redis.
    soon: createTurns(),
  })
  const find = createFinder({ redis, queues, layout, findStored, keepInLine, monotonicMs, sleep })

  const reader = createReaderRedis(deps.redisUrl).on('error', () => undefined)
  reconnectTogether(redis, reader)
  const stopReading = followStreams({
    redis: reader,
    streams: shardPrefixes(layout).map((prefix) => ({
      key: replyKey(prefix, replyTo),
      lastId: '0-0',
    })),
    blockMs: 2000,
    count: 100,
    onEntry: ([, json]) => submitter.replied(JSON.parse(json as string) as JobReply),
    onError: (error) => log.warn({ err: error }, 'replies could not be read'),
  })
  const ticker = every(TICK_MS, () => submitter.tick(), {
    onError: (err) => log.error({ err }, 'overdue commands could not be looked over'),
  })

  return {
    availability,
    queues,
    redis,
    find,
    async submit(request, options) {
      if (!availability.redis() || !availability.postgres()) return { kind: 'unavailable' }
      if (!room.hasRoom()) return { kind: 'busy' }
      return submitter.submit(request, options)
    },
    recentLines: async (limit) => {
      const keys = shardPrefixes(layout).flatMap((prefix) => [
        linesKey(prefix),
        recentLinesKey(prefix),
      ])
      const lists = await Promise.all(
        keys.map((key) => redis.zrevrange(key, 0, limit - 1, 'WITHSCORES')),
      )
      const usedAt = new Map<string, number>()
      for (const list of lists) {
        for (let i = 0; i + 1 < list.length; i += 2) {
          const [name = '', at = 0] = [list[i], Number(list[i + 1])]
          // A line from before the layout was changed is not served.
          if (isLineName(name, layout)) usedAt.set(name, Math.max(at, usedAt.get(name) ?? 0))
        }
      }
      const latestFirst = [...usedAt].sort(([, a], [, b]) => b - a)
      return latestFirst.slice(0, limit).map(([name]) => name)
    },
    counts: submitter.counts,
    drain: submitter.drain,
    async close() {
      void ticker.stop()
      availability.stop()
      room.stop()
      stopReading()
      redis.disconnect()
    },
  }
}
