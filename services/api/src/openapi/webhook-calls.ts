import { BATCH_TYPE, MAX_BATCH_CHANGES, TEST_TYPE } from '@ticket-line/webhooks'
import { z } from 'zod'
import type { ZodOpenApiPathsObject } from 'zod-openapi'
import { changeTypeSchema, shownEventId, timeSchema } from '../http/schemas.js'
import { changeSchema } from '../live/changes-route.js'

const epochSchema = z.string().meta({
  description:
    'Changes when the database is restored. Numbers of changes have a meaning in one epoch only.',
})

const { no, userId, bookingId, position, expiresAt, actor } = changeSchema.shape
const { origin, standing, reason } = changeSchema.shape.data.unwrap().shape

/** What a webhook says of a change: ids, and no text that a person wrote. */
const changedSchema = z.object({
  eventId: shownEventId,
  no,
  userId,
  bookingId,
  position,
  expiresAt,
  actor,
  origin,
  standing,
  reason,
})

const changeMessage = z
  .object({
    type: changeTypeSchema,
    timestamp: timeSchema,
    data: changedSchema.extend({ epoch: epochSchema }),
  })
  .meta({
    id: 'ChangeMessage',
    description: 'One change. Sent by webhooks of the format `single`.',
  })

const batchMessage = z
  .object({
    type: z.literal(BATCH_TYPE),
    timestamp: timeSchema,
    data: z.object({
      epoch: epochSchema,
      eventId: shownEventId,
      changes: z
        .array(z.object({ type: changeTypeSchema, timestamp: timeSchema, data: changedSchema }))
        .min(1)
        .max(MAX_BATCH_CHANGES),
    }),
  })
  .meta({
    id: 'BatchMessage',
    description: 'Changes of one event, in order. Sent by webhooks of the format `batch`.',
  })

const testMessage = z
  .object({
    type: z.literal(TEST_TYPE),
    timestamp: timeSchema,
    data: z.object({ webhookId: z.string() }),
  })
  .meta({ id: 'TestMessage', description: 'Sent by `POST /webhooks/{id}/test`.' })

/** What an endpoint receives. */
export const webhookMessageSchema = z
  .discriminatedUnion('type', [changeMessage, batchMessage, testMessage])
  .meta({ id: 'WebhookMessage' })

const headers = z.object({
  'webhook-id': z.string().meta({
    description:
      'The same in every attempt and every replay, so a receiver can ignore repetitions.',
    example: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  }),
  'webhook-timestamp': z.string().meta({
    description: 'When this attempt was made, in seconds since 1970.',
    example: '1895335200',
  }),
  'webhook-signature': z.string().meta({
    description: 'One or two signatures, separated by spaces (Standard Webhooks 1.0).',
    example: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  }),
})

const timestamp = '2030-01-31T18:00:00.000Z'
const changed = {
  eventId: 1001,
  no: 1025,
  userId: 'ada',
  bookingId: '1001-7',
  actor: { kind: 'user', id: 'ada' },
  origin: 'sale',
}
const epoch = '6f1c6a3e-6b0e-4f0e-9d0e-0f3a8f7b2f5d'
const type = 'booking.confirmed'
const examples = {
  single: { value: { type, timestamp, data: { epoch, ...changed } } },
  batch: {
    value: {
      type: BATCH_TYPE,
      timestamp,
      data: { epoch, eventId: 1001, changes: [{ type, timestamp, data: changed }] },
    },
  },
  test: {
    value: {
      type: TEST_TYPE,
      timestamp,
      data: { webhookId: '3f2b7c1e-5d0a-4c53-9f0e-8a1b2c3d4e5f' },
    },
  },
}

/** The `webhooks` section of the document: the call that the endpoint of an integrator answers. */
export const webhookCalls: ZodOpenApiPathsObject = {
  changes: {
    post: {
      operationId: 'receiveChanges',
      tags: ['Webhooks'],
      summary: 'Receive changes of events',
      description:
        'Sent to the URL of each webhook: at least once, and in order of `no` for each event. Verify the signature before you trust the body. Respond within 15 seconds; attempts that fail are repeated for 3 days.',
      security: [],
      requestParams: { header: headers },
      requestBody: {
        required: true,
        content: { 'application/json': { schema: webhookMessageSchema, examples } },
      },
      responses: {
        '2XX': { description: 'The endpoint has received the message.' },
        '410': { description: 'The endpoint is gone. The webhook is disabled.' },
      },
    },
  },
}
