import {
  assertWritable,
  checkDatabase,
  createDatabase,
  createInstallationStore,
  createLineStore,
  KEYED_PLANS,
  whenReachable,
} from '@ticket-line/db'
import {
  connectionName,
  createInstallationWatch,
  createLineRegistry,
  shardPrefix,
} from '@ticket-line/line'
import { divideGrace, type LineServer, startLineServer } from '@ticket-line/line/server'
import {
  type Closers,
  checkRedisAt,
  createPatientRedis,
  createWriteProbe,
  every,
  type Log,
  probe,
} from '@ticket-line/shared'
import {
  createPoolMetrics,
  createRegistry,
  startTracing,
  watchServers,
} from '@ticket-line/telemetry'
import { type AppliedBatch, createApply, jobResultOf } from './booking/index.js'
import type { WorkerConfig } from './config.js'
import { watchFleet } from './fleet-metrics.js'
import { serveHealth } from './health.js'
import { createMetrics } from './metrics.js'
import { createPruner } from './pruner.js'
import { traceJob } from './trace-job.js'

/**
 * How often Redis is asked whether it takes writes, ms. Without work a worker would not notice a
 * failover.
 */
const PROBE_INTERVAL_MS = 1000
/** How long `/readyz` waits for the answer of a server, ms. */
const PROBE_TIMEOUT_MS = 1000

/** How often the servers and all lines are looked at for metrics: more often than they are asked for. */
const LOOK_INTERVAL_MS = 5000

/**
 * Starts everything a worker process is made of, each part registered with `closers` as it opens. Stops in reverse:
 * no more notes, finish the jobs at hand, then the connections.
 */
