import {
  checkDatabase,
  createDatabase,
  createInstallationStore,
  type Database,
  whenReachable,
} from '@ticket-line/db'
import { createInstallationWatch, isLineName, lineNameOf, shardPrefix } from '@ticket-line/line'
import { createLineClient } from '@ticket-line/line/client'
import {
  type Closers,
  checkRedisAt,
  createFailFastRedis,
  type Log,
  withDeadline,
} from '@ticket-line/shared'
import { startTracing, watchServers } from '@ticket-line/telemetry'
import { createApp } from './app.js'
import type { ApiConfig } from './config.js'
import { registerAdminRoutes } from './dashboard/index.js'
import { createEventReads } from './events/reads.js'
import { onlyChecked } from './lifecycle.js'
import { createConcurrencyLimit } from './limits/concurrency-limit.js'
import { createExportPlaces } from './limits/exports.js'
import { limitPrefix } from './limits/index.js'
import { createMetrics, type Metrics } from './operations/metrics.js'
import { closeServer, listen } from './server.js'
import { createIdentity } from './wire-identity.js'

/** The longest that a starting process keeps its port shut for servers that do not answer. */
const LISTEN_WITHIN_MS = 2000
/** A request is counted and then stored: with a Redis that does not answer, both must have failed within a second. */
const MAX_LIMIT_TIMEOUT_MS = 250
/** How often the servers are looked at for metrics: more often than they are asked for. */
const LOOK_INTERVAL_MS = 5000
/** Rows of an export that stand in memory at once. */
const EXPORT_PORTION_ROWS = 1000

/**
 * Starts all parts of an API process. Each part is registered with `closers` when it opens.
 *
 * The process listens once both servers have passed their checks, so that until then a load
 * balancer uses other processes. If PostgreSQL or Redis is away, it listens while it waits, and
 * answers `/readyz` and commands with 503.
 *
 * @param onRefused called if the process must end because its servers no longer belong together
 * @returns the port; resolves once it is ready for requests
 * @throws ConfigError if a server does not pass its checks
 */
export async function startApi(
  config: ApiConfig,
  log: Log,
  closers: Closers,
  onRefused: (message: string) => void,
): Promise<{ port: number }> {
  const metrics = createMetrics()
  const databases = openDatabases(config, log, metrics, closers)
  const limitTimeoutMs = Math.min(MAX_LIMIT_TIMEOUT_MS, config.line.redisTimeoutMs)
  const redis = createFailFastRedis(config.redisUrl, limitTimeoutMs, {
    enableAutoPipelining: true,
  })
  redis.on('error', (err) => log.debug({ err }, 'connection of the limits'))
  closers.push('redis of limits', () => redis.disconnect())

  const { resultWaitMs, ...lineConfig } = config.line
  const line = createLineClient({
    ...lineConfig,
    redisUrl: config.redisUrl,
    pool: databases.line.pool,
    layout: config.layout,
    log,
  })
  closers.push('line', () => line.close())
  metrics.watchLine(line)
  const askPostgres = () => databases.line.pool.query('SELECT 1')
  const watched = { registry: metrics.registry, redis: line.redis, askPostgres }
  closers.push('server metrics', watchServers({ ...watched, intervalMs: LOOK_INTERVAL_MS }))
  const tracing = await startTracing(config.tracing, log)
  if (tracing !== undefined) closers.push('tracing', () => tracing.close(config.shutdownGraceMs))

  const lifecycle = { draining: false }
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
  const availability = onlyChecked(line.availability, checked, installation.isSure)
  const prefix = limitPrefix(shardPrefix(0, config.layout))
  const identity = await createIdentity({
    config: config.identity,
    limits: config.limits,
    db: databases.main.db,
    redis,
    prefix,
    reach: { availability, timeoutMs: config.postgres.readTimeoutMs },
    log,
  })
  closers.push('identity', () => identity.stop())
  const events = createEventReads({
    pool: databases.main.pool,
    exportPool: databases.exports.pool,
    availability,
    readTimeoutMs: config.postgres.readTimeoutMs,
    knownEvents: config.postgres.knownEvents,
    exports: {
      portionRows: EXPORT_PORTION_ROWS,
      stallTimeoutMs: config.postgres.exportStallTimeoutMs,
    },
  })
  const requests = createConcurrencyLimit(config.server.maxRequests)
  const longPolls = createConcurrencyLimit(config.server.maxLongPolls)
  metrics.watchRequests({ requests, longPolls })
  const app = createApp({
    log,
    metrics,
    tracing,
    lifecycle,
    metricsToken: config.metricsToken,
    trustedProxies: config.trustedProxies,
    requests,
    longPolls,
    guards: identity.guards,
    line,
    availability,
    events,
    initializeOpen: config.initializeOpen,
    resultWaitMs,
    readTimeoutMs: config.postgres.readTimeoutMs,
    exportStallTimeoutMs: config.postgres.exportStallTimeoutMs,
    exportTimeoutMs: config.postgres.exportTimeoutMs,
    exports: createExportPlaces({ places: config.postgres.exportPoolSize, redis, prefix, log }),
    accountRoutes: identity.routes,
    registerAdmin: (hono) =>
      registerAdminRoutes(hono, {
        config: config.admin,
        identity,
        limit: identity.guards.limits.dashboard,
        limitSignIn: identity.guards.limits.login,
        redis,
        prefix,
        log,
        recentLines: (limit) => line.recentLines(limit),
        isLine: (name) => isLineName(name, config.layout),
        lineOf: (eventId) => lineNameOf(eventId, config.layout),
        queueOf: (lineName) => line.queues.queueOf(lineName),
      }),
  })
  const waiting = (err: unknown) => log.warn({ err }, 'waiting for PostgreSQL')
  const fit = Promise.all([
    whenReachable(async () => {
      await checkDatabase(databases.line.pool, config.databaseSchema)
      await identity.start()
    }, waiting).then(() => {
      checked.postgres = true
    }),
    checkRedisAt(config.redisUrl, { production: config.production, log }),
  ]).then(async () => {
    await whenReachable(() => installation.join(), waiting)
    checked.redis = true
  })
  // It may fail while the port is being opened.
  fit.catch(() => undefined)
  await withDeadline(fit, LISTEN_WITHIN_MS, () => undefined)
  const { server, port } = await listen(app, config.server)
  closers.push('http', () => {
    lifecycle.draining = true
    return closeServer(server, { graceMs: config.shutdownGraceMs, hurry: () => line.drain() })
  })
  await fit
  return { port }
}

/** Three pools, so that neither reads nor downloads keep the line from recording what it promised. */
function openDatabases(config: ApiConfig, log: Log, metrics: Metrics, closers: Closers) {
  const { postgres, databaseUrl: url, databaseSchema: schema } = config
  const open = (name: string, poolSize: number): Database => {
    const database = createDatabase({
      url,
      schema,
      poolSize,
      applicationName: `api ${name}`,
      connectTimeoutMs: postgres.connectTimeoutMs,
      statementTimeoutMs: postgres.statementTimeoutMs,
      idleInTransactionTimeoutMs: postgres.idleInTransactionTimeoutMs,
      onIdleError: (err) => log.warn({ err, pool: name }, 'an idle PostgreSQL connection broke'),
    })
    metrics.watchPool(name, database.pool)
    closers.push(`postgres ${name}`, () => database.close())
    return database
  }
  return {
    main: open('main', postgres.poolSize),
    line: open('line', postgres.linePoolSize),
    exports: open('exports', postgres.exportPoolSize),
  }
}
