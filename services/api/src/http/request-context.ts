import { randomUUID } from 'node:crypto'
import type { Log } from '@ticket-line/shared'
import type { Tracing } from '@ticket-line/telemetry'
import type { Context, MiddlewareHandler } from 'hono'
import type { Counter, Histogram } from 'prom-client'
import { createClientAddress, type TrustedProxies } from './client-address.js'
import type { Cors } from './cors.js'
import type { AppEnv } from './env.js'
import { problemResponse } from './problem.js'
import { retryAfter, sendPlain } from './reply.js'
import { METHODS, OTHER_METHOD } from './route.js'

/** Whether this process accepts work. */
export interface Lifecycle {
  /**
   * True once the process was asked to stop. `/readyz` then responds 503, and each response closes
   * its connection.
   */
  draining: boolean
}

export interface RequestContextDeps {
  log: Log
  metrics: {
    requests: Histogram<'route' | 'method' | 'status'>
    refusals: Counter<'limit'>
  }
  lifecycle: Lifecycle
  trustedProxies: TrustedProxies
  /** Limits the concurrent requests of this process. */
  requests: { enter(): boolean; leave(): void }
  /** Absent if no origin is allowed. */
  cors?: Cors | undefined
}

/**
 * Paths that are not subject to the concurrency limit, because a busy process must not look dead.
 * They are not traced, because nobody reads such spans.
 */
const PROBES = new Set(['/livez', '/readyz', '/metrics'])

/** Message of the 503 to a request beyond `MAX_REQUESTS`. */
export const OVERLOADED =
  'The service is handling as many requests as it can. Nothing was changed. Please try again.'

const SANE_REQUEST_ID = /^[\w.:+/=@-]{1,128}$/

/**
 * Prepares each request and records its response: request id, client address, common headers,
 * CORS, concurrency limit, metrics and log line. It is one middleware, because each additional one
 * would cost as much time as all of this.
 */
export function createRequestContext({
  log,
  metrics,
  lifecycle,
  trustedProxies,
  requests,
  cors,
}: RequestContextDeps): MiddlewareHandler<AppEnv> {
  const trustsProxies = trustedProxies.hops > 0 || trustedProxies.networks !== undefined
  const addressOf = createClientAddress({
    trust: trustedProxies,
    onUnknownForm: (entry) =>
      log.warn(
        { entry },
        'X-Forwarded-For contains an entry that is not an address; its clients share one rate limit',
      ),
  })
  return async function requestContext(c, next) {
    const startedAt = performance.now()
    const given = c.req.header('x-request-id')
    const requestId = given !== undefined && SANE_REQUEST_ID.test(given) ? given : randomUUID()
    const remote = c.env?.incoming?.socket.remoteAddress ?? ''
    const forwardedFor = trustsProxies ? c.req.header('x-forwarded-for') : undefined
    const headers: Record<string, string> = {
      'x-request-id': requestId,
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    }
    c.set('requestId', requestId)
    c.set('log', log)
    c.set('clientAddress', addressOf(remote, forwardedFor))
    c.set('headers', headers)
    if (cors !== undefined) Object.assign(headers, cors.headersFor(c.req.header('origin')))
    collectHeaders(c, headers)
    const preflight = cors?.answerPreflight(c)
    if (preflight !== undefined) c.res = preflight
    else if (PROBES.has(c.req.path)) await next()
    else if (!requests.enter()) {
      c.set('refusedBy', 'process_requests')
      c.res = sendPlain(c, problemResponse('busy', OVERLOADED, { headers: retryAfter(1) }))
    } else {
      try {
        await next()
      } finally {
        requests.leave()
      }
    }
    addCollectedHeaders(c, headers)
    // The process may have been asked to stop while this request was handled.
    if (lifecycle.draining) c.res.headers.set('connection', 'close')
    const { status } = c.res
    const seconds = (performance.now() - startedAt) / 1000
    metrics.requests.observe({ route: routeOf(c), method: methodOf(c), status }, seconds)
    if (status === 429 || status === 503) {
      const limit = c.get('refusedBy')
      if (limit !== undefined) metrics.refusals.inc({ limit })
    }
    // A 503 is logged at debug only: the loss of a server was logged when it happened, and the API
    // may refuse thousands of requests in a rush.
    const level = status === 500 ? 'warn' : 'debug'
    if (log.isLevelEnabled(level)) {
      const { method, path } = c.req
      log[level](
        { requestId, method, path, status, ms: Math.round(seconds * 1e6) / 1e3 },
        'request',
      )
    }
  }
}

/**
 * Records one span for each request. The span continues the trace of the caller's `traceparent`
 * header. Mounted only if tracing is on.
 */
export function createRequestTrace(tracing: Tracing): MiddlewareHandler<AppEnv> {
  return async function requestTrace(c, next) {
    const { path } = c.req
    if (PROBES.has(path)) return next()
    // `_OTHER` is OpenTelemetry's name for unknown methods. The span's name contains the method,
    // and the number of names must be bounded.
    const method = METHODS.has(c.req.method) ? c.req.method : '_OTHER'
    const options = { kind: 'server', parent: c.req.header('traceparent') } as const
    await tracing.span(method, options, async (span) => {
      await next()
      const route = c.get('route')
      // The template of the route, because paths contain ids.
      if (route !== undefined) span.rename(`${method} ${route}`)
      span.set({
        'http.request.method': method,
        'http.route': route ?? 'other',
        'http.response.status_code': c.res.status,
        'ticket_line.request_id': c.get('requestId'),
      })
    })
  }
}

/** The route label of metrics. The number of labels is bounded, whatever paths clients send. */
function routeOf(c: Context<AppEnv>): string {
  return c.get('route') ?? (c.req.path.startsWith('/admin') ? '/admin' : 'other')
}

/** The method label of metrics. The number of labels is bounded, whatever methods clients send. */
function methodOf(c: Context<AppEnv>): string {
  const { method } = c.req
  const label = c.get('route') === undefined ? OTHER_METHOD : c.get('methodLabel')
  return label ?? (METHODS.has(method) ? method : OTHER_METHOD)
}

/** Makes `c.header()`, which rate limits and cookies call, write into the record of headers. */
function collectHeaders(c: Context<AppEnv>, headers: Record<string, string>): void {
  c.header = (name, value, options) => {
    const key = name.toLowerCase()
    if (value === undefined) delete headers[key]
    else if (options?.append && headers[key] !== undefined) headers[key] += `, ${value}`
    else headers[key] = value
  }
}

/**
 * Adds the collected headers to responses that `sendText` did not create, such as the board's.
 */
function addCollectedHeaders(c: Context<AppEnv>, headers: Record<string, string>): void {
  if (c.get('replied') === c.res) return
  for (const [name, value] of Object.entries(headers)) {
    if (name === 'vary') c.res.headers.append(name, value)
    else if (!c.res.headers.has(name)) c.res.headers.set(name, value)
  }
}
