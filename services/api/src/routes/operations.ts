import { z } from 'zod'
import { reply, replyText } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import type { Lifecycle } from '../lifecycle.js'
import type { Metrics } from '../metrics.js'
import type { Availability } from '../queue/line-client.js'

export interface OperationDeps {
  availability: Availability
  lifecycle: Lifecycle
  metrics: Pick<Metrics, 'registry'>
}

const readySchema = z.strictObject({ status: z.literal('ready') })

/** Probes and numbers for operators; not limited, and open to whoever reaches the port. */
export function operationRoutes({ availability, lifecycle, metrics }: OperationDeps): Route[] {
  const probe = { method: 'GET', auth: 'none', limit: 'none' } as const
  return [
    defineRoute({
      ...probe,
      path: '/livez',
      docs: {
        tag: 'Operations',
        summary: 'Is the process alive',
        responses: { 200: { description: 'It is.', schema: z.strictObject({ status: z.literal('alive') }) } },
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
        responses: {
          200: { description: 'Text exposition format.', otherMediaTypes: { 'text/plain': '# HELP …\n' } },
        },
      },
      handler: async (c) => replyText(c, 200, await metrics.registry.metrics(), metrics.registry.contentType),
    }),
  ]
}
