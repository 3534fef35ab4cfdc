import { randomUUID } from 'node:crypto'
import { createAcceptedJobStore, createCommandStore, type Pool } from '@ticket-line/db'
import {
  createFailFastRedis,
  createTurns,
  every,
  type LineLayout,
  type Log,
  newJobId,
  type RedisSettings,
  systemClock,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { createDepthCounter } from '../depth.js'
import { lineBase, linePrefix, readyKey, shardPrefixes } from '../keys.js'
import {
  type LineRedis,
  nameOfConnection,
  onEachShard,
  openLineRedis,
  openReaders,
} from '../line-redis.js'
import { createLineQueues, type LineQueues } from '../queues.js'
import type { Readiness } from '../recovery/readiness.js'
import { createLineRegistry } from '../registry.js'
import { followReplies } from '../replies.js'
import { defineLocateJob, defineRelistJob } from '../scripts.js'
import { sendWakeUp } from '../wake-ups.js'
import { createAdmission } from './admission.js'
import { watchAvailability } from './availability.js'
import { watchCapacity } from './capacity.js'
import { createFindCommand, createFindStored } from './find-command.js'
import { createRecorder } from './recorder.js'
import { createJobStore } from './store-job.js'
import { createSubmitter, type PendingCounts } from './submit.js'
import type { Availability, LineClient } from './types.js'

export interface LineClientOptions {
  redis: RedisSettings
  pool: Pool
  layout: LineLayout
  readiness: Readiness
  /** Maximum number of undecided commands of one event. */
  maxQueueDepth: number
  /** Maximum time that a command of a busy line is held for the next job, ms. */
  holdMs: number
  /** After this long without a reply, a Redis command fails, ms. */
  redisTimeoutMs: number
  /** Time between two probes of a server, ms. */
  probeMs: number
  /** Maximum time that a probe waits for a reply, ms. */
  probeTimeoutMs: number
  log: Log
}

/** The API's end of the line, with what the process needs to observe it and shut it down. */
export interface LineService extends LineClient {
  availability: Availability
  queues: LineQueues
  /** The fail-fast connections of the lines. */
  lineRedis: LineRedis
  /** `lineRedis.first`, which leads to the keys of the installation. */
  redis: Redis
  /** Returns the names of the `limit` lines that were used most recently, the latest first. */
  recentLines(limit: number): Promise<string[]>
  counts(): PendingCounts
  /** Stores everything that is held, and answers each client as soon as its job cannot be lost. */
  drain(): void
  close(): Promise<void>
}

/** How often the rescue looks for overdue replies, ms. */
const RESCUE_EVERY_MS = 250

export function createLineClient(options: LineClientOptions): LineService {
  const { pool, layout, log } = options

  const redis = openLineRedis(options.redis, layout, (target) => {
    const opened = createFailFastRedis(target, options.redisTimeoutMs, {
      connectionName: nameOfConnection('api', layout, target),
    })
    // BullMQ adds to this limit when it adds listeners, so 0 (no limit) would become 3.
    opened.setMaxListeners(100)
    return opened.on('error', (err) => log.warn({ err }, 'Redis connection error'))
  })

  const queues = createLineQueues(redis, layout)
  const relistJob = onEachShard(redis, defineRelistJob)
  const locateJob = onEachShard(redis, defineLocateJob)
  const store = createCommandStore(pool)
  const acceptedJobs = createAcceptedJobStore(pool)
  const findStored = createFindStored(store)
  const jobStore = createJobStore({
    queues,
    wakeUp: (lineName) => void sendWakeUp(redis, layout, lineName).catch(() => undefined),
    relistJob: (lineName, jobId) =>
      relistJob(linePrefix(lineName, layout))(lineBase(lineName, layout), jobId),
    store,
    log,
    clock: systemClock,
  })
  const availability = watchAvailability({
    redis,
    pool,
    probeMs: options.probeMs,
    probeTimeoutMs: options.probeTimeoutMs,
    onChange: (server, available) =>
      available
        ? log.info({ server, available }, 'a server is available')
        : log.warn({ server, available }, 'a server is unavailable'),
  })
  const capacity = watchCapacity({
    servers: redis.connections.map((connection) => connection.redis),
    onChange: (hasCapacity) =>
      hasCapacity
        ? log.info('Redis has capacity again: commands are accepted')
        : log.error('Redis is nearly full: commands are refused until workers have emptied lines'),
  })

  const prefixes = shardPrefixes(layout)
  async function confirmGeneration(): Promise<string | undefined> {
    const found = await Promise.all(
      prefixes.map((prefix) => redis.of(prefix).get(readyKey(prefix))),
    )
    // After a failover, the new Redis may have the key of the old one. But the connection broke
    // then, so this process is unsure and knows no generation.
    const known = options.readiness.generation()
    return found.every((generation) => generation === known) ? known : undefined
  }

  const replyTo = randomUUID()
  const submitter = createSubmitter({
    layout,
    replyTo,
    admission: createAdmission({
      depth: createDepthCounter(redis, layout),
      maxDepth: options.maxQueueDepth,
      readiness: options.readiness,
      clock: systemClock,
    }),
    jobStore,
    findStored,
    recordAccepted: createRecorder({ store: acceptedJobs, confirmGeneration, log }),
    readiness: options.readiness,
    holdMs: options.holdMs,
    log,
    newJobId,
    clock: systemClock,
    setTimer(run, ms) {
      const timer = setTimeout(run, ms)
      return { cancel: () => clearTimeout(timer) }
    },
    // Jobs of several lines that are sent in one turn of the event loop then go to Redis in one
    // write.
    soon: createTurns(),
  })
  const rescueLoop = every(RESCUE_EVERY_MS, submitter.rescue, {
    onError: (err) => log.warn({ err }, 'could not look for overdue replies'),
  })

  options.readiness.onChange((isReady) => {
    if (isReady) submitter.onRecovered()
  })

  const readers = openReaders(options.redis, layout, redis)
  const stopReading = followReplies(readers, replyTo, submitter.onReply, log)

  return {
    availability,
    queues,
    lineRedis: redis,
    redis: redis.first,
    find: createFindCommand({
      queues,
      locateJob: (lineName, jobId, mostIds) =>
        locateJob(linePrefix(lineName, layout))(lineBase(lineName, layout), jobId, mostIds),
      findStored,
      findAccepted: acceptedJobs.find,
      ensureListed: jobStore.ensureListed,
      clock: systemClock,
    }),
    async submit(request, submitOptions) {
      if (!availability.redis() || !availability.postgres()) return { kind: 'unavailable' }
      if (!options.readiness.isReady()) return { kind: 'unavailable' }
      if (!capacity.hasCapacity()) return { kind: 'busy', limit: 'redis_memory' }
      return submitter.submit(request, submitOptions)
    },
    recentLines: createLineRegistry(redis, layout).recentLines,
    counts: submitter.counts,
    drain: submitter.drain,
    async close() {
      void rescueLoop.stop()
      availability.stop()
      capacity.stop()
      stopReading()
      redis.disconnect()
    },
  }
}
