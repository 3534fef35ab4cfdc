import type { LineTimes } from '@ticket-line/line/server'
import {
  type Basics,
  ConfigError,
  type Env,
  type LineLayout,
  readBasics,
  readChangesRetentionDays,
  readEnv,
  readLineLayout,
  readRetentionHours,
} from '@ticket-line/shared'
import { readMetricsToken, readTracingConfig, type TracingConfig } from '@ticket-line/telemetry'

/** The configuration of a worker process. `docs/configuration.md` lists the variables. */
export interface WorkerConfig extends Basics {
  layout: LineLayout
  /** Address of `/livez`, `/readyz` and `/metrics`. */
  host: string
  /** 0 picks a free port. */
  port: number
  /** The bearer token that `/metrics` requires. If undefined, anyone may read `/metrics`. */
  metricsToken: string | undefined
  times: LineTimes
  lineIdleMs: number
  maxOpenLines: number
  sweepIntervalMs: number
  poolSize: number
  statementTimeoutMs: number
  idleInTransactionTimeoutMs: number
  /**
   * How long a stopping process may take, ms. In the last part of it, the process leaves its jobs
   * to other workers.
   */
  shutdownGraceMs: number
  /** How long outcomes are kept, in hours. */
  outcomeRetentionHours: number
  /** How long changes are kept, in days. */
  changesRetentionDays: number
  pruneIntervalMs: number
  /**
   * If false, workers apply nothing that is due. Operators set it after they restored an older
   * PostgreSQL, in which holds look overdue although they were confirmed or extended later.
   */
  holdExpiry: boolean
  /** Where traces are sent; undefined if they are off. */
  tracing: TracingConfig | undefined
}

/** @throws ConfigError that names the variable with an unusable value */
export function readConfig(environment: Env): WorkerConfig {
  const env = readEnv(environment)
  const ms = (name: string, fallback: number, max = 3_600_000, min = 1) =>
    env.integer(name, fallback, { min, max })
  const times = {
    lockDurationMs: ms('LINE_LOCK_MS', 1500, 600_000, 500),
    stalledIntervalMs: ms('LINE_STALLED_INTERVAL_MS', 500, 600_000, 50),
  }
  const idleInTransactionTimeoutMs = ms('PG_IDLE_IN_TRANSACTION_TIMEOUT_MS', 3000, 600_000, 100)
  const lineIdleMs = ms('LINE_IDLE_MS', 60_000, 86_400_000, 1000)
  if (times.stalledIntervalMs > times.lockDurationMs) {
    throw new ConfigError('LINE_STALLED_INTERVAL_MS must not be longer than LINE_LOCK_MS')
  }
  return {
    ...readBasics(env),
    layout: readLineLayout(env),
    host: env.text('WORKER_HOST', '127.0.0.1'),
    metricsToken: readMetricsToken(env),
    port: env.integer('WORKER_PORT', 0, { min: 0, max: 65_535 }),
    times,
    lineIdleMs,
    maxOpenLines: env.integer('MAX_OPEN_LINES', 5000, { min: 1, max: 1_000_000 }),
    sweepIntervalMs: ms('LINE_SWEEP_INTERVAL_MS', 10_000, 600_000, 100),
    poolSize: env.integer('WORKER_PG_POOL', 16, { min: 2, max: 500 }),
    statementTimeoutMs: ms('WORKER_PG_STATEMENT_TIMEOUT_MS', 10_000, 600_000, 100),
    idleInTransactionTimeoutMs,
    shutdownGraceMs: ms('SHUTDOWN_GRACE_MS', 5000, 600_000, 0),
    outcomeRetentionHours: readRetentionHours(env),
    changesRetentionDays: readChangesRetentionDays(env),
    tracing: readTracingConfig(environment, 'booking-worker'),
    holdExpiry: env.oneOf('HOLD_EXPIRY', 'on', ['on', 'off']) === 'on',
    pruneIntervalMs: ms('PRUNE_INTERVAL_MS', 60_000, 86_400_000, 100),
  }
}
