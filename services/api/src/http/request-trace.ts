import type { Tracing } from '@ticket-line/telemetry'
import type { MiddlewareHandler } from 'hono'
import type { AppEnv } from './env.js'
import { METHODS } from './methods.js'

/** Nobody wants a trace for each time somebody looked whether the process is well. */
const UNTRACED = new Set(['/livez', '/readyz', '/metrics'])

/** One span a request, following the caller's `traceparent` where there is one. Mounted only where tracing is on. */
export function createTraceEntry(tracing: Tracing): MiddlewareHandler<AppEnv> {
  return async function traceEntry(c, next) {
    const { path } = c.req
    if (UNTRACED.has(path)) return next()
    // OpenTelemetry's name for unknown methods. The method is part of the span's name, and names
    // must be few.
    const method = METHODS.has(c.req.method) ? c.req.method : '_OTHER'
    const options = { kind: 'server', parent: c.req.header('traceparent') } as const
    await tracing.span(method, options, async (span) => {
      await next()
      const route = c.get('route')
      // The template, never the path: names must be few, and paths hold ids.
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
