import {
  CHANGE_TYPES,
  type LoggedChange,
  type ShownSettings,
  shownChangeOf,
  systemClock,
} from '@ticket-line/shared'
import type { Context } from 'hono'
import { z } from 'zod'
import type { AccountOverrides } from '../auth/account-overrides.js'
import { tokenRefused } from '../auth/authenticate.js'
import { checkStaff, type EventAccess } from '../events/access.js'
import { eventSchema } from '../events/event-body.js'
import { type ExportDeps, sendExport } from '../events/send-export.js'
import { prefers } from '../http/accept.js'
import type { AppEnv } from '../http/env.js'
import { limitParameter, nextLink, wordsParameter } from '../http/paging.js'
import { parsePrefer, preferenceApplied } from '../http/prefer.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import {
  changeTypeSchema,
  eventIdParams,
  positionSchema,
  shownAs,
  shownUserId,
  timeSchema,
} from '../http/schemas.js'
import { asLongPoll, type ConcurrencyLimit } from '../limits/concurrency.js'
import type { ChangeFeed, ChangeRequest, ChangesRead } from './change-feed.js'

export interface ChangesDeps extends ExportDeps {
  changes: ChangeFeed
  requests: ConcurrencyLimit
  longPolls: ConcurrencyLimit
  overrides: Pick<AccountOverrides, 'apply' | 'onChange'>
  access: Pick<EventAccess, 'staffOf'>
}

const NDJSON = 'application/x-ndjson'

const numberError = { error: `must be an integer from 0 to ${Number.MAX_SAFE_INTEGER}` }

const changesQuery = z.object({
  after: z
    .string()
    .regex(/^(0|[1-9]\d{0,15})$/, numberError)
    .transform(Number)
    .refine(Number.isSafeInteger, numberError)
    .default(0)
    .meta({
      description: 'The `next` of the previous page.',
      example: 0,
      override: shownAs({ type: 'integer', format: 'int64', minimum: 0, default: 0 }),
    }),
  limit: limitParameter(1000),
  type: wordsParameter(CHANGE_TYPES)
    .optional()
    .meta({
      description: 'Only changes of these types.',
      example: ['waitlist.promoted'],
    }),
  epoch: z
    .string()
    .optional()
    .meta({ description: 'The `epoch` of the previous page. Send it together with `after`.' }),
})

const settingsSchema = eventSchema
  .pick({
    totalTickets: true,
    name: true,
    startsAt: true,
    endsAt: true,
    timezone: true,
    venue: true,
    url: true,
    listed: true,
    opensAt: true,
    closesAt: true,
    holdSeconds: true,
    offerSeconds: true,
    maxHoldSeconds: true,
    confirmation: true,
    maxWaiting: true,
    sales: true,
    promotion: true,
  })
  .partial()
  .meta({ id: 'ChangedSettings' }) as z.ZodType as z.ZodType<ShownSettings>

/** A change of an event, as clients see it. */
export const changeSchema = z
  .strictObject({
    no: z.int().min(1).meta({
      description: 'Numbers the changes of the event in order of decision, without gaps.',
      format: 'int64',
      example: 1025,
    }),
    type: changeTypeSchema,
    at: timeSchema,
    userId: shownUserId
      .nullable()
      .meta({ description: 'Whose claim changed; null if the event itself changed.' }),
    bookingId: z.string().optional().meta({ description: 'Of bookings and holds.' }),
    position: positionSchema
      .optional()
      .meta({ description: 'Of `waitlist.joined`: the position at that time.' }),
    expiresAt: timeSchema.optional().meta({ description: 'When the hold or offer ends.' }),
    actor: z
      .strictObject({ kind: z.enum(['user', 'key', 'system']), id: z.string().nullable() })
      .meta({ description: 'Who caused it. `system` applies deadlines, and has no id.' }),
    data: z
      .strictObject({
        origin: z
          .enum(['sale', 'hold', 'offer', 'late', 'grant'])
          .optional()
          .meta({ description: 'Of `booking.confirmed`.' }),
        standing: z
          .enum(['booked', 'held'])
          .optional()
          .meta({ description: 'Of `booking.canceled`: what was canceled.' }),
        reason: z.string().optional(),
        settings: settingsSchema.optional().meta({
          description: 'Of `event.created`: all settings. Of `event.updated`: those that changed.',
        }),
      })
      .optional(),
  })
  .meta({ id: 'Change' })

const EXAMPLE: z.output<typeof changeSchema> = {
  no: 1025,
  type: 'booking.confirmed',
  at: '2030-01-31T18:00:00.000Z',
  userId: 'ada',
  bookingId: '1001-7',
  actor: { kind: 'user', id: 'ada' },
  data: { origin: 'sale' },
}

const changesPageSchema = z
  .strictObject({
    changes: z.array(changeSchema),
    next: z.int().meta({
      description:
        'The `after` of the next page: the number of the last change that was looked at, whatever its type.',
      format: 'int64',
      example: 1025,
    }),
    epoch: z.string().meta({
      description:
        'Changes when the database is restored. Numbers of changes have a meaning in one epoch only.',
      example: '6f1c6a3e-6b0e-4f0e-9d0e-0f3a8f7b2f5d',
    }),
  })
  .meta({
    id: 'ChangesPage',
    example: { changes: [EXAMPLE], next: 1025, epoch: '6f1c6a3e-6b0e-4f0e-9d0e-0f3a8f7b2f5d' },
  })

