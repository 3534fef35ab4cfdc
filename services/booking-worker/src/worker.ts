import {
  type AcceptedJobStore,
  checkDatabase,
  countLatestDecisions,
  createAcceptedJobStore,
  createDatabase,
  createLineStore,
  type Database,
  type DatabaseOptions,
  KEYED_PLANS,
  type LineStore,
  readDueEvents,
  readEventSales,
  readHoldsOverview,
  whenReachable,
} from '@ticket-line/db'
import {
  createLineRegistry,
  createReadiness,
  joinInstallation,
  joinRecovery,
  type LineRedis,
  type LineRegistry,
  type Readiness,
} from '@ticket-line/line'
import {
  divideGrace,
  isSettle,
  type JobResult,
  type LineServer,
  startLineServer,
} from '@ticket-line/line/server'
import { type Closers, type Log, systemClock } from '@ticket-line/shared'
import {
  createPoolMetrics,
  createRegistry,
  serveHealth,
  startTracing,
  type Tracing,
  watchServers,
} from '@ticket-line/telemetry'
import { type AppliedBatch, createApply, jobResultOf } from './booking/index.js'
import type { WorkerConfig } from './config.js'
import { watchFleet } from './fleet-metrics.js'
import { createMetrics, type WorkerMetrics } from './metrics.js'
import { createPruner } from './pruner.js'
import { watchSales } from './sales-metrics.js'
import { startSettleClock } from './settle-clock.js'
import { traceJob } from './trace-job.js'

/** Events that the clock reads at a time. */
const DUE_PER_READ = 500
/**
 * PostgreSQL cancels a read of the clock after this long, ms. If no reply arrives for another
 * second, the clock opens another connection.
 */
const READ_DUE_WITHIN_MS = 1000

/** How often figures of the servers and of all lines are read for metrics, ms. */
const METRICS_INTERVAL_MS = 5000

/** With `HOLD_EXPIRY=off`, a settle leaves its line and changes nothing. */
const SKIPPED_SETTLE = {
  kind: 'decided',
  outcomes: [{ outcome: 'settled', decidedAtMs: 0 }],
} satisfies JobResult

/** What each step of the start gets. */
interface Startup {
  config: WorkerConfig
  log: Log
  closers: Closers
}

/**
 * Starts a worker process. Each part is registered with `closers` when it opens, so the parts close
 * in reverse order: the worker finishes its jobs, and then closes its connections.
 *
 * @param onRefused Called with the reason when the process must not continue
 * @returns the port of `/livez`, `/readyz` and `/metrics`
 */
export async function startWorker(
  config: WorkerConfig,
  log: Log,
  closers: Closers,
  onRefused: (message: string) => void,
): Promise<{ port: number }> {
  const startup = { config, log, closers }
  const { database, maintenance } = await openDatabases(startup)
  const member = await joinInstallation({
    ...startup,
    service: 'worker',
    pool: maintenance.pool,
    onRefused,
  })
  const { redis } = member

  const registry = createLineRegistry(redis, config.layout)
  const promRegistry = createRegistry('booking-worker', config.commit)
  const metrics = createMetrics(promRegistry, () => lineServer.counts())
  const addPoolMetrics = createPoolMetrics(promRegistry)
  addPoolMetrics('line', database.pool)
  addPoolMetrics('maintenance', maintenance.pool)
  const tracing = await startTracing(config.tracing, log)
  if (tracing !== undefined) closers.push('tracing', () => tracing.close(config.shutdownGraceMs))

  const store = createLineStore(database.pool, maintenance.pool)
  const readiness = createReadiness()
  const acceptedJobs = createAcceptedJobStore(maintenance.pool)
  const lineServer = serveLines(startup, {
    store,
    acceptedJobs,
    readiness,
    redis,
    registry,
    metrics,
    tracing,
  })
  const recovery = joinRecovery({
    redis,
    pool: maintenance.pool,
    layout: config.layout,
    readiness,
    installation: member,
    onRescued: metrics.rescued,
    log,
  })
  closers.push('recovery', () => recovery.stop())

  startClock(startup, lineServer.addSettles)

  const pruner = createPruner({
    pool: maintenance.pool,
    registry,
    retentionHours: config.outcomeRetentionHours,
    changesRetentionDays: config.changesRetentionDays,
    intervalMs: config.pruneIntervalMs,
    onPruned: metrics.pruned,
    log,
    clock: systemClock,
  })
  // This does not wait for the pruner, which may be waiting for a server that does not answer.
  closers.push('pruner', () => void pruner.stop())

  const polled = { registry: promRegistry, intervalMs: METRICS_INTERVAL_MS }
  const askPostgres = () => maintenance.pool.query('SELECT 1')
  closers.push('server metrics', watchServers({ ...polled, redis, askPostgres }))
  const fleet = watchFleet({
    ...polled,
    lines: registry,
    readHolds: () => readHoldsOverview(maintenance.pool),
    clock: systemClock,
  })
  closers.push('fleet metrics', () => void fleet.stop())
  const sales = watchSales({
    ...polled,
    countDecisions: (limit) => countLatestDecisions(maintenance.pool, limit),
    readSales: (eventIds) => readEventSales(maintenance.pool, eventIds),
    clock: systemClock,
  })
  closers.push('sales metrics', () => void sales.stop())

  const health = await serveHealth({
    host: config.host,
    port: config.port,
    hostVariable: 'WORKER_HOST',
    portVariable: 'WORKER_PORT',
    registry: promRegistry,
    metricsToken: config.metricsToken,
    async findUnreachable() {
      const names = await member.findUnreachable()
      const isReady = readiness.isReady() || names.includes('redis')
      return isReady ? names : ['redis', ...names]
    },
  })
  closers.push('health', () => health.close())
  return { port: health.port }
}

