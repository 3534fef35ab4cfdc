import { DELIVERY_STATES, type Webhook, type WebhookDelivery } from '@ticket-line/db'
import {
  CHANGE_TYPES,
  isoOf,
  MAX_EVENT_ID,
  MAX_REPLAYED_CHANGES,
  MAX_WEBHOOK_DESCRIPTION_LENGTH,
  MAX_WEBHOOK_EVENTS,
} from '@ticket-line/shared'
import { type AddressRules, checkUrl, MAX_WEBHOOK_URL_LENGTH } from '@ticket-line/webhooks'
import { z } from 'zod'
import { textSchema } from '../events/settings.js'
import {
  afterParameter,
  decodeCursor,
  limitParameter,
  nextSchema,
  wordsParameter,
} from '../http/paging.js'
import {
  changeTypeSchema,
  countSchema,
  eventIdSchema,
  shownEventId,
  timeSchema,
} from '../http/schemas.js'

/** The path parameter `:id`. */
export const webhookParams = z.object({
  id: z.string().meta({
    description: 'Identifies a webhook.',
    example: '3f2b7c1e-5d0a-4c53-9f0e-8a1b2c3d4e5f',
  }),
})

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** True if a webhook can have this id. PostgreSQL would fail for another text. */
export const isWebhookId = (text: string): boolean => UUID.test(text)

function unique<T>(values: T[]): T[] {
  return [...new Set(values)]
}

const typesError = { error: 'must be an array of at least one type, or null' }
const typesSchema = z
  .array(changeTypeSchema, typesError)
  .min(1, typesError)
  .max(CHANGE_TYPES.length, { error: 'must not name a type twice' })
  .transform(unique)
  .nullable()
  .meta({ description: 'The types of change that are delivered; null for all.' })

const eventIdsError = {
  error: `must be an array of 1 to ${MAX_WEBHOOK_EVENTS} event ids, or null`,
}
const eventIdsSchema = z
  .array(eventIdSchema, eventIdsError)
  .min(1, eventIdsError)
  .max(MAX_WEBHOOK_EVENTS, eventIdsError)
  .transform(unique)
  .nullable()
  .meta({ description: 'The events whose changes are delivered; null for all.' })

const formatSchema = z.enum(['single', 'batch'], { error: 'must be single or batch' }).meta({
  description: '`single`, the default, sends one change in a request, `batch` 1 to 100.',
})

const descriptionSchema = textSchema(MAX_WEBHOOK_DESCRIPTION_LENGTH).nullable()

/** The bodies of `POST /webhooks` and `PATCH /webhooks/:id`. */
export function webhookBodies(rules: AddressRules) {
  const url = z
    .string({ error: 'must be a string' })
    .superRefine((text, context) => {
      const checked = checkUrl(text, rules)
      if (typeof checked === 'string') context.addIssue(checked)
    })
    .meta({
      description:
        'An https URL at a public address, without a user name, a password or a fragment. Redirects are not followed.',
      maxLength: MAX_WEBHOOK_URL_LENGTH,
      example: 'https://crm.example.com/hooks/tickets',
    })
  return {
    create: z
      .strictObject({
        url,
        types: typesSchema.default(null),
        eventIds: eventIdsSchema.default(null),
        format: formatSchema.default('single'),
        description: descriptionSchema.default(null),
      })
      .meta({
        id: 'NewWebhook',
        example: {
          url: 'https://crm.example.com/hooks/tickets',
          types: ['booking.confirmed', 'waitlist.promoted'],
        },
      }),
    patch: z
      .strictObject({
        url: url.optional(),
        types: typesSchema.optional(),
        eventIds: eventIdsSchema.optional(),
        format: formatSchema.optional(),
        description: descriptionSchema.optional(),
        disabled: z.boolean({ error: 'must be true or false' }).optional().meta({
          description:
            'A disabled webhook gets nothing. Once it is enabled again, it gets the changes from where it stopped, as far as they are retained.',
        }),
      })
      .meta({ id: 'WebhookPatch', example: { disabled: true } }),
  }
}

