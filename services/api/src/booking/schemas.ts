import type { OutcomeKind, PublicRequest } from '@ticket-line/shared'
import { COMMAND_TYPES, EXTEND_SECONDS, MAX_REASON_LENGTH } from '@ticket-line/shared'
import { z } from 'zod'
import { eventSchema } from '../events/event-body.js'
import { secondsSchema } from '../events/settings.js'
import { problemSchema } from '../http/problem.js'
import {
  countSchema,
  eventIdSchema,
  outcomeKindSchema,
  positionSchema,
  shownEventId,
  shownUserId,
  timeSchema,
  userIdSchema,
} from '../http/schemas.js'

/** Body of `POST /book`. */
export const bookingSchema = z
  .strictObject({ eventId: eventIdSchema, userId: userIdSchema.optional() })
  .meta({ id: 'BookingRequest', example: { eventId: 1001 } })

/** A booking or hold in a request. Only the line knows which ids exist. */
const bookingIdSchema = z
  .string({ error: 'must be a string' })
  .min(1, { error: 'must have 1 to 64 characters' })
  .max(64, { error: 'must have 1 to 64 characters' })
  .meta({
    description: 'The booking or hold that is meant. If the user has another one, nothing changes.',
    example: '1001-7',
  })

const ofBooking = {
  eventId: eventIdSchema,
  userId: userIdSchema.optional(),
  bookingId: bookingIdSchema.optional(),
}

/** Body of `POST /cancel`. */
export const cancelSchema = z
  .strictObject(ofBooking)
  .meta({ id: 'CancelRequest', example: { eventId: 1001 } })

/** Body of `POST /confirm`. */
export const confirmSchema = z
  .strictObject(ofBooking)
  .meta({ id: 'ConfirmRequest', example: { eventId: 1001 } })

/** Body of `POST /extend`. */
export const extendSchema = z
  .strictObject({
    ...ofBooking,
    seconds: secondsSchema(EXTEND_SECONDS)
      .optional()
      .meta({ description: 'Counted from now. Default: the first length of the hold.' }),
  })
  .meta({ id: 'ExtendRequest', example: { eventId: 1001, userId: 'ada', seconds: 300 } })

/** Body of `POST /events/:eventId/grants`. */
export const grantSchema = z
  .strictObject({
    userId: userIdSchema,
    raiseCapacity: z
      .boolean({ error: 'must be true or false' })
      .optional()
      .meta({ description: 'Whether the event may grow by one ticket.' }),
  })
  .meta({ id: 'GrantRequest', example: { userId: 'ada' } })

const reasonError = {
  error: `must have at most ${MAX_REASON_LENGTH} characters and no lone surrogates`,
}

/** Body of `POST /events/:eventId/cancel`. */
export const cancelEventSchema = z
  .strictObject({
    reason: z
      .string(reasonError)
      .refine((text) => [...text].length <= MAX_REASON_LENGTH && text.isWellFormed(), reasonError)
      .optional()
      .meta({
        description: 'It is written to the audit log and to the change log of the event.',
        maxLength: MAX_REASON_LENGTH,
      }),
  })
  .meta({ id: 'CancelEventRequest', example: { reason: 'The artist is ill.' } })

/** A `jobId`, for examples. */
const JOB_EXAMPLE = 'event-1001.0mpb3k2x17c4e90ad52b6.1.0'

/** Response to a command that is accepted and not decided yet. */
export const acceptedSchema = z
  .strictObject({
    message: z.literal('Request accepted'),
    jobId: z.string(),
    statusUrl: z.string(),
  })
  .meta({
    id: 'Accepted',
    example: {
      message: 'Request accepted',
      jobId: JOB_EXAMPLE,
      statusUrl: `/jobs/${JOB_EXAMPLE}`,
    },
  })

/** The members of a request that responses show. */
const shownRequest = { eventId: shownEventId, userId: shownUserId }

export function shownRequestOf({ eventId, userId }: PublicRequest) {
  return { eventId, userId }
}

/** Response to a command with `Prefer: return=representation`. */
export const decisionSchema = z.strictObject({
  message: z.string(),
  outcome: outcomeKindSchema,
  jobId: z.string(),
  ...shownRequest,
  bookingId: z.string().optional(),
  position: positionSchema.optional(),
  expiresAt: timeSchema.optional().meta({ description: 'When the hold ends.' }),
  promotedUserId: shownUserId
    .optional()
    .meta({ description: 'The user who got the ticket that came back. Only staff see it.' }),
  decidedAt: timeSchema,
})

/**
 * Response to a command, with or without `Prefer: return=representation`. One schema covers both,
 * because a generated client cannot tell the two bodies apart.
 */
export const commandResultSchema = decisionSchema
  .partial({ outcome: true, jobId: true, eventId: true, userId: true, decidedAt: true })
  .meta({
    id: 'CommandResult',
    description: 'All members but `message` need `Prefer: return=representation`.',
  })

/** Examples of a {@link commandResultSchema}: the short form of each message, and the long form. */
export function resultExamples(messages: readonly string[], outcome: OutcomeKind) {
  const short = messages.map((message) => [message, { message }])
  const representation: z.output<typeof decisionSchema> = {
    message: messages[0] ?? '',
    outcome,
    jobId: JOB_EXAMPLE,
    eventId: 1001,
    userId: 'ada',
    bookingId: '1001-7',
    decidedAt: '2030-01-31T18:00:00.000Z',
  }
  return { ...Object.fromEntries(short), 'return=representation': representation }
}

/** The path parameter `:jobId`. */
export const jobParams = z.object({
  jobId: z.string().meta({ description: 'Identifies a command.', example: JOB_EXAMPLE }),
})

/** Response of `GET /jobs/:jobId`. */
export const jobSchema = z
  .strictObject({
    jobId: z.string(),
    ...shownRequest,
    type: z.enum(COMMAND_TYPES).exclude(['settle']).meta({ id: 'CommandType' }),
    state: z.enum(['queued', 'active', 'done']),
    ahead: countSchema.nullable().meta({
      description: 'Approximate number of commands ahead of this one; null once the job is done.',
    }),
    etaSeconds: countSchema.nullable().meta({
      description:
        'Approximate number of seconds until the decision, from the pace at which the line was decided lately: 0 while the job is active; null once it is done, or if the pace is unknown, for example because no worker is running.',
    }),
    acceptedAt: timeSchema,
    decidedAt: timeSchema.nullable(),
    outcome: outcomeKindSchema.nullable(),
    status: z.int().nullable().meta({
      description: 'Status of the response to a client that waited; null until the job is done.',
    }),
    body: z
      .union([commandResultSchema, eventSchema, problemSchema])
      .nullable()
      .meta({
        description:
          'Body of the response to a client that waited; null until the job is done. If `status` is 400 or more, it is a `Problem`. Otherwise it is an `Event` if `type` is `configure`, and a `CommandResult` if not.',
        // No member tells which of the three it is, so generated clients would guess.
        override: ({ jsonSchema }) => {
          Object.assign(jsonSchema, {
            anyOf: undefined,
            type: ['object', 'null'],
            additionalProperties: true,
          })
        },
      }),
  })
  .meta({
    id: 'Job',
    example: {
      jobId: JOB_EXAMPLE,
      eventId: 1001,
      userId: 'ada',
      type: 'book',
      state: 'done',
      ahead: null,
      etaSeconds: null,
      acceptedAt: '2030-01-31T17:59:59.000Z',
      decidedAt: '2030-01-31T18:00:00.000Z',
      outcome: 'booked',
      status: 200,
      body: { message: 'Ticket booked' },
    },
  })
