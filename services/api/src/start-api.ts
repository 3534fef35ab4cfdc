import {
  checkDatabase,
  checkSessions,
  createDatabase,
  createInstallationStore,
  type Database,
  type DatabaseOptions,
  readLastChanges,
  whenReachable,
} from '@ticket-line/db'
import {
  createInstallationWatch,
  createReadiness,
  firstTarget,
  followAnnouncements,
  joinRecovery,
  redisTargets,
} from '@ticket-line/line'
import { type Availability, createLineClient, RATE_LIMIT_MS } from '@ticket-line/line/client'
import {
  type Closers,
  ConfigError,
  checkRedisAt,
  createFailFastRedis,
  createReaderRedis,
  type Log,
  reconnectTogether,
  sleep,
  withDeadline,
} from '@ticket-line/shared'
import { startTracing, watchServers } from '@ticket-line/telemetry'
import type { ApiConfig } from './config.js'
import { createCors } from './http/cors.js'
import { createChangeWatch } from './live/change-watch.js'
import { createMetrics, type Metrics } from './operations/metrics.js'
import { readBuiltFiles } from './pages/built-files.js'
import { closeServer, listen } from './server.js'
import { wireApp } from './wire-app.js'

/** How long a starting process waits for its servers before it listens anyway, ms. */
const LISTEN_WITHIN_MS = 5000
/** How often a starting process checks whether both servers are available, ms. */
const AVAILABLE_INTERVAL_MS = 20
/** How often the servers are probed for metrics, ms. Prometheus reads them less often. */
const SERVER_METRICS_INTERVAL_MS = 5000

/** The reads of a page touch few rows. Starting a parallel worker would take longer than a read. */
const SMALL_READS = { max_parallel_workers_per_gather: '0' }

/**
 * Starts all parts of an API process. Each part is registered with `closers` when it opens.
 *
 * The process listens once PostgreSQL and Redis have passed their checks and are available. Until
 * then, a load balancer uses other processes: nginx in Compose sends requests to every process that
 * listens, whether it is ready or not. If the checks take longer than `LISTEN_WITHIN_MS`, for
 * example because a server is unavailable, the process listens before they end, and answers
 * `/readyz` and commands with 503.
 *
 * @param onRefused Called with the reason if the process must stop: its servers no longer belong
 * together, or a check of the standby has failed.
 * @returns the port, once the process is ready for requests
 * @throws ConfigError if a server does not pass its checks
 */
export async function startApi(
  config: ApiConfig,
  log: Log,
  closers: Closers,
  onRefused: (message: string) => void,
): Promise<{ port: number }> {
  const metrics = createMetrics(config.commit)
  const databases = openDatabases(config, log, metrics, closers)
  const limitTimeoutMs = Math.min(RATE_LIMIT_MS, config.line.redisTimeoutMs)
  // All keys of the limits are in the first shard.
  const atFirstShard = firstTarget(config.redis, config.layout)
  const redis = createFailFastRedis(atFirstShard, limitTimeoutMs, {
    enableAutoPipelining: true,
  })
  redis.on('error', (err) => log.debug({ err }, 'the Redis connection of the rate limits failed'))
  closers.push('redis of rate limits', () => redis.disconnect())

  const readiness = createReadiness()
  const line = createLineClient({
    ...config.line,
    redis: config.redis,
    pool: databases.line.pool,
    layout: config.layout,
    readiness,
    log,
  })
  closers.push('line', () => line.close())
  metrics.watchLine(line)
  const changeWatch = createChangeWatch({
    read: (eventIds) => readLastChanges(databases.main.pool, eventIds),
    follow(handlers) {
      const subscriber = createReaderRedis(atFirstShard).on('error', () => undefined)
      reconnectTogether(line.redis, subscriber)
      return followAnnouncements({ redis: subscriber, layout: config.layout, ...handlers })
    },
    onAdvance: (source) => metrics.changesLearned.inc({ source }),
    log,
  })
  closers.push('change watch', () => changeWatch.close())
  metrics.watchChanges(changeWatch)
  const askPostgres = () => databases.line.pool.query('SELECT 1')
  const watched = { registry: metrics.registry, redis: line.lineRedis, askPostgres }
  closers.push(
    'server metrics',
    watchServers({ ...watched, intervalMs: SERVER_METRICS_INTERVAL_MS }),
  )
  const tracing = await startTracing(config.tracing, log)
  if (tracing !== undefined) closers.push('tracing', () => tracing.close(config.shutdownGraceMs))

  const lifecycle = { draining: false }
  const cors = createCors(config.allowedOrigins)
  const checked = { redis: false, postgres: false }
  const installation = createInstallationWatch({
    redis: line.redis,
    store: createInstallationStore(databases.line.pool),
    layout: config.layout,
    service: 'api',
    log,
    onRefused,
  })
  closers.push('installation', () => installation.leave())
  const recovery = joinRecovery({
    redis: line.lineRedis,
    pool: databases.line.pool,
    layout: config.layout,
    readiness,
    installation,
    onRescued: (jobs) => metrics.rescuedJobs.inc(jobs),
    log,
  })
  closers.push('recovery', () => recovery.stop())
  const availability = checkedAvailability(
    line.availability,
    checked,
    () => installation.isSure() && readiness.isReady(),
  )
  const { app, identity, streams } = await wireApp({
    config,
    databases,
    redis,
    line,
    availability,
    changeWatch,
    lifecycle,
    cors,
    metrics,
    tracing,
    pages: await readBuiltFiles(),
    log,
  })
  closers.push('identity', () => identity.stop())
  closers.push('streams', () => streams.close())
  if (databases.standby !== undefined) checkStandby(databases.standby, log, onRefused)
  const onUnreachable = (err: unknown) => log.warn({ err }, 'waiting for PostgreSQL')
  const checks = Promise.all([
    whenReachable(async () => {
      await checkDatabase(databases.line.pool, config.databaseSchema)
      await identity.start()
    }, onUnreachable).then(() => {
      checked.postgres = true
    }),
    checkRedisAt(redisTargets(config.redis, config.layout), {
      production: config.production,
      log,
    }),
  ]).then(async () => {
    await whenReachable(() => installation.join(), onUnreachable)
    checked.redis = true
  })
  // The checks may fail while the port is being opened.
  checks.catch(() => undefined)
  const listenAtMs = performance.now() + LISTEN_WITHIN_MS
  await withDeadline(checks, LISTEN_WITHIN_MS, () => undefined)
  while (!isAvailable(availability) && performance.now() < listenAtMs)
    await sleep(AVAILABLE_INTERVAL_MS)
  const { server, port } = await listen(app, config.server, cors)
  closers.push('http', () => {
    lifecycle.draining = true
    changeWatch.drain()
    streams.stop()
    return closeServer(server, { graceMs: config.shutdownGraceMs, hurry: () => line.drain() })
  })
  await checks
  return { port }
}

