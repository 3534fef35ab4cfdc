import { randomUUID } from 'node:crypto'
import type { Log } from '@ticket-line/shared'
import type { Context, MiddlewareHandler } from 'hono'
import type { Lifecycle } from '../lifecycle.js'
import type { ConcurrencyLimit } from '../limits/concurrency-limit.js'
import type { Metrics } from '../operations/metrics.js'
import { createClientAddress, type TrustedProxies } from './client-address.js'
import type { AppEnv } from './env.js'
import { METHODS, OTHER_METHOD } from './methods.js'
import { problemResponse } from './problem.js'
import { replyPlain } from './reply.js'

export interface EntryDeps {
  log: Log
  metrics: Pick<Metrics, 'requests' | 'rateLimited'>
  lifecycle: Lifecycle
  /** The proxies whose word about the client's address counts. */
  trustedProxies: TrustedProxies
  /** Bounds the requests under way in this process. */
  requests: ConcurrencyLimit
}

/** Answered however many requests are under way, because a busy process must not look dead. */
const PROBES = new Set(['/livez', '/readyz', '/metrics'])

const BUSY =
  'The service has as many requests under way as it takes. Nothing was changed, please try again.'

const SANE_REQUEST_ID = /^[\w.:+/=@-]{1,128}$/

/**
 * What every request passes through, in one function since each layer of its own costs as much as all it does here:
 * request id, client address, headers that every answer carries, log line, time.
 */
export function createEntry({
  log,
  metrics,
  lifecycle,
  trustedProxies,
  requests,
}: EntryDeps): MiddlewareHandler<AppEnv> {
  const trustsAny = trustedProxies.hops > 0 || trustedProxies.networks !== undefined
  const addressOf = createClientAddress({
    trust: trustedProxies,
    onUnknownForm: (entry) =>
      log.warn(
        { entry },
        'X-Forwarded-For contains an entry that is no address: its clients share one limit',
      ),
  })
  return async function entry(c, next) {
    const startedAt = performance.now()
    const given = c.req.header('x-request-id')
    const requestId = given !== undefined && SANE_REQUEST_ID.test(given) ? given : randomUUID()
    const remote = c.env?.incoming?.socket.remoteAddress ?? ''
    const forwardedFor = trustsAny ? c.req.header('x-forwarded-for') : undefined
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
    collectHeaders(c, headers)
    if (PROBES.has(c.req.path)) await next()
    else if (!requests.enter())
      c.res = replyPlain(c, problemResponse('busy', BUSY, { headers: { 'retry-after': '1' } }))
    else {
      try {
        await next()
      } finally {
        requests.leave()
      }
    }
    sendCollected(c, headers)
    // It may have begun while this request waited.
    if (lifecycle.draining) c.res.headers.set('connection', 'close')
    const { status } = c.res
    const seconds = (performance.now() - startedAt) / 1000
    metrics.requests.observe({ route: routeOf(c), method: methodOf(c), status }, seconds)
    if (status === 429) metrics.rateLimited.inc()
    // A 503 is no news: what is out of reach was logged when it went, and a rush may be refused thousands of times.
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

/** A bounded set of labels, whatever paths clients make up. */
function routeOf(c: Context<AppEnv>): string {
  return c.get('route') ?? (c.req.path.startsWith('/admin') ? '/admin' : 'other')
}

/**
 * A method that the route has, or `other`, which bounds the number of series whatever clients send.
 */
function methodOf(c: Context<AppEnv>): string {
  const { method } = c.req
  const label = c.get('route') === undefined ? OTHER_METHOD : c.get('methodLabel')
  return label ?? (METHODS.has(method) ? method : OTHER_METHOD)
}

/** Lets `c.header()`, which rate limiter and cookies call, write into the record (see {@link AppEnv}). */
function collectHeaders(c: Context<AppEnv>, headers: Record<string, string>): void {
  c.header = (name, value, options) => {
    const key = name.toLowerCase()
    if (value === undefined) delete headers[key]
    else if (options?.append && headers[key] !== undefined) headers[key] += `, ${value}`
    else headers[key] = value
  }
}

/** Answers that did not leave through `reply` (a dashboard's pages) get what was collected where they say nothing. */
function sendCollected(c: Context<AppEnv>, headers: Record<string, string>): void {
  if (c.get('replied') === c.res) return
  for (const [name, value] of Object.entries(headers)) {
    if (!c.res.headers.has(name)) c.res.headers.set(name, value)
  }
}
