import {
  adoptEpoch,
  type CursorKey,
  checkDatabase,
  createDatabase,
  type Database,
  findDueCursors,
  type Pool,
  pruneWebhooks,
  readEndpoints,
  readWebhookLag,
  whenReachable,
} from '@ticket-line/db'
import { firstTarget, followAnnouncements, joinInstallation } from '@ticket-line/line'
import {
  type Closers,
  createReaderRedis,
  every,
  type Log,
  reconnectTogether,
  systemClock,
} from '@ticket-line/shared'
import {
  createPoolMetrics,
  createRegistry,
  serveHealth,
  watchServers,
} from '@ticket-line/telemetry'
import { createSender } from '@ticket-line/webhooks'
import type { Redis } from 'ioredis'
import type { Registry } from 'prom-client'
import type { NotifierConfig } from './config.js'
import { createDeliver } from './deliver.js'
import { startDeliveries } from './deliveries.js'
import { startDispatcher } from './dispatcher.js'
import { watchEndpoints } from './endpoints.js'
import { createMetrics } from './metrics.js'
import { createDeliveryQueue } from './queue.js'
import { createRecovery } from './recovery.js'
import { createReplay } from './replay.js'
import { createSend } from './send.js'
import { createSlots } from './slots.js'

/** How often figures are read for metrics, ms. */
const METRICS_INTERVAL_MS = 5000
/** How often old attempts are removed, ms. */
const PRUNE_INTERVAL_MS = 60_000
/** If the last comparison of all events is older than this, its age counts as lag, ms. */
const COMPARED_WITHIN_MS = 90_000
const STATEMENT_TIMEOUT_MS = 30_000

/** What each step of the start gets. */
interface Startup {
  config: NotifierConfig
  log: Log
  closers: Closers
}

/**
 * Starts a notifier process. Each part is registered with `closers` when it opens, so the parts
 * close in reverse order: the notifier ends its requests, and then closes its connections.
 *
 * @param onRefused Called with the reason when the process must not continue
 * @returns the port of `/livez`, `/readyz` and `/metrics`
 */
export async function startNotifier(
  config: NotifierConfig,
  log: Log,
  closers: Closers,
  onRefused: (message: string) => void,
): Promise<{ port: number }> {
  const startup = { config, log, closers }
  const { pool } = await openDatabase(startup)
  const { redis: lineRedis, findUnreachable } = await joinInstallation({
    ...startup,
    service: 'notifier',
    pool,
    onRefused,
  })

  const registry = createRegistry('notifier', config.commit)
  const addPoolMetrics = createPoolMetrics(registry)
  addPoolMetrics('notifier', pool)

  // The queue of the notifiers is in the first shard.
  await serveWebhooks(startup, { pool, redis: lineRedis.first, registry })
  const polled = { registry, intervalMs: METRICS_INTERVAL_MS }
  closers.push(
    'server metrics',
    watchServers({ ...polled, redis: lineRedis, askPostgres: () => pool.query('SELECT 1') }),
  )
  const health = await serveHealth({
    host: config.host,
    port: config.port,
    hostVariable: 'NOTIFIER_HOST',
    portVariable: 'NOTIFIER_PORT',
    registry,
    metricsToken: config.metricsToken,
    findUnreachable,
  })
  closers.push('health', () => health.close())
  return { port: health.port }
}

/** Opens the pool, and waits until PostgreSQL can be used. */
async function openDatabase({ config, log, closers }: Startup): Promise<Database> {
  const database = createDatabase({
    url: config.databaseUrl,
    schema: config.databaseSchema,
    poolSize: config.poolSize,
    applicationName: 'notifier',
    connectTimeoutMs: 2000,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    idleInTransactionTimeoutMs: STATEMENT_TIMEOUT_MS,
    onIdleError: (error) => log.warn({ err: error }, 'an idle PostgreSQL connection broke'),
  })
  closers.push('postgres', () => database.close())
  await whenReachable(
    () => checkDatabase(database.pool, config.databaseSchema),
    (error) => log.warn({ err: error }, 'waiting for PostgreSQL'),
  )
  return database
}