/** `GET /events/:eventId/changes`. */
export function changesRoute(deps: ChangesDeps): Route {
  const { changes: feed } = deps
  const wait = createWait(deps)
  return defineRoute({
    method: 'GET',
    path: '/events/:eventId/changes',
    auth: 'required',
    limit: 'general',
    role: 'staff',
    scope: 'changes:read',
    params: eventIdParams,
    query: changesQuery,
    docs: {
      operationId: 'listChanges',
      tag: 'Lists',
      summary: 'Follow the changes of an event, in order of decision',
      description:
        'Pass `next` and `epoch` of each page to the next call. With `type`, a page may be empty although there are further changes. If `next` equals `after`, there are no more. Changes are kept for 90 days by default. After `changes_pruned` and `epoch_changed`, read the lists of the event again. `Accept: application/x-ndjson` streams all changes after `after`, one a line, and ignores `limit`; its `Link` leads to the changes that follow. Each user can download one list at a time.',
      requestHeaders: {
        Prefer:
          '`wait=N` waits up to N seconds for a change if there is none, at most 30. If none comes in that time, the page is empty. The wait also ends when the token expires.',
      },
      problems: ['event_not_found', 'epoch_changed', 'changes_pruned', 'busy', 'unavailable'],
    },
    responses: {
      200: {
        description: 'A page of changes, or all of them as a stream.',
        schema: changesPageSchema,
        otherMediaTypes: { [NDJSON]: `${JSON.stringify(EXAMPLE)}\n` },
        headers: ['Preference-Applied', 'Link'],
      },
    },
    async handler(c, { params: { eventId }, query }, reply) {
      const { type: types, limit, after, epoch } = query
      const request = { eventId, after, types, epoch }
      if (prefers(NDJSON, c.req.header('accept'))) return sendNdjson(c, request, deps)
      const { waitSeconds } = parsePrefer(c.req.header('prefer'))
      const page = waitSeconds
        ? await wait(c, { ...request, limit }, waitSeconds * 1000)
        : await feed.read({ ...request, limit })
      const applied = preferenceApplied({ waitSeconds })
      const body = {
        changes: page.changes.map(shownChangeOf),
        next: page.next,
        epoch: page.epoch,
      }
      return reply(c, 200, body, {
        vary: 'Accept',
        // There is always a next page, but a client that follows the links must get to an end.
        ...nextLink(c, page.next === after ? null : page.next, { epoch: page.epoch }),
        ...(applied !== undefined && { 'preference-applied': applied }),
      })
    },
  })
}

/** A long poll ends when its token expires, and when the account of its caller changes. */
function createWait({ overrides, access, ...deps }: ChangesDeps) {
  /** What ends the long polls of each user. */
  let pollsOfUsers: Map<string, Set<AbortController>> | undefined

  /** Ends the long polls of a user when their account changes. */
  function createPolls(): Map<string, Set<AbortController>> {
    const polls = new Map<string, Set<AbortController>>()
    overrides.onChange((userId) => {
      for (const poll of polls.get(userId) ?? []) poll.abort()
    })
    return polls
  }

  return async function wait(
    c: Context<AppEnv>,
    request: ChangeRequest,
    waitMs: number,
  ): Promise<ChangesRead> {
    const { userId, expiresAtMs = Number.POSITIVE_INFINITY } = principalOf(c)
    const msLeft = (): number => Math.max(0, expiresAtMs - systemClock.wallMs())
    const ended = new AbortController()
    const signal = AbortSignal.any([c.req.raw.signal, ended.signal])
    // The OpenAPI document lists the routes without `overrides`, so the first poll does this.
    pollsOfUsers ??= createPolls()
    const polls = pollsOfUsers
    const own = polls.get(userId) ?? new Set()
    polls.set(userId, own.add(ended))
    let page: ChangesRead
    try {
      page = await asLongPoll(deps, () =>
        deps.changes.wait(request, Math.min(waitMs, msLeft()), signal),
      )
    } finally {
      if (own.delete(ended) && own.size === 0) polls.delete(userId)
    }
    const principal = msLeft() > 0 ? await overrides.apply(principalOf(c)) : undefined
    if (principal === undefined) throw tokenRefused()
    checkStaff(await access.staffOf(principal, request.eventId))
    return page
  }
}

async function sendNdjson(
  c: Context<AppEnv>,
  request: Parameters<ChangeFeed['export']>[0],
  deps: ChangesDeps,
): Promise<Response> {
  // HEAD begins no export, but is refused when GET would be.
  if (c.req.method === 'HEAD') await deps.changes.read({ ...request, limit: 1 })
  return sendExport(
    c,
    {
      mediaType: NDJSON,
      headers: { vary: 'Accept' },
      head: '',
      lineOf: (change: LoggedChange) => `${JSON.stringify(shownChangeOf(change))}\n`,
      async begin() {
        const { lastChange, epoch, first, rest } = await deps.changes.export(request)
        return { first, rest, headers: nextLink(c, lastChange, { epoch }) }
      },
    },
    deps,
  )
}