export async function startWorker(
  config: WorkerConfig,
  log: Log,
  closers: Closers,
  onRefused: (message: string) => void,
): Promise<{ port: number }> {
  let givenUp = false
  const now = (): number => Date.now()
  const monotonicMs = (): number => performance.now()
  const { layout } = config

  const database = createDatabase({
    url: config.databaseUrl,
    schema: config.databaseSchema,
    poolSize: config.poolSize,
    applicationName: 'booking-worker',
    connectTimeoutMs: 2000,
    statementTimeoutMs: config.statementTimeoutMs,
    idleInTransactionTimeoutMs: config.idleInTransactionTimeoutMs,
    pipeline: true,
    sessionSettings: {
      ...KEYED_PLANS,
      // Less than `statement_timeout`, so that a wait for a lock fails with an error of its own.
      lock_timeout: String(Math.ceil(config.statementTimeoutMs * 0.8)),
    },
    onIdleError: (error) => log.warn({ err: error }, 'an idle PostgreSQL connection broke'),
  })
  closers.push('postgres', () => database.close())
  const maintenance = createDatabase({
    url: config.databaseUrl,
    schema: config.databaseSchema,
    // One to prune, and one to see whether PostgreSQL answers: that must not wait for the other.
    poolSize: 2,
    applicationName: 'booking-worker maintenance',
    connectTimeoutMs: 2000,
    statementTimeoutMs: 30_000,
    idleInTransactionTimeoutMs: config.idleInTransactionTimeoutMs,
    onIdleError: (error) => log.warn({ err: error }, 'an idle PostgreSQL connection broke'),
  })
  closers.push('postgres maintenance', () => maintenance.close())
  await whenReachable(
    () => checkDatabase(maintenance.pool, config.databaseSchema),
    (error) => log.warn({ err: error }, 'waiting for PostgreSQL'),
  )

  const redis = createPatientRedis(config.redisUrl, {
    connectionName: connectionName('worker', layout),
  })
  redis.on('error', (error) => log.warn({ err: error }, 'Redis connection error'))
  closers.push('redis', () => redis.disconnect())
  const askRedis = createWriteProbe(redis, shardPrefix(0, layout))
  // A reply that refuses the write makes the connection reconnect (`reconnection`).
  const probing = every(PROBE_INTERVAL_MS, askRedis, { onError: () => undefined })
  closers.push('redis probe', () => void probing.stop())
  await checkRedisAt(config.redisUrl, { production: config.production, log })
  const installation = createInstallationWatch({
    redis,
    store: createInstallationStore(maintenance.pool),
    layout,
    service: 'worker',
    log,
    onRefused,
  })
  closers.push('installation', () => installation.leave())
  await whenReachable(
    () => installation.join(),
    (error) => log.warn({ err: error }, 'waiting for PostgreSQL'),
  )

  const registry = createLineRegistry(redis, layout)
  let lineServer: LineServer
  const numbers = createRegistry('booking-worker')
  const metrics = createMetrics(numbers, () => lineServer.counts())
  const showPool = createPoolMetrics(numbers)
  showPool('line', database.pool)
  showPool('maintenance', maintenance.pool)
  const tracing = await startTracing(config.tracing, log)
  if (tracing !== undefined) closers.push('tracing', () => tracing.close(config.shutdownGraceMs))
  const apply = createApply({
    store: createLineStore(database.pool, maintenance.pool),
    now,
    onRetry: (error: unknown, attempt: number) => {
      metrics.retried()
      log.warn({ err: error, attempt }, 'a batch is run again')
    },
    onEnvironmentFault: (error: unknown) => {
      metrics.environmentFault()
      log.error(
        { err: error },
        'PostgreSQL refuses what every command needs: commands wait and are run again',
      )
    },
    onPoisoned: ({ eventId, commandId }) =>
      log.error({ eventId, commandId }, 'a command was recorded as rejected'),
    givenUp: () => givenUp,
    sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
    ...(tracing !== undefined && {
      traced: (run: () => Promise<AppliedBatch>) =>
        tracing.span('transaction', { kind: 'client' }, run),
    }),
  })
  lineServer = startLineServer({
    options: config,
    redis,
    registry,
    log,
    monotonicMs,
    onStalled: (jobs) => metrics.stalled(jobs),
    onSetAside: () => metrics.setAside(),
    async onJob(job) {
      const startedAtMs = now()
      const beganAtMs = monotonicMs()
      const result = await jobResultOf(traceJob(tracing, job, startedAtMs, () => apply(job)))
      if (result.kind !== 'decided') return result
      const { startedBefore, payload } = job
      const waitedMs = startedAtMs - payload.acceptedAtMs
      metrics.jobApplied({
        outcomes: result.outcomes,
        waitedMs,
        tookMs: monotonicMs() - beganAtMs,
        startedBefore,
      })
      return result
    },
  })
  closers.push('lines', async () => {
    const graceOver = setTimeout(() => {
      givenUp = true
    }, divideGrace(config.shutdownGraceMs).giveUpAfterMs)
    await lineServer.stop()
    clearTimeout(graceOver)
  })

  const pruner = createPruner({
    pool: maintenance.pool,
    registry,
    retentionHours: config.outcomeRetentionHours,
    intervalMs: config.pruneIntervalMs,
    onPruned: () => metrics.pruned(now()),
    log,
    now,
  })
  // A step may be waiting for a server that does not answer.
  closers.push('pruner', () => void pruner.stop())

  const looking = { registry: numbers, intervalMs: LOOK_INTERVAL_MS }
  const askPostgres = () => maintenance.pool.query('SELECT 1')
  closers.push('server metrics', watchServers({ ...looking, redis, askPostgres }))
  const fleet = watchFleet({ ...looking, lines: registry, now, monotonicMs })
  closers.push('fleet metrics', () => void fleet.stop())

  const health = await serveHealth({
    host: config.host,
    port: config.port,
    registry: numbers,
    metricsToken: config.metricsToken,
    missing: async () => {
      const [redis, postgres] = await Promise.all([
        probe(askRedis, PROBE_TIMEOUT_MS),
        probe(() => assertWritable(maintenance.pool), PROBE_TIMEOUT_MS),
      ])
      return [
        ...(redis.kind === 'works' && installation.isSure() ? [] : ['redis']),
        ...(postgres.kind === 'works' ? [] : ['postgres']),
      ]
    },
  })
  closers.push('health', () => health.close())
  return { port: health.port }
}