const changeNoError = { error: 'must be the number of a change' }
const changeNoSchema = z
  .int(changeNoError)
  .min(1, changeNoError)
  .max(MAX_EVENT_ID, changeNoError)
  .meta({ description: 'Number of a change.', format: 'int64', example: 1025 })

/** The body of `POST /webhooks/:id/replay`. */
export const replayBody = z
  .strictObject({ eventId: eventIdSchema, from: changeNoSchema, to: changeNoSchema })
  .refine(({ from, to }) => from <= to && to - from < MAX_REPLAYED_CHANGES, {
    error: `must be at least \`from\`, and at most ${MAX_REPLAYED_CHANGES - 1} more`,
    path: ['to'],
  })
  .meta({ id: 'Replay', example: { eventId: 1001, from: 17, to: 42 } })

const shownWebhook = {
  id: z.string().meta({ example: '3f2b7c1e-5d0a-4c53-9f0e-8a1b2c3d4e5f' }),
  url: z.string().meta({ example: 'https://crm.example.com/hooks/tickets' }),
  types: z.array(changeTypeSchema).nullable(),
  eventIds: z.array(shownEventId).nullable(),
  format: formatSchema,
  description: z.string().nullable(),
  createdAt: timeSchema,
  failingSince: timeSchema.nullable().meta({
    description: 'Since when all deliveries have failed; null if the last one succeeded.',
  }),
  disabled: z.boolean(),
  disabledAt: timeSchema.nullable(),
  disabledReason: z.enum(['gone', 'failing', 'user']).nullable().meta({
    description:
      '`gone`: the endpoint answered 410. `failing`: all deliveries failed for 5 days. `user`: its owner disabled it.',
  }),
}

const WEBHOOK_EXAMPLE = {
  id: '3f2b7c1e-5d0a-4c53-9f0e-8a1b2c3d4e5f',
  url: 'https://crm.example.com/hooks/tickets',
  types: ['booking.confirmed', 'waitlist.promoted'],
  eventIds: null,
  format: 'single',
  description: null,
  createdAt: '2030-01-15T09:30:00.000Z',
  failingSince: null,
  disabled: false,
  disabledAt: null,
  disabledReason: null,
} as const

export const webhookSchema = z
  .strictObject(shownWebhook)
  .meta({ id: 'Webhook', example: WEBHOOK_EXAMPLE })
export const webhookListSchema = z
  .strictObject({ webhooks: z.array(webhookSchema) })
  .meta({ id: 'WebhookList', example: { webhooks: [WEBHOOK_EXAMPLE] } })

const SECRET_EXAMPLE = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const secretSchema = z.string().meta({
  description: 'Verifies signatures (Standard Webhooks). It is never shown again.',
  example: SECRET_EXAMPLE,
})

/** Responses of `POST /webhooks` and `POST /webhooks/:id/rotate-secret`. */
export const createdWebhookSchema = z
  .strictObject({ ...shownWebhook, secret: secretSchema })
  .meta({ id: 'CreatedWebhook', example: { ...WEBHOOK_EXAMPLE, secret: SECRET_EXAMPLE } })
export const rotatedSchema = z
  .strictObject({
    ...shownWebhook,
    secret: secretSchema,
    previousSecretUntil: timeSchema.meta({
      description: 'Until then, deliveries are also signed with the previous secret.',
    }),
  })
  .meta({
    id: 'RotatedWebhook',
    example: {
      ...WEBHOOK_EXAMPLE,
      secret: SECRET_EXAMPLE,
      previousSecretUntil: '2030-02-01T18:00:00.000Z',
    },
  })

