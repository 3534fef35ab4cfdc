import { type Database, readEventNames, readLiveStates } from '@ticket-line/db'
import { announce, isLineName, lineNameOf, shardPrefix } from '@ticket-line/line'
import type { Availability, LineService } from '@ticket-line/line/client'
import type { Log } from '@ticket-line/shared'
import type { Tracing } from '@ticket-line/telemetry'
import type { Hono } from 'hono'
import type { Redis } from 'ioredis'
import { createApp } from './app.js'
import { createSales } from './booking/sales.js'
import type { ApiConfig } from './config.js'
import { createDashboard, type Dashboard } from './dashboard/index.js'
import { createEventAccess } from './events/access.js'
import { createExportReader } from './events/read-export.js'
import { createEventReads } from './events/reads.js'
import type { Cors } from './http/cors.js'
import type { AppEnv } from './http/env.js'
import { callPostgres } from './http/postgres-access.js'
import type { Lifecycle } from './http/request-context.js'
import { createOwnKeys } from './keys/routes.js'
import { createConcurrencyLimit } from './limits/concurrency.js'
import { createExportLimit } from './limits/export-limit.js'
import { limitPrefix } from './limits/index.js'
import { createStreamLimit } from './limits/stream-limit.js'
import { createChangeFeed } from './live/change-feed.js'
import type { ChangeWatch } from './live/change-watch.js'
import { createLiveStreams } from './live/live-streams.js'
import type { Metrics } from './operations/metrics.js'
import type { BuiltFiles } from './pages/built-files.js'
import { createWebhookQueue } from './webhooks/queue.js'
import { createWebhookStore } from './webhooks/store.js'
import { type Identity, wireIdentity } from './wire-identity.js'

/** Rows of an export that are in memory at once. */
const EXPORT_PORTION_ROWS = 1000

export interface WireAppDeps {
  config: ApiConfig
  databases: { main: Database; exports: Database; standby?: Database }
  /** The fail-fast connection of the rate limits. */
  redis: Redis
  line: LineService
  availability: Availability
  changeWatch: ChangeWatch
  lifecycle: Lifecycle
  /** Undefined if pages of other origins may read nothing. */
  cors: Cors | undefined
  metrics: Metrics
  /** Undefined if tracing is off. */
  tracing: Tracing | undefined
  pages: BuiltFiles
  log: Log
}

/** An app, and the parts of it that a process starts and stops. */
export interface WiredApp {
  app: Hono<AppEnv>
  dashboard: Dashboard
  identity: Identity
  /** `stop` ends all streams; `close` follows when no request is under way any more. */
  streams: { stop(): void; close(): Promise<void> }
}

/** Connects the parts of the app to the settings and servers of a process. It calls no server. */
export async function wireApp({
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
  pages,
  log,
}: WireAppDeps): Promise<WiredApp> {
  const { layout, server } = config
  const prefix = limitPrefix(shardPrefix(0, layout))
  const postgres = { availability, timeoutMs: config.postgres.readTimeoutMs }
  const identity = await wireIdentity({
    config,
    database: databases.main,
    redis,
    prefix,
    postgres,
    metrics,
    log,
  })
  const { guards, accounts, keyring } = identity
  const webhookQueue = createWebhookQueue({ redis: line.redis, layout, availability })
  const requests = createConcurrencyLimit(server.maxRequests)
  const longPolls = createConcurrencyLimit(server.maxLongPolls)
  metrics.watchRequests({ requests, longPolls })
  const streams = createLiveStreams({
    read: (questions) => readLiveStates(databases.main.pool, questions),
    watch: changeWatch,
    accounts: identity.overrides,
    postgres,
    stallTimeoutMs: server.stallTimeoutMs,
    metrics: metrics.streams,
    log,
  })
  metrics.watchStreams(streams)
  const streamLimit = createStreamLimit({
    max: server.maxStreams,
    maxPerAddress: server.maxStreamsPerAddress,
    redis,
    prefix,
    onRefused: (full) => metrics.streams.refused.inc({ full }),
    log,
  })
  const dashboard = createDashboard({
    writable: config.dashboardWritable,
    verifyToken: identity.verifyToken,
    overrides: identity.overrides,
    keys: identity.knownKeys,
    isSecure: identity.isSecure,
    signIn: accounts?.signIn,
    sessionKey: keyring.session,
    limit: guards.limits.dashboard,
    limitSignIn: guards.limits.login,
    redis,
    prefix,
    log,
    recentLines: (limit) => line.recentLines(limit),
    isLine: (name) => isLineName(name, layout),
    lineOf: (eventId) => lineNameOf(eventId, layout),
    queueOf: (lineName) => line.queues.queueOf(lineName),
    readNames: (eventIds) =>
      callPostgres(postgres, () => readEventNames(databases.main.pool, eventIds)),
    notifierQueue: webhookQueue.queueOfNotifiers,
  })
  const app = createApp({
    log,
    metrics,
    tracing,
    lifecycle,
    metricsToken: config.metricsToken,
    trustedProxies: config.trustedProxies,
    cors,
    securityContacts: config.securityContacts,
    pages,
    requests,
    longPolls,
    guards,
    line,
    availability,
    events: createEventReads({
      pool: databases.main.pool,
      postgres,
      readExport: createExportReader({
        pool: databases.main.pool,
        exportPool: databases.exports.pool,
        standbyPool: databases.standby?.pool,
        postgres,
        options: { portionRows: EXPORT_PORTION_ROWS, stallTimeoutMs: server.stallTimeoutMs },
        onBegin: (server) => metrics.exports.inc({ server }),
        log,
      }),
      onCreated: (eventId, lastChange) =>
        // An announcement may be lost, for example while Redis is unavailable.
        void announce(line.redis, layout, new Map([[eventId, lastChange]])).catch(() => undefined),
    }),
    access: createEventAccess({
      pool: databases.main.pool,
      postgres,
      knownEvents: config.postgres.knownEvents,
    }),
    overrides: { apply: identity.recheck, onChange: identity.onChange },
    ownKeys: createOwnKeys(databases.main.pool, postgres),
    knownKeys: identity.knownKeys,
    maxKeyRequestsPerMinute: config.limits.keyRequestsPerMinute,
    changes: createChangeFeed({
      pool: databases.main.pool,
      exportPool: databases.exports.pool,
      postgres,
      watch: changeWatch,
      lifecycle,
      onDelivered: (seconds) => metrics.changeLag.observe(seconds),
    }),
    sales: createSales({
      pool: databases.main.pool,
      postgres,
      knownEvents: config.postgres.knownEvents,
    }),
    webhooks: createWebhookStore(databases.main.pool, postgres),
    webhookJobs: webhookQueue.jobs,
    webhookRules: config.webhooks.rules,
    webhookKeys: config.webhooks.keys,
    streams,
    streamLimit,
    initializeOpen: config.initializeOpen,
    resultWaitMs: config.line.resultWaitMs,
    readTimeoutMs: config.postgres.readTimeoutMs,
    exportStallTimeoutMs: server.stallTimeoutMs,
    exportTimeoutMs: config.postgres.exportTimeoutMs,
    exports: createExportLimit({ max: config.postgres.exportPoolSize, redis, prefix, log }),
    accounts,
    publicKeys: keyring.own.length > 0 ? keyring : undefined,
    dashboard,
  })
  return { app, dashboard, identity, streams: { stop: streams.stop, close: streamLimit.close } }
}
