import { randomBytes } from 'node:crypto'
import {
  createLineQueues,
  defineShortenLocks,
  type LineQueues,
  type LineRedis,
  lineBase,
  linePrefix,
  onOneServer,
  type Readiness,
} from '@ticket-line/line'
import {
  createLine,
  createLockRenewer,
  type JobResult,
  type JobToDecide,
  type Line,
} from '@ticket-line/line/server'
import {
  type CommandRequest,
  createFailFastRedis,
  createLog,
  createPatientRedis,
  type JobPayload,
  type LineLayout,
  newJobId,
  oneRedis,
  systemClock,
} from '@ticket-line/shared'
import { createRedisBackend } from 'bullmq'
import type { Redis } from 'ioredis'
import { sharedServers } from '../stack/shared-servers.ts'
import { readyFor } from './line-stack.ts'

/** Lines on a real Redis, served by the worker's code. The test supplies the decisions. */
export interface BullKit {
  redisUrl: string
  /** A direct connection to Redis. */
  redis: Redis
  /** The same connection, as the lines use it. */
  lineRedis: LineRedis
  queues: LineQueues
  layout: LineLayout
  /** Adds `count` jobs of one command in order. @returns their ids */
  add(lineName: string, count?: number): Promise<string[]>
  /** Ids of the queued jobs, the next one first. */
  queuedJobs(lineName: string): Promise<string[]>
  active(lineName: string): Promise<string[]>
  /** The Redis key `name` of a line. */
  key(lineName: string, name: string): string
  /** Deletes all keys of this kit, as FLUSHALL would. */
  flush(): Promise<void>
  /** Starts the line part of another worker process. */
  process(options?: ProcessOptions): Promise<Process>
  stop(): Promise<void>
}

export interface ProcessOptions {
  lockMs?: number
  stalledIntervalMs?: number
  /** Decides a job. By default it does nothing. */
  apply?: (job: JobToDecide) => Promise<unknown>
  redisUrl?: string
  /** Reads the generation of the shard; `GENERATION` by default, which the process knows. */
  readShardGeneration?: () => Promise<string | null>
}

/** The generation that every process knows at its start. */
export const GENERATION = 'test'

export interface Process {
  readiness: Readiness
  line(lineName: string): Line
  /** Ids of the jobs passed to `apply`, in order. */
  applied: string[]
  /** Tells the process to start no more jobs. */
  stopping(): void
  /** Ends the process at once: it disconnects and renews no locks. */
  die(): void
}

const silent = createLog('test', 'silent')

export async function createBullKit(): Promise<BullKit> {
  const { redisUrl } = await sharedServers()
  const layout = { sharedLines: 0, shards: 1, keyPrefix: `facts-${randomBytes(4).toString('hex')}` }
  const redis = createFailFastRedis(oneRedis(redisUrl), 5000)
  await new Promise((resolve) => redis.once('ready', resolve))
  const lineRedis = onOneServer(redis, layout)
  const queues = createLineQueues(lineRedis, layout)
  const closers: (() => void)[] = []
  const key = (lineName: string, name: string): string => `${lineBase(lineName, layout)}${name}`

  async function flush(): Promise<void> {
    const keys = await redis.keys(`*${layout.keyPrefix}*`)
    if (keys.length > 0) await redis.unlink(...keys)
  }

  async function startProcess(options: ProcessOptions = {}): Promise<Process> {
    const { lockMs = 400, stalledIntervalMs = 100 } = options
    const connection = createPatientRedis(oneRedis(options.redisUrl ?? redisUrl))
    connection.on('error', () => undefined)
    const locks = createLockRenewer(lockMs, silent)
    const root = createRedisBackend('root', {
      connection,
      skipVersionCheck: true,
      lockDuration: lockMs,
      stalledInterval: stalledIntervalMs,
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      removeOnComplete: { count: 20, age: 3600 },
      removeOnFail: { count: 100, age: 3600 },
    } as Parameters<typeof createRedisBackend>[1])
    root.on('error', () => undefined)
    const applied: string[] = []
    let stopping = false
    const die = (): void => {
      locks.stop()
      connection.disconnect()
    }
    closers.push(die)
    const readiness = readyFor(GENERATION)
    const lineDeps = {
      redis: connection,
      root,
      processName: `process-${closers.length}`,
      locks,
      shortenLocks: defineShortenLocks(connection, { lockDurationMs: lockMs, stalledIntervalMs }),
      log: silent,
      async onJob(job: JobToDecide): Promise<JobResult> {
        applied.push(job.jobId)
        await options.apply?.(job)
        return { kind: 'decided', outcomes: [] }
      },
      sendReply: () => undefined,
      readiness,
      readShardGeneration: options.readShardGeneration ?? (async () => GENERATION),
      isStopping: () => stopping,
      clock: systemClock,
    }
    return {
      readiness,
      line: (lineName) =>
        createLine(lineDeps, {
          lineName,
          prefix: linePrefix(lineName, layout),
          base: lineBase(lineName, layout),
        }),
      applied,
      stopping: () => {
        stopping = true
      },
      die,
    }
  }

  return {
    redisUrl,
    redis,
    lineRedis,
    queues,
    layout,
    async add(lineName, count = 1) {
      const jobIds = Array.from({ length: count }, () => newJobId(lineName, 1, Date.now()))
      const adds = jobIds.map((jobId) =>
        queues.queueOf(lineName).add('commands', payload, { jobId, attempts: 1 }),
      )
      await Promise.all(adds)
      return jobIds
    },
    queuedJobs: async (lineName) => (await redis.lrange(key(lineName, 'wait'), 0, -1)).reverse(),
    active: (lineName) => redis.lrange(key(lineName, 'active'), 0, -1),
    key,
    flush,
    process: startProcess,
    async stop() {
      for (const close of closers) close()
      await flush()
      redis.disconnect()
    },
  }
}

const command: CommandRequest = { type: 'book', eventId: 1, userId: 'ann', caller: 'ann' }
/** The payload of every job. Its content does not matter here. */
export const payload: JobPayload = { v: 1, replyTo: 'test', acceptedAtMs: 1, commands: [command] }

/** A promise that resolves when the test opens the latch. */
export function createLatch(): { open: () => void; opened: Promise<void> } {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}
