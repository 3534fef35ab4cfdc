import { generateKeyPairSync } from 'node:crypto'
import type { Database } from '@ticket-line/db'
import type { LineService } from '@ticket-line/line/client'
import { createLog } from '@ticket-line/shared'
import { Redis } from 'ioredis'
import { readConfig } from './config.js'
import type { ChangeWatch } from './live/change-watch.js'
import { createMetrics } from './operations/metrics.js'
import type { BuiltFiles } from './pages/built-files.js'
import { wireApp } from './wire-app.js'

/** One entry of the app's routing table. */
export interface AppRoute {
  method: string
  /** Hono's template, such as `/status/:eventId`. */
  path: string
}

/**
 * Reads the routing table of an installation with all features: local accounts, keys of its own and
 * the dashboard. The API and the board have filled their tables themselves, so a security test
 * misses no route. No connection is opened, so the handlers must not be called.
 */
export async function readRoutingTable(): Promise<AppRoute[]> {
  const { privateKey } = generateKeyPairSync('ed25519')
  const config = readConfig({
    DATABASE_URL: 'postgres://unused',
    REDIS_URL: 'redis://unused',
    LOCAL_ACCOUNTS: 'true',
    JWT_PRIVATE_KEYS: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  })
  const { app, dashboard } = await wireApp({
    config,
    databases: { main: {} as Database, exports: {} as Database },
    redis: new Redis({ lazyConnect: true }),
    line: {} as LineService,
    availability: { redis: () => true, postgres: () => true },
    changeWatch: {} as ChangeWatch,
    lifecycle: { draining: false },
    metrics: createMetrics(),
    cors: undefined,
    tracing: undefined,
    pages: {} as BuiltFiles,
    log: createLog('routes', 'silent'),
  })
  const routes = new Map<string, AppRoute>()
  for (const { method, path } of [...app.routes, ...dashboard.board.pages.routes]) {
    // `ALL` entries are middleware, and the 405 of a path.
    if (method !== 'ALL') routes.set(`${method} ${path}`, { method, path })
  }
  return [...routes.values()]
}
