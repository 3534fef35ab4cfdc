import { generateKeyPairSync } from 'node:crypto'
import type { LineClient } from '@ticket-line/line/client'
import { createLog } from '@ticket-line/shared'
import { Redis } from 'ioredis'
import { createApp } from './app.js'
import { createDashboard } from './dashboard/index.js'
import { createConcurrencyLimit } from './limits/concurrency.js'
import { createExportLimit } from './limits/export-limit.js'
import { createMetrics } from './operations/metrics.js'
import { wireIdentity } from './wire-identity.js'

/** One entry of the app's routing table. */
export interface AppRoute {
  method: string
  /** Hono's template, such as `/status/:eventId`. */
  path: string
}

/**
 * Lists the routes of an installation with all features: local accounts, keys of its own and the
 * dashboard. It reads the app's own routing table, so that a security test misses no route. It
 * opens no connection, so the handlers must not be called.
 */
export async function listRoutes(): Promise<AppRoute[]> {
  const log = createLog('routes', 'silent')
  const redis = new Redis({ lazyConnect: true })
  const availability = { redis: () => true, postgres: () => true }
  const { privateKey } = generateKeyPairSync('ed25519')
  const identity = await wireIdentity({
    config: {
      auth: {
        privateKeys: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
        localAccounts: true,
      },
      accounts: { hashConcurrency: 1 },
      cookies: { always: false, trustProxy: false },
      limits: { windowMs: 1000, requests: 1, polls: 1, signInFailures: 1 },
    },
    db: {} as never,
    redis,
    prefix: 'routes:',
    postgres: { availability, timeoutMs: 100 },
    log,
  })
  const app = createApp({
    log,
    metrics: createMetrics(),
    lifecycle: { draining: false },
    trustedProxies: { hops: 0, networks: undefined },
    requests: createConcurrencyLimit(1),
    longPolls: createConcurrencyLimit(1),
    guards: identity.guards,
    line: {} as LineClient,
    availability,
    events: {} as never,
    initializeOpen: false,
    resultWaitMs: 0,
    readTimeoutMs: 0,
    exportStallTimeoutMs: 0,
    exportTimeoutMs: 0,
    exports: createExportLimit({ max: 1, prefix: 'routes:', log }),
    accounts: identity.accounts,
    publicKeys: identity.keyring,
    dashboard: createDashboard({
      writable: false,
      verifyToken: identity.verifyToken,
      overrides: identity.overrides,
      isSecure: identity.isSecure,
      signIn: identity.accounts?.signIn,
      sessionKey: identity.keyring.session,
      limit: identity.guards.limits.dashboard,
      limitSignIn: identity.guards.limits.login,
      redis,
      prefix: 'routes:',
      log,
      recentLines: async () => [],
      isLine: () => false,
      lineOf: () => 'event-1',
      queueOf: () => undefined as never,
    }),
  })
  const routes = new Map<string, AppRoute>()
  for (const { method, path } of app.routes) {
    // `ALL` entries are middleware, and the 405 of a path.
    if (method !== 'ALL') routes.set(`${method} ${path}`, { method, path })
  }
  return [...routes.values()]
}
