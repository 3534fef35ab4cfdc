import { generateKeyPairSync } from 'node:crypto'
import { createLog } from '@ticket-line/shared'
import { Redis } from 'ioredis'
import { registerAdminRoutes } from '../../services/api/src/dashboard/index.ts'
import { appUnderTest } from '../../services/api/src/testing/app-under-test.ts'
import { createIdentity } from '../../services/api/src/wire-identity.ts'

/** One entry of the application's own routing table. */
export interface AppRoute {
  method: string
  /** The pattern it is registered with, such as `/status/:eventId`. */
  path: string
}

/**
 * Every route of an installation with local accounts, its own signing keys and the dashboard. The
 * list is read from the application, so a new route appears here by itself. The handlers have no
 * servers behind them and are never called.
 */
export async function appRoutes(): Promise<AppRoute[]> {
  const privateKeys = generateKeyPairSync('ed25519').privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  })
  const log = createLog('test', 'silent')
  // Never connects, because no command is sent to it.
  const redis = new Redis({ lazyConnect: true })
  const identity = await createIdentity({
    config: {
      secret: new TextEncoder().encode('k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO'),
      privateKeys: String(privateKeys),
      localAccounts: true,
      cookies: { always: false, trustProxy: false },
      hashConcurrency: 1,
    },
    limits: { windowMs: 1000, requests: 1, polls: 1, signInFailures: 1 },
    db: {} as never,
    redis,
    prefix: 'test:',
    reach: { availability: { postgres: () => true }, timeoutMs: 100 },
    log,
  })
  const app = appUnderTest({
    guards: identity.guards,
    accountRoutes: identity.routes,
    registerAdmin: (hono) =>
      registerAdminRoutes(hono, {
        config: { writable: false },
        identity,
        limit: identity.guards.limits.dashboard,
        limitSignIn: identity.guards.limits.login,
        redis,
        prefix: 'test:',
        log,
        recentLines: async () => [],
        isLine: () => false,
        lineOf: () => 'event-1',
        queueOf: () => undefined as never,
      }),
  })
  const seen = new Map<string, AppRoute>()
  for (const { method, path } of app.routes) {
    // `ALL` entries are no routes: they are middleware and the 405 handlers.
    if (method !== 'ALL') seen.set(`${method} ${path}`, { method, path })
  }
  return [...seen.values()]
}
