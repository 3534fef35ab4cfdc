import { createApply, jobResultOf } from '@ticket-line/booking-worker/booking'
import {
  createAcceptedJobStore,
  createDatabase,
  createInstallationStore,
  type Pool,
} from '@ticket-line/db'
import {
  createLineRegistry,
  createReadiness,
  depthKey,
  joinRecovery,
  type LineRedis,
  lineBase,
  lineNameOf,
  linePrefix,
  openLineRedis,
  type Readiness,
} from '@ticket-line/line'
import {
  createLineClient,
  type LineClientOptions,
  type LineService,
} from '@ticket-line/line/client'
import { type ServerOptions, startLineServer } from '@ticket-line/line/server'
import {
  createLog,
  createPatientRedis,
  type LineLayout,
  type RedisSettings,
  readEnv,
  readRedisSettings,
  systemClock,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createBase } from '../stack/system.ts'
import { createLineKit, type LineKit } from './line-kit.ts'

/** Both ends of a line, API and worker, in one process and without HTTP. */
export interface LineStack {
  kit: LineKit
  layout: LineLayout
  redisUrl: string
  databaseUrl: string
  /** A connection to the first shard, which is the only one by default. */
  redis: Redis
  /** Connections to all shards. */
  lineRedis: LineRedis
  /** Starts the line part of another API process. */
  api(overrides?: Partial<LineClientOptions>): Promise<LineService>
  /** Starts the line part of another worker process. */
  worker(overrides?: Partial<ServerOptions>): Promise<{ stop: () => Promise<void> }>
  /** The number of undecided commands that are counted for an event; null if none is. */
  depth(eventId: number): Promise<string | null>
  /** The Redis key `name` of the event's line. */
  key(eventId: number, name: string): string
  stop(): Promise<void>
}

const silent = createLog('test', 'silent')

/** The checks of a Redis that always belongs to the installation. */
export const OUR_REDIS = { isSure: () => true, checkNow: () => undefined }

/** A readiness that has found this generation. */
export function readyFor(generation: string): Readiness {
  const readiness = createReadiness()
  readiness.becomeReady(generation)
  return readiness
}

/**
 * Creates an installation of lines without processes.
 *
 * @param lines number of shared lines; 0 gives each event a line of its own
 * @param where the Redis and the number of shards. Default: the Redis of the run, and one shard
 */
export async function createLineStack(
  lines = 0,
  where: { settings?: RedisSettings; shards?: number } = {},
): Promise<LineStack> {
  const base = await createBase()
  const kit = await createLineKit(base)
  const { redisUrl, databaseUrl } = base
  const settings = where.settings ?? readRedisSettings(readEnv(base.redisEnv))
  const layout: LineLayout = {
    sharedLines: lines,
    shards: where.shards ?? 1,
    keyPrefix: base.keyPrefix,
  }
  await createInstallationStore(kit.database.pool).readOrCreate(layout)
  const open = (to: RedisSettings): LineRedis =>
    openLineRedis(to, layout, (target) => createPatientRedis(target).on('error', () => undefined))
  const lineRedis = open(settings)
  const redis = lineRedis.first
  const closers: (() => unknown)[] = [() => lineRedis.disconnect()]

  function pool(overrides: { url?: string } = {}): Pool {
    const database = createDatabase({
      url: databaseUrl,
      poolSize: 4,
      applicationName: 'api line',
      connectTimeoutMs: 800,
      statementTimeoutMs: 5000,
      idleInTransactionTimeoutMs: 3000,
      onIdleError: () => undefined,
      ...overrides,
    })
    closers.push(() => database.close())
    return database.pool
  }

  /** Watches whether the Redis of a connection has everything that was accepted. */
  async function watch(readiness: Readiness, connection: LineRedis): Promise<void> {
    const recovery = joinRecovery({
      redis: connection,
      pool: kit.database.pool,
      layout,
      readiness,
      installation: OUR_REDIS,
      onRescued: () => undefined,
      log: silent,
    })
    closers.push(() => recovery.stop())
    await until(readiness.isReady, { timeoutMs: 10_000 })
  }

  return {
    kit,
    layout,
    redisUrl,
    databaseUrl,
    redis,
    lineRedis,
    async api(overrides = {}) {
      const readiness = createReadiness()
      const service = createLineClient({
        redis: settings,
        pool: overrides.pool ?? pool(),
        layout,
        readiness,
        maxQueueDepth: 20_000,
        holdMs: 100,
        redisTimeoutMs: 400,
        probeMs: 250,
        probeTimeoutMs: 500,
        log: silent,
        ...overrides,
      })
      closers.push(() => service.close())
      await watch(readiness, service.lineRedis)
      await until(() => service.availability.redis() && service.availability.postgres(), {
        timeoutMs: 5000,
      })
      return service
    },
    async worker(overrides = {}) {
      const connection = open(overrides.redis ?? settings)
      const options: ServerOptions = {
        redis: settings,
        layout,
        times: { lockDurationMs: 1500, stalledIntervalMs: 500 },
        lineIdleMs: 60_000,
        maxOpenLines: 5000,
        sweepIntervalMs: 10_000,
        poolSize: 4,
        shutdownGraceMs: 5000,
        ...overrides,
      }
      const readiness = createReadiness()
      await watch(readiness, connection)
      const apply = createApply(kit.applyDeps)
      const serving = startLineServer({
        options,
        redis: connection,
        registry: createLineRegistry(connection, layout),
        readiness,
        acceptedJobs: createAcceptedJobStore(kit.database.pool),
        onRescued: () => undefined,
        onJob: (job) => jobResultOf(apply(job)),
        onStalled: () => undefined,
        log: silent,
        clock: systemClock,
      })
      let stopped: Promise<void> | undefined
      const stop = (): Promise<void> => {
        stopped ??= serving.stop().then(() => connection.disconnect())
        return stopped
      }
      closers.push(stop)
      return { stop }
    },
    depth(eventId) {
      const lineName = lineNameOf(eventId, layout)
      const ofLine = lineRedis.of(linePrefix(lineName, layout))
      return ofLine.hget(depthKey(lineBase(lineName, layout)), String(eventId))
    },
    key(eventId, name) {
      const lineName = lineNameOf(eventId, layout)
      return `${lineBase(lineName, layout)}${name}`
    },
    async stop() {
      for (const close of closers.reverse()) await close()
      await kit.stop()
    },
  }
}