/**
 * Opens three pools, and one more if there is a standby. The line has its own, so that reads and
 * downloads cannot delay it.
 */
function openDatabases(config: ApiConfig, log: Log, metrics: Metrics, closers: Closers) {
  const { postgres, databaseUrl, databaseSchema: schema, databaseReadUrl } = config
  const open = (
    name: string,
    poolSize: number,
    { url = databaseUrl, sessionSettings = {} }: Partial<DatabaseOptions> = {},
  ): Database => {
    const database = createDatabase({
      url,
      schema,
      poolSize,
      applicationName: `api ${name}`,
      connectTimeoutMs: postgres.connectTimeoutMs,
      statementTimeoutMs: postgres.statementTimeoutMs,
      idleInTransactionTimeoutMs: postgres.idleInTransactionTimeoutMs,
      sessionSettings,
      onIdleError: (err) => log.warn({ err, pool: name }, 'an idle PostgreSQL connection failed'),
    })
    metrics.watchPool(name, database.pool)
    closers.push(`postgres ${name}`, () => database.close())
    return database
  }
  return {
    main: open('main', postgres.poolSize, { sessionSettings: SMALL_READS }),
    line: open('line', postgres.linePoolSize),
    exports: open('exports', postgres.exportPoolSize),
    ...(databaseReadUrl !== undefined && {
      // The check of its sessions needs two connections.
      standby: open('standby', Math.max(2, postgres.exportPoolSize), { url: databaseReadUrl }),
    }),
  }
}

/**
 * Checks the standby as soon as it answers. Nothing waits for it, because exports use the primary
 * while it cannot be reached.
 *
 * @param onRefused Called with the reason if the process must stop because of a setting.
 */
function checkStandby({ pool }: Database, log: Log, onRefused: (message: string) => void): void {
  whenReachable(
    () => checkSessions(pool, 'DATABASE_READ_URL'),
    (err) => log.debug({ err }, 'waiting for the standby'),
  ).catch((err: unknown) => {
    if (err instanceof ConfigError) onRefused(err.message)
    else log.warn({ err }, 'the standby could not be checked')
  })
}

function isAvailable({ redis, postgres }: Availability): boolean {
  return redis() && postgres()
}

/**
 * A server counts as unavailable until it has passed its checks once. Redis also counts as
 * unavailable while the process is unsure whether Redis belongs to this installation and has
 * everything that was accepted.
 */
function checkedAvailability(
  availability: Availability,
  checked: { redis: boolean; postgres: boolean },
  isRedisReady: () => boolean,
): Availability {
  return {
    redis: () => checked.redis && isRedisReady() && availability.redis(),
    postgres: () => checked.postgres && availability.postgres(),
  }
}
