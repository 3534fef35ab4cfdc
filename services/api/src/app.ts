import type { Availability, LineClient } from '@ticket-line/line/client'
import type { Log } from '@ticket-line/shared'
import type { Tracing } from '@ticket-line/telemetry'
import { Hono } from 'hono'
import { jobRoutes } from './booking/job-routes.js'
import { bookingRoutes } from './booking/routes.js'
import { listRoutes } from './events/list-routes.js'
import type { EventReads } from './events/reads.js'
import { eventRoutes } from './events/routes.js'
import type { TrustedProxies } from './http/client-address.js'
import type { AppEnv } from './http/env.js'
import { problemResponse, respondError } from './http/problem.js'
import { replyPlain } from './http/reply.js'
import { createEntry } from './http/request-context.js'
import { createTraceEntry } from './http/request-trace.js'
import { type Guards, mountRoutes, type Route } from './http/route.js'
import type { Lifecycle } from './lifecycle.js'
import type { ConcurrencyLimit } from './limits/concurrency-limit.js'
import type { ExportPlaces } from './limits/exports.js'
import { docsRoutes } from './openapi/routes.js'
import type { Metrics } from './operations/metrics.js'
import { operationRoutes } from './operations/routes.js'

/** What the whole HTTP side is made of. */
export interface AppDeps {
  log: Log
  metrics: Metrics
  /** Traces of requests, where they are on. */
  tracing?: Tracing | undefined
  lifecycle: Lifecycle
  /** What a client has to send to read `/metrics`; everybody may if it is absent. */
  metricsToken?: string | undefined
  trustedProxies: TrustedProxies
  /** Bounds the requests under way in this process. */
  requests: ConcurrencyLimit
  /** Bounds the clients that wait for a job. While they wait, they do not count as requests. */
  longPolls: ConcurrencyLimit
  guards: Guards
  line: LineClient
  availability: Availability
  events: EventReads
  initializeOpen: boolean
  /** How long `/book` and `/cancel` await their answer without a preference, ms. */
  resultWaitMs: number
  /** How long a read may take before it is answered 503, ms. */
  readTimeoutMs: number
  /** How long a client of an export may take nothing before it is cut, ms. */
  exportStallTimeoutMs: number
  /** Longest duration of an export, ms. */
  exportTimeoutMs: number
  /** Bounds the downloads of lists. */
  exports: ExportPlaces
  /** Registration, sign-in and roles; none where local accounts are off. */
  accountRoutes: readonly Route[]
  /** Puts the dashboard at its place. */
  registerAdmin?: (app: Hono<AppEnv>) => void
}

/** All routes of the contract, in the order in which they are documented. */
export function createRoutes(deps: AppDeps): Route[] {
  const routes = [
    ...deps.accountRoutes,
    ...bookingRoutes(deps),
    ...jobRoutes(deps),
    ...eventRoutes(deps),
    ...listRoutes(deps),
    ...operationRoutes(deps),
  ]
  return [...routes, ...docsRoutes(routes)]
}

/** The application: request in, response out. It opens nothing and listens nowhere. */
export function createApp(deps: AppDeps): Hono<AppEnv> {
  const app = new Hono<AppEnv>()
  if (deps.tracing !== undefined) app.use(createTraceEntry(deps.tracing))
  app.use(createEntry(deps))
  app.onError((error, c) => respondError(c, error))
  app.notFound(async (c) => {
    const refusal = await deps.guards.limits.unmatched(c)
    return refusal ?? replyPlain(c, problemResponse('not_found', 'There is nothing at this path.'))
  })
  mountRoutes(app, createRoutes(deps), deps.guards)
  deps.registerAdmin?.(app)
  return app
}
