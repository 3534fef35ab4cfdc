import type { Availability, LineClient } from '@ticket-line/line/client'
import type { Log } from '@ticket-line/shared'
import type { Tracing } from '@ticket-line/telemetry'
import { Hono } from 'hono'
import { type AccountDeps, accountRoutes } from './accounts/routes.js'
import { type UserDeps, userRoutes } from './accounts/user-routes.js'
import type { AccountOverrides } from './auth/account-overrides.js'
import { jwksRoute } from './auth/jwks-route.js'
import type { Keyring } from './auth/keyring.js'
import { jobRoute } from './booking/job-routes.js'
import { bookingRoutes } from './booking/routes.js'
import type { Sales } from './booking/sales.js'
import { staffRoutes } from './booking/staff-routes.js'
import type { Dashboard } from './dashboard/index.js'
import { createRequireStaff, type EventAccess } from './events/access.js'
import { eventRoutes } from './events/event-routes.js'
import { listRoutes } from './events/list-routes.js'
import { myBookingsRoute } from './events/my-bookings.js'
import type { EventReads } from './events/reads.js'
import { statusRoutes } from './events/routes.js'
import { searchRoute } from './events/search.js'
import { eventStaffRoutes } from './events/staff-routes.js'
import type { TrustedProxies } from './http/client-address.js'
import type { Cors } from './http/cors.js'
import type { AppEnv } from './http/env.js'
import { NOT_FOUND, problemResponse, respondError } from './http/problem.js'
import { sendPlain } from './http/reply.js'
import { createRequestContext, createRequestTrace, type Lifecycle } from './http/request-context.js'
import { type Guards, mountRoutes, type Route } from './http/route.js'
import { type KeyDeps, keyRoutes } from './keys/routes.js'
import type { ConcurrencyLimit } from './limits/concurrency.js'
import type { ExportLimit } from './limits/export-limit.js'
import type { ChangeFeed } from './live/change-feed.js'
import { changesRoute } from './live/changes-route.js'
import { type StreamDeps, streamRoutes } from './live/routes.js'
import { docsRoutes } from './openapi/routes.js'
import type { Metrics } from './operations/metrics.js'
import { operationRoutes } from './operations/routes.js'
import { securityTxtRoute } from './operations/security-txt.js'
import type { BuiltFiles } from './pages/built-files.js'
import { pageRoutes } from './pages/routes.js'
import { type WebhookDeps, webhookRoutes } from './webhooks/routes.js'

/** What the routes and middleware need. */
export interface AppDeps extends WebhookDeps, KeyDeps {
  log: Log
  metrics: Metrics
  /** Records a span for each request; absent if tracing is off. */
  tracing?: Tracing | undefined
  lifecycle: Lifecycle
  /** The token that `/metrics` requires; if absent, anyone may read it. */
  metricsToken?: string | undefined
  trustedProxies: TrustedProxies
  /** Absent if pages of other origins may read nothing. */
  cors?: Cors | undefined
  /** Limits the concurrent requests of this process. */
  requests: ConcurrencyLimit
  /** Limits the clients that wait for a job or a change. They do not count as requests. */
  longPolls: ConcurrencyLimit
  guards: Guards
  line: LineClient
  availability: Availability
  events: EventReads
  /** Who is staff of which event. */
  access: EventAccess
  changes: ChangeFeed
  overrides: Pick<AccountOverrides, 'apply' | 'onChange'>
  sales: Sales
  streams: StreamDeps['streams']
  streamLimit: StreamDeps['streamLimit']
  initializeOpen: boolean
  /** How long a command without a preference waits for its decision, ms. */
  resultWaitMs: number
  /** How long a request waits for a read, ms. */
  readTimeoutMs: number
  /** An export ends if its client reads nothing for this long, ms. */
  exportStallTimeoutMs: number
  /** Maximum duration of an export, ms. */
  exportTimeoutMs: number
  /** Limits the downloads of lists. */
  exports: ExportLimit
  /** Absent without local accounts. */
  accounts?: (AccountDeps & UserDeps) | undefined
  /** URIs for `/.well-known/security.txt`; none by default. */
  securityContacts: readonly string[]
  /** Absent if the installation has no EdDSA keys of its own. */
  publicKeys?: Pick<Keyring, 'own'> | undefined
  dashboard?: Dashboard | undefined
  pages: BuiltFiles
}

/** All routes of the API, in the order of the documentation. */
export function createRoutes(deps: AppDeps): Route[] {
  const { accounts, publicKeys, dashboard } = deps
  const routes = [
    ...(accounts === undefined ? [] : [...accountRoutes(accounts), ...userRoutes(accounts)]),
    ...(publicKeys === undefined ? [] : [jwksRoute(publicKeys)]),
    ...bookingRoutes(deps),
    jobRoute(deps),
    ...statusRoutes(deps),
    searchRoute(deps),
    ...eventRoutes(deps),
    ...staffRoutes(deps),
    ...eventStaffRoutes(deps),
    myBookingsRoute(deps),
    ...listRoutes(deps),
    ...webhookRoutes(deps),
    ...keyRoutes(deps),
    changesRoute(deps),
    ...streamRoutes(deps),
    ...operationRoutes(deps),
    securityTxtRoute(deps.securityContacts),
    ...(dashboard?.routes ?? []),
    ...pageRoutes(deps.pages),
  ]
  return [...routes, ...docsRoutes(routes)]
}

/**
 * The routes of an installation with all features, for `docs/openapi.json`. A route uses its
 * dependencies only when a request arrives, so they can be missing here.
 */
export function documentedRoutes(): Route[] {
  const unused = {} as never
  return createRoutes({
    ...({} as AppDeps),
    accounts: unused,
    publicKeys: unused,
    webhookRules: { allowHttp: false, allowedHosts: new Set() },
    securityContacts: [],
  })
}

/** Creates the app. It opens no connection and does not listen. */
export function createApp(deps: AppDeps): Hono<AppEnv> {
  const { tracing, dashboard, guards } = deps
  const app = new Hono<AppEnv>()
  if (tracing !== undefined) app.use(createRequestTrace(tracing))
  app.use(createRequestContext(deps))
  app.onError((error, c) => respondError(c, error))
  app.notFound(async (c) => {
    const refusal = await guards.limits.unmatched(c)
    return refusal ?? sendPlain(c, problemResponse('not_found', NOT_FOUND))
  })
  if (dashboard !== undefined) app.use('/admin/*', ...dashboard.guards)
  const requireStaff = createRequireStaff(deps.access)
  mountRoutes(app, createRoutes(deps), { ...guards, requireStaff })
  dashboard?.board.mount(app)
  return app
}