/**
 * Opens two pools, and waits until PostgreSQL can be used. One is for deciding batches. The other
 * one is for all other statements, which may take long and must not wait for the first pool.
 */
async function openDatabases({
  config,
  log,
  closers,
}: Startup): Promise<{ database: Database; maintenance: Database }> {
  const common = commonOptions(config, log)
  const database = createDatabase({
    ...common,
    poolSize: config.poolSize,
    applicationName: 'booking-worker',
    statementTimeoutMs: config.statementTimeoutMs,
    pipeline: true,
    sessionSettings: {
      ...KEYED_PLANS,
      // Less than `statement_timeout`, so that a wait for a lock fails with an error of its own.
      lock_timeout: String(Math.ceil(config.statementTimeoutMs * 0.8)),
    },
  })
  closers.push('postgres', () => database.close())
  const maintenance = createDatabase({
    ...common,
    // One connection prunes, one adds lost jobs again, and one checks whether PostgreSQL answers.
    poolSize: 3,
    applicationName: 'booking-worker maintenance',
    statementTimeoutMs: 30_000,
  })
  closers.push('postgres maintenance', () => maintenance.close())
  await whenReachable(
    () => checkDatabase(maintenance.pool, config.databaseSchema),
    (error) => log.warn({ err: error }, 'waiting for PostgreSQL'),
  )
  return { database, maintenance }
}

/**
 * Starts the clock, which adds a settle to each line in which something is due. It has a connection
 * of its own: all others may wait for a reply that never comes, while PostgreSQL works again and
 * deadlines pass.
 */
function startClock({ config, log, closers }: Startup, addSettles: LineServer['addSettles']): void {
  if (!config.holdExpiry) {
    log.warn('HOLD_EXPIRY=off: holds do not lapse, and nothing else that is due is applied')
    return
  }
  const database = createDatabase({
    ...commonOptions(config, log),
    poolSize: 1,
    applicationName: 'booking-worker clock',
    statementTimeoutMs: READ_DUE_WITHIN_MS,
    sessionSettings: KEYED_PLANS,
  })
  const clock = startSettleClock({
    readDue: (after) => readDueEvents(database.pool, after, DUE_PER_READ),
    addSettles,
    log,
  })
  closers.push('settle clock', () => {
    // This does not wait for a read or an add that is under way. Another worker adds the settles
    // that this one does not add.
    void clock.stop()
    void database.close()
  })
}

function commonOptions(config: WorkerConfig, log: Log) {
  return {
    url: config.databaseUrl,
    schema: config.databaseSchema,
    connectTimeoutMs: 2000,
    idleInTransactionTimeoutMs: config.idleInTransactionTimeoutMs,
    onIdleError: (error: Error) => log.warn({ err: error }, 'an idle PostgreSQL connection broke'),
  } satisfies Partial<DatabaseOptions>
}

/** Serves the lines: fetches their jobs, decides them and counts what became of them. */
function serveLines(
  { config, log, closers }: Startup,
  {
    store,
    acceptedJobs,
    readiness,
    redis,
    registry,
    metrics,
    tracing,
  }: {
    store: LineStore
    acceptedJobs: AcceptedJobStore
    readiness: Readiness
    redis: LineRedis
    registry: LineRegistry
    metrics: WorkerMetrics
    tracing: Tracing | undefined
  },
): LineServer {
  let givenUp = false
  const clock = systemClock
  const apply = createApply({
    store,
    clock,
    givenUp: () => givenUp,
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
    ...(tracing !== undefined && {
      traced: (run: () => Promise<AppliedBatch>) =>
        tracing.span('transaction', { kind: 'client' }, run),
    }),
  })
  const lineServer = startLineServer({
    options: config,
    redis,
    registry,
    readiness,
    acceptedJobs,
    log,
    clock,
    onRescued: metrics.rescued,
    onStalled: (jobs) => metrics.stalled(jobs),
    onSetAside: () => metrics.setAside(),
    async onJob(job) {
      const startedAtMs = clock.wallMs()
      const startedSteadyMs = clock.steadyMs()
      const isSettleJob = isSettle(job.payload)
      if (isSettleJob && !config.holdExpiry) return SKIPPED_SETTLE
      const applying = traceJob(tracing, job, startedAtMs, () => apply(job))
      const result = await jobResultOf(applying)
      if (result.kind !== 'decided') return result
      if (isSettleJob) metrics.settled(await applying)
      metrics.jobApplied({
        outcomes: result.outcomes,
        waitedMs: startedAtMs - job.payload.acceptedAtMs,
        tookMs: clock.steadyMs() - startedSteadyMs,
        startedBefore: job.startedBefore,
      })
      return config.holdExpiry ? result : { ...result, due: [] }
    },
  })
  closers.push('lines', async () => {
    const graceOver = setTimeout(() => {
      givenUp = true
    }, divideGrace(config.shutdownGraceMs).giveUpAfterMs)
    await lineServer.stop()
    clearTimeout(graceOver)
  })
  return lineServer
}