/** Dispatches changes and delivers them. */
async function serveWebhooks(
  { config, log, closers }: Startup,
  { pool, redis, registry }: { pool: Pool; redis: Redis; registry: Registry },
): Promise<void> {
  const clock = systemClock
  const { layout } = config
  /** Aborted when no further request may begin. */
  const stopping = new AbortController()
  /** Aborted when the requests that are under way must end. */
  const cut = new AbortController()

  let epoch = ''
  const endpoints = watchEndpoints({
    async read() {
      const read = await readEndpoints(pool)
      epoch = read.epoch
      return read
    },
    secretKeys: config.secretKeys,
    async adoptEpoch() {
      if (await adoptEpoch(pool)) log.warn('a new epoch began: all cursors were set to the present')
    },
    onMoreWanted: () => dispatcher.compare(),
    log,
  })
  closers.push('endpoints', () => endpoints.stop())

  const metrics = createMetrics(registry, {
    disabled: endpoints.countDisabled,
    requests: () => slots.count(),
  })
  const queue = createDeliveryQueue(redis, layout)
  closers.push('queue', () => queue.close())
  const slots = createSlots((webhookId, free) => void addBacklog(webhookId, free), clock)

  async function addBacklog(webhookId: string, free: number): Promise<void> {
    try {
      const keys = await findDueCursors(pool, webhookId, free)
      await queue.hurry(keys)
      if (keys.length === free) slots.backlogged(webhookId)
    } catch (err) {
      log.warn({ err, webhookId }, 'could not add the backlog of an endpoint')
      slots.backlogged(webhookId)
    }
  }

  /**
   * Selects the cursors that get a job now: of each endpoint, as many as can run soon. The others
   * get their jobs later, so that the backlog of an endpoint is in PostgreSQL and not in Redis.
   */
  function admit(keys: readonly CursorKey[]): CursorKey[] {
    const byWebhook = Map.groupBy(keys, ({ webhookId }) => webhookId)
    return [...byWebhook].flatMap(([webhookId, ofWebhook]) =>
      ofWebhook.slice(0, slots.admit(webhookId, ofWebhook.length)),
    )
  }

  const recovery = createRecovery({
    pool,
    hurryDeliveries: (keys) => queue.hurry(admit(keys)),
    clock,
    log,
  })
  const send = createSend({
    sender: createSender({ rules: config.addressRules }),
    cut: cut.signal,
    onSent: metrics.sent,
    clock,
  })
  const dispatcher = startDispatcher({
    pool,
    endpoints,
    addDeliveries: (keys) => queue.add(admit(keys)),
    hurryDeliveries: (keys) => queue.hurry(admit(keys)),
    log,
    clock,
  })
  closers.push('dispatcher', () => dispatcher.stop())

  const deliver = createDeliver({
    pool,
    endpoints,
    slots,
    send,
    onDelivered(endpoint, { decidedAtMs }) {
      metrics.delivered(clock.wallMs() - decidedAtMs)
      recovery.succeeded(endpoint)
    },
    onFailed({ webhookId }, { disabled }) {
      recovery.failed(webhookId)
      if (disabled === undefined) return
      metrics.disabled(disabled)
      log.warn({ webhookId, reason: disabled }, 'an endpoint was disabled')
    },
    onParked({ webhookId }, { eventId }) {
      metrics.parked()
      log.warn({ webhookId, eventId }, 'a delivery was parked after three days of failures')
    },
    stopping: stopping.signal,
    clock,
  })
  const replay = createReplay({
    pool,
    endpoints,
    send,
    readEpoch: () => epoch,
    stopping: stopping.signal,
    clock,
  })
  await whenReachable(endpoints.refresh, (error) =>
    log.warn({ err: error }, 'waiting for PostgreSQL'),
  )
  const { release } = recovery
  const deliveries = startDeliveries({
    ...{ redis, layout, pool, queue, endpoints, slots, deliver, replay, release, send },
    clock,
    log,
  })
  closers.push('deliveries', async () => {
    stopping.abort()
    const cutting = setTimeout(() => cut.abort(), config.shutdownGraceMs / 2)
    await deliveries.stop()
    clearTimeout(cutting)
  })

  const reader = createReaderRedis(firstTarget(config.redis, layout)).on('error', () => undefined)
  reconnectTogether(redis, reader)
  const announcements = followAnnouncements({
    redis: reader,
    layout,
    onChange: dispatcher.announced,
    onListening: dispatcher.compare,
  })
  closers.push('announcements', () => announcements.close())
  announcements.start()

  const pruning = every(PRUNE_INTERVAL_MS, (signal) => pruneWebhooks(pool, signal), {
    onError: (err) => log.warn({ err }, 'could not remove old attempts'),
  })
  closers.push('pruning', () => void pruning.stop())
  const measuring = every(
    METRICS_INTERVAL_MS,
    async () => {
      const lag = await readWebhookLag(pool)
      const uncomparedMs = clock.steadyMs() - dispatcher.comparedAtMs()
      const behindMs = uncomparedMs > COMPARED_WITHIN_MS ? uncomparedMs : 0
      metrics.lag({ ...lag, seconds: Math.max(lag.seconds, behindMs / 1000) })
    },
    { immediately: true, onError: (err) => log.warn({ err }, 'could not read the lag') },
  )
  closers.push('lag', () => void measuring.stop())
}