/** Responses of `POST /webhooks/:id/test` and `/replay`. */
export const testedSchema = z
  .strictObject({
    message: z.string(),
    messageId: z.string().meta({ description: 'The `webhook-id` of the test message.' }),
  })
  .meta({
    id: 'WebhookTest',
    example: { message: 'Test accepted', messageId: 'msg_2f1b7c1e5d0a4c53' },
  })
export const replayedSchema = z
  .strictObject({
    message: z.string(),
    eventId: shownEventId,
    from: z.int().meta({ format: 'int64' }),
    to: z.int().meta({
      description:
        'The last change that will be sent: `to` of the request, or the last change of the event if that is lower.',
      format: 'int64',
    }),
  })
  .meta({
    id: 'WebhookReplay',
    example: { message: 'Replay accepted', eventId: 1001, from: 17, to: 42 },
  })

/** The query of `GET /webhooks/:id/deliveries`. */
export const deliveriesQuery = z.object({
  limit: limitParameter(100),
  after: afterParameter(Number.MAX_SAFE_INTEGER, (cursor) => decodeCursor('deliveries', cursor)),
  state: wordsParameter(DELIVERY_STATES)
    .default(DELIVERY_STATES)
    .meta({
      description: 'Only attempts in these states.',
      example: ['failed', 'parked'],
    }),
})

const deliverySchema = z
  .strictObject({
    messageId: z.string().meta({ description: 'The `webhook-id` of the request.' }),
    kind: z.enum(['live', 'replay', 'test']),
    eventId: shownEventId.nullable().meta({ description: 'Null for a test.' }),
    from: z
      .int()
      .nullable()
      .meta({ description: 'The first change in the request.', format: 'int64' }),
    to: z
      .int()
      .nullable()
      .meta({ description: 'The last change in the request.', format: 'int64' }),
    attempt: z.int().meta({ description: 'Which attempt for these changes it was, from 1.' }),
    state: z.enum(DELIVERY_STATES).meta({
      description:
        '`parked`: all attempts for these changes failed for 3 days, so they are not sent again.',
    }),
    at: timeSchema,
    tookMs: countSchema,
    status: z
      .int()
      .nullable()
      .meta({ description: 'Status of the answer; null if there was none.' }),
    error: z
      .string()
      .nullable()
      .meta({ description: 'Why it failed; null if it did not.', example: 'timeout' }),
  })
  .meta({ id: 'Delivery' })
export const deliveriesSchema = z
  .strictObject({ deliveries: z.array(deliverySchema), next: nextSchema })
  .meta({
    id: 'DeliveriesPage',
    example: {
      deliveries: [
        {
          messageId: 'msg_2f1b7c1e5d0a4c53',
          kind: 'live',
          eventId: 1001,
          from: 1025,
          to: 1025,
          attempt: 1,
          state: 'delivered',
          at: '2030-01-31T18:00:01.000Z',
          tookMs: 120,
          status: 204,
          error: null,
        },
      ],
      next: null,
    },
  })

/** A webhook as its owner sees it. */
export function webhookBodyOf(webhook: Webhook): z.output<typeof webhookSchema> {
  return {
    id: webhook.webhookId,
    url: webhook.url,
    types: webhook.types,
    eventIds: webhook.eventIds,
    format: webhook.format,
    description: webhook.description,
    createdAt: isoOf(webhook.createdAtMs),
    failingSince: isoOf(webhook.failingSinceMs),
    disabled: webhook.disabledAtMs !== null,
    disabledAt: isoOf(webhook.disabledAtMs),
    disabledReason: webhook.disabledReason,
  }
}

export function deliveryBodyOf(delivery: WebhookDelivery): z.output<typeof deliverySchema> {
  const { attemptId: _key, firstNo, lastNo, atMs, messageId, kind, eventId, ...rest } = delivery
  return {
    messageId,
    kind,
    eventId,
    from: firstNo,
    to: lastNo,
    ...rest,
    at: isoOf(atMs),
  }
}
