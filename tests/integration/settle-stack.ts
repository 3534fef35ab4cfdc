import { createInstallationStore } from '@ticket-line/db'
import { createReadiness, joinRecovery, lineBase, lineNameOf, onOneServer } from '@ticket-line/line'
import { createLineClient, type LineService } from '@ticket-line/line/client'
import { createSettleStore, createSettles, type Settles } from '@ticket-line/line/server'
import { createLog, type LineLayout, newJobId, systemClock } from '@ticket-line/shared'
import { Redis } from 'ioredis'
import pg from 'pg'
import { expect, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { fillHeldEvent, type HeldEvent } from '../stack/due-rows.ts'
import { metricIn, readMetrics } from '../stack/metrics.ts'
import type { Servers } from '../stack/servers.ts'
import { type System, startSystem } from '../stack/system.ts'
import { OUR_REDIS } from './line-stack.ts'

const silent = createLog('test', 'silent')

/** A database with holds, and the workers that settle them. */
export interface SettleStack {
  system: System
  redis: Redis
  /** The API's end of the line. */
  line: LineService
  /** Adds settles as a worker does. */
  settles: Settles
  query<Row extends Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>
  fill(event: HeldEvent): Promise<void>
  key(eventId: number, name: string): string
  /** How many bookings of an event have each status. */
  statuses(eventId: number): Promise<Record<string, number>>
  /** Waits until this many holds of an event have lapsed, also while PostgreSQL is away. */
  lapsed(eventId: number, holds: number): Promise<void>
  /** Waits until an event has nothing due. */
  settled(eventId: number): Promise<void>
  /** The decided settles of an event, in order. */
  decidedSettles(eventId: number): Promise<{ command_id: string; outcome: string; at: Date }[]>
  /** The value of a metric of the first worker. */
  metric(name: string): Promise<number>
}

/** Starts a system without an API. It is stopped when the test has finished. */
export async function createSettleStack({
  workers = 1,
  env = {},
  servers,
}: {
  workers?: number
  env?: Record<string, string>
  /** Default: the servers of the run. */
  servers?: Servers
} = {}): Promise<SettleStack> {
  const system = await startSystem({ apis: 0, workers, env, ...(servers && { servers }) })
  onTestFinished(() => system.stop())
  const layout: LineLayout = { sharedLines: 0, shards: 1, keyPrefix: system.keyPrefix }
  const pool = new pg.Pool({ connectionString: system.databaseUrl, max: 3 })
  pool.on('error', () => undefined)
  onTestFinished(() => pool.end())
  const redis = new Redis(system.redisUrl)
  redis.on('error', () => undefined)
  onTestFinished(() => redis.disconnect())
  await createInstallationStore(pool).readOrCreate(layout)
  const readiness = createReadiness()
  const recovery = joinRecovery({
    redis: onOneServer(redis, layout),
    pool,
    layout,
    readiness,
    installation: OUR_REDIS,
    onRescued: () => undefined,
    log: silent,
  })
  onTestFinished(() => recovery.stop())
  const line = createLineClient({
    redis: { kind: 'single', url: system.redisUrl },
    pool,
    layout,
    readiness,
    maxQueueDepth: 20_000,
    holdMs: 100,
    redisTimeoutMs: 400,
    probeMs: 250,
    probeTimeoutMs: 500,
    log: silent,
  })
  onTestFinished(() => line.close())
  const isReady = () =>
    readiness.isReady() && line.availability.redis() && line.availability.postgres()
  await until(isReady, { timeoutMs: 10_000 })
  const query: SettleStack['query'] = async (sql, values) => (await pool.query(sql, values)).rows
  async function statuses(eventId: number): Promise<Record<string, number>> {
    const rows = await query<{ status: string; count: number }>(
      'SELECT status, count(*)::int AS count FROM bookings WHERE event_id = $1 GROUP BY 1',
      [eventId],
    )
    return Object.fromEntries(rows.map(({ status, count }) => [status, count]))
  }
  return {
    system,
    redis,
    line,
    settles: createSettles({
      store: createSettleStore(onOneServer(redis, layout), layout),
      layout,
      newJobId,
      log: silent,
      clock: systemClock,
    }),
    query,
    fill: (event) => fillHeldEvent(pool, event),
    key: (eventId, name) => `${lineBase(lineNameOf(eventId, layout), layout)}${name}`,
    statuses,
    async lapsed(eventId, holds) {
      const isLapsed = async () =>
        (await statuses(eventId).catch(() => ({ expired: 0 }))).expired === holds
      expect(await until(isLapsed, { timeoutMs: 60_000, everyMs: 20 })).toBe(true)
    },
    async settled(eventId) {
      const isSettled = async () => {
        const [event] = await query<{ settled: boolean }>(
          'SELECT coalesce(due_at > clock_timestamp(), true) AS settled FROM events WHERE event_id = $1',
          [eventId],
        )
        return event?.settled === true
      }
      expect(await until(isSettled, { timeoutMs: 30_000, everyMs: 20 })).toBe(true)
    },
    decidedSettles: (eventId) =>
      query(
        `SELECT command_id, outcome, decided_at AS at FROM commands WHERE event_id = $1 AND type = 'settle' ORDER BY decided_at`,
        [eventId],
      ),
    async metric(name) {
      return metricIn(await readMetrics(system.workers[0]?.url as string), name)
    },
  }
}

/** When a settle of an event is due, ms since 1970. */
export async function dueAtOf({ query }: SettleStack, eventId: number): Promise<number> {
  const [row] = await query<{ due_at: Date }>('SELECT due_at FROM events WHERE event_id = $1', [
    eventId,
  ])
  return Number(row?.due_at)
}
