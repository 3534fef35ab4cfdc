import type { Availability } from '@ticket-line/line/client'
import { AppError } from '@ticket-line/shared'
import { createMetricsGuard, createMetricsPage } from '@ticket-line/telemetry'
import { z } from 'zod'
import { reply, replyText } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import type { Lifecycle } from '../lifecycle.js'
import type { Metrics } from './metrics.js'

export interface OperationDeps {
  availability: Availability
  lifecycle: Lifecycle
  metrics: Pick<Metrics, 'registry'>
  /** What a client has to send to read metrics; everybody may if it is absent. */
  metricsToken?: string | undefined
}

const readySchema = z.strictObject({ status: z.literal('ready') })

/** Probes and metrics for operators, not limited. Probes need no token. */
export function operationRoutes({
  availability,
  lifecycle,
  metrics,
  metricsToken,
}: OperationDeps): Route[] {
  // The OpenAPI document is made from routes without dependencies, so `metrics` may be missing.
  const page = metrics && createMetricsPage(metrics.registry)
  const mayRead = createMetricsGuard(metricsToken)
  const probe = { method: 'GET', auth: 'none', limit: 'none', ignoresQuery: true } as const
  return [
    defineRoute({
      ...probe,
      path: '/livez',
      docs: {
        tag: 'Operations',
        summary: 'Is the process alive',
        responses: {
          200: { description: 'It is.', schema: z.strictObject({ status: z.literal('alive') }) },
        },
      },
      handler: (c) => reply(c, 200, { status: 'alive' }),
    }),
    defineRoute({
      ...probe,
      path: '/readyz',
      docs: {
        tag: 'Operations',
        summary: 'Should it be sent requests',
        responses: {
          200: { description: 'Yes.', schema: readySchema },
          503: {
            description: 'No: a server it needs is out of reach, or it is stopping.',
            schema: z.strictObject({
              status: z.enum(['unavailable', 'stopping']),
              unreachable: z.array(z.enum(['postgres', 'redis'])),
            }),
          },
        },
      },
      handler(c) {
        const unreachable = []
        if (!availability.postgres()) unreachable.push('postgres')
        if (!availability.redis()) unreachable.push('redis')
        if (lifecycle.draining) return reply(c, 503, { status: 'stopping', unreachable })
        if (unreachable.length > 0) return reply(c, 503, { status: 'unavailable', unreachable })
        return reply(c, 200, { status: 'ready' })
      },
    }),
    defineRoute({
      ...probe,
      path: '/metrics',
      docs: {
        tag: 'Operations',
        summary: 'Numbers for Prometheus',
        description:
          'At most a second old. With `METRICS_TOKEN` set, the token has to be sent as a bearer token.',
        responses: {
          200: {
            description: 'Text exposition format.',
            otherMediaTypes: { 'text/plain': '# HELP …\n' },
          },
        },
        problems: ['unauthorized'],
      },
      async handler(c) {
        if (!mayRead(c.req.header('authorization'))) {
          throw new AppError('unauthorized', 'Reading metrics needs a token.', {
            headers: { 'WWW-Authenticate': 'Bearer' },
          })
        }
        const { body, contentType } = await page()
        return replyText(c, 200, body, contentType)
      },
    }),
  ]
}
