import type { Availability } from '@ticket-line/line/client'
import { AppError } from '@ticket-line/shared'
import { createMetricsGuard } from '@ticket-line/telemetry'
import { z } from 'zod'
import { sendText } from '../http/reply.js'
import type { Lifecycle } from '../http/request-context.js'
import { defineRoute, type Route } from '../http/route.js'
import type { Metrics } from './metrics.js'

export interface OperationDeps {
  availability: Availability
  lifecycle: Lifecycle
  metrics: Pick<Metrics, 'page'>
  /** The token that `/metrics` requires; if absent, anyone may read it. */
  metricsToken?: string | undefined
}

/**
 * Probes and metrics for operators. They are not rate limited. The OpenAPI document leaves them
 * out, because clients have no use for them.
 */
export function operationRoutes(deps: OperationDeps): Route[] {
  return [livenessRoute, readinessRoute(deps), metricsRoute(deps)]
}

const probe = { method: 'GET', auth: 'none', limit: 'none', ignoresQuery: true } as const

const livenessRoute = defineRoute({
  ...probe,
  path: '/livez',
  responses: {
    200: {
      description: 'The process is alive.',
      schema: z.strictObject({ status: z.literal('alive') }),
    },
  },
  handler: (c, _input, reply) => reply(c, 200, { status: 'alive' }),
})

function readinessRoute({ availability, lifecycle }: OperationDeps): Route {
  return defineRoute({
    ...probe,
    path: '/readyz',
    responses: {
      200: {
        description: 'The process accepts requests.',
        schema: z.strictObject({ status: z.literal('ready') }),
      },
      503: {
        description: 'A server that it needs is unavailable, or the process is stopping.',
        schema: z.strictObject({
          status: z.enum(['unavailable', 'stopping']),
          unreachable: z.array(z.enum(['postgres', 'redis'])),
        }),
      },
    },
    handler(c, _input, reply) {
      const unreachable: ('postgres' | 'redis')[] = []
      if (!availability.postgres()) unreachable.push('postgres')
      if (!availability.redis()) unreachable.push('redis')
      if (lifecycle.draining) return reply(c, 503, { status: 'stopping', unreachable })
      if (unreachable.length > 0) return reply(c, 503, { status: 'unavailable', unreachable })
      return reply(c, 200, { status: 'ready' })
    },
  })
}

function metricsRoute({ metrics, metricsToken }: OperationDeps): Route {
  const mayRead = createMetricsGuard(metricsToken)
  return defineRoute({
    ...probe,
    path: '/metrics',
    async handler(c) {
      if (!mayRead(c.req.header('authorization'))) {
        throw new AppError('unauthorized', 'Reading metrics needs a token.', {
          headers: { 'WWW-Authenticate': 'Bearer' },
        })
      }
      const { body, contentType } = await metrics.page()
      return sendText(c, 200, body, contentType)
    },
  })
}
