import { randomUUID } from 'node:crypto'
import type { Webhook } from '@ticket-line/db'
import { AppError, isoOf, MAX_WEBHOOKS_PER_USER } from '@ticket-line/shared'
import {
  type AddressRules,
  encryptSecret,
  newSecret,
  newTestMessageId,
  type SecretKeys,
} from '@ticket-line/webhooks'
import type { Context } from 'hono'
import { audit } from '../http/audit.js'
import type { AppEnv } from '../http/env.js'
import { invalidRequest, notValid } from '../http/input.js'
import { cutPage, nextLink } from '../http/paging.js'
import type { Principal } from '../http/principal.js'
import { CHANGES_PRUNED, eventNotFound } from '../http/problem.js'
import { retryAfter } from '../http/reply.js'
import { defineRoute, insufficientScope, principalOf, type Route } from '../http/route.js'
import type { WebhookQueue } from './queue.js'
import {
  createdWebhookSchema,
  deliveriesQuery,
  deliveriesSchema,
  deliveryBodyOf,
  isWebhookId,
  replayBody,
  replayedSchema,
  rotatedSchema,
  testedSchema,
  webhookBodies,
  webhookBodyOf,
  webhookListSchema,
  webhookParams,
  webhookSchema,
} from './schemas.js'
import type { WebhookStore } from './store.js'

export interface WebhookDeps {
  webhooks: WebhookStore
  webhookJobs: WebhookQueue
  /** Which URLs webhooks may have. */
  webhookRules: AddressRules
  /** The keys that encrypt secrets; undefined without `WEBHOOK_SECRET_KEY`. */
  webhookKeys: SecretKeys | undefined
}

/** Message of `webhook_not_found`. */
export const WEBHOOK_NOT_FOUND = 'You have no such webhook.'
/** Message of `too_many_webhooks`. */
export const TOO_MANY_WEBHOOKS = `You have ${MAX_WEBHOOKS_PER_USER} webhooks, which is the maximum. Delete one first.`
/** Message of `webhook_disabled`. */
export const WEBHOOK_DISABLED = 'The webhook is disabled. Enable it first.'
const NO_KEY = 'Webhooks are not set up on this service.'
/** `Retry-After` without the key, s. An operator has to restart the service to set it. */
const NO_KEY_RETRY_S = 300

/** Message of `insufficient_scope`. */
const OTHER_EVENTS = 'This API key may only create or change webhooks for events in its `eventIds`.'

const OWN = 'Users see and change only their own webhooks. That includes admins.'

/** Routes with which organizers and admins manage their webhooks. */
export function webhookRoutes(deps: WebhookDeps): Route[] {
  const bodies = webhookBodies(deps.webhookRules)
  return [
    createRoute(deps, bodies),
    listRoute(deps),
    showRoute(deps),
    changeRoute(deps, bodies),
    deleteRoute(deps),
    rotateRoute(deps),
    testRoute(deps),
    replayRoute(deps),
    deliveriesRoute(deps),
  ]
}

type Bodies = ReturnType<typeof webhookBodies>

const shared = {
  auth: 'required',
  limit: 'general',
  role: 'organizer',
  scope: 'webhooks:write',
} as const

function notFound(): AppError {
  return new AppError('webhook_not_found', WEBHOOK_NOT_FOUND)
}

/** @throws AppError `webhook_not_found` if the caller has no such webhook */
async function ownWebhook(
  { webhooks }: WebhookDeps,
  c: Context<AppEnv>,
  id: string,
): Promise<Webhook> {
  const principal = principalOf(c)
  const webhook = found(await webhooks.find(principal.userId, checkedId(id)))
  if (!isWithinKey(principal, webhook.eventIds)) throw notFound()
  return webhook
}

/** False if an API key with `eventIds` would get changes of other events. */
function isWithinKey({ key }: Principal, eventIds: readonly number[] | null | undefined): boolean {
  const bound = key?.eventIds
  if (bound === undefined) return true
  return eventIds?.every((eventId) => bound.has(eventId)) ?? false
}

/**
 * Checks the events that a request gives to a webhook.
 *
 * @throws AppError `insufficient_scope`
 */
function requireWithinKey(principal: Principal, eventIds: readonly number[] | null): void {
  if (!isWithinKey(principal, eventIds)) throw insufficientScope(OTHER_EVENTS, ['webhooks:write'])
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw notFound()
  return value
}

function checkedId(id: string): string {
  if (!isWebhookId(id)) throw notFound()
  return id
}

/** @throws AppError `unavailable` without `WEBHOOK_SECRET_KEY` */
function keysOf({ webhookKeys }: WebhookDeps): SecretKeys {
  if (webhookKeys !== undefined) return webhookKeys
  throw new AppError('unavailable', NO_KEY, { headers: retryAfter(NO_KEY_RETRY_S) })
}

function createRoute(deps: WebhookDeps, bodies: Bodies): Route {
  return defineRoute({
    ...shared,
    method: 'POST',
    path: '/webhooks',
    body: bodies.create,
    docs: {
      operationId: 'createWebhook',
      tag: 'Webhooks',
      summary: 'Create a webhook',
      description: `The webhook gets the changes that are decided from now on, of events of which its owner is staff at that time. Each request is signed as Standard Webhooks 1.0 says. A user may have ${MAX_WEBHOOKS_PER_USER} webhooks.`,
      problems: ['too_many_webhooks', 'unavailable', 'unknown'],
    },
    responses: {
      201: {
        description: 'The webhook, with the secret that verifies its signatures.',
        schema: createdWebhookSchema,
        headers: ['Location'],
      },
    },
    async handler(c, { body }, reply) {
      const principal = principalOf(c)
      requireWithinKey(principal, body.eventIds)
      const keys = keysOf(deps)
      const { userId: owner, role: ownerRole } = principal
      const webhookId = randomUUID()
      const secret = newSecret()
      const webhook = await deps.webhooks.create({
        ...body,
        webhookId,
        owner,
        ownerRole,
        secret: encryptSecret(keys, webhookId, secret),
      })
      if (webhook === undefined) throw new AppError('too_many_webhooks', TOO_MANY_WEBHOOKS)
      audit(c, 'webhook_created', { webhookId, host: new URL(webhook.url).host })
      return reply(
        c,
        201,
        { ...webhookBodyOf(webhook), secret },
        { location: `/webhooks/${webhookId}`, 'cache-control': 'no-store' },
      )
    },
  })
}

function listRoute({ webhooks }: WebhookDeps): Route {
  return defineRoute({
    ...shared,
    method: 'GET',
    path: '/webhooks',
    docs: {
      operationId: 'listWebhooks',
      tag: 'Webhooks',
      summary: 'List your webhooks, the oldest first',
      description: OWN,
      problems: ['unavailable'],
    },
    responses: { 200: { description: 'All webhooks of the caller.', schema: webhookListSchema } },
    async handler(c, _input, reply) {
      const principal = principalOf(c)
      const own = await webhooks.list(principal.userId)
      const shown = own.filter(({ eventIds }) => isWithinKey(principal, eventIds))
      return reply(c, 200, { webhooks: shown.map(webhookBodyOf) })
    },
  })
}

function showRoute(deps: WebhookDeps): Route {
  return defineRoute({
    ...shared,
    method: 'GET',
    path: '/webhooks/:id',
    params: webhookParams,
    docs: {
      operationId: 'getWebhook',
      tag: 'Webhooks',
      summary: 'Get a webhook',
      problems: ['webhook_not_found', 'unavailable'],
    },
    responses: { 200: { description: 'The webhook.', schema: webhookSchema } },
    async handler(c, { params: { id } }, reply) {
      return reply(c, 200, webhookBodyOf(await ownWebhook(deps, c, id)))
    },
  })
}

function changeRoute(deps: WebhookDeps, bodies: Bodies): Route {
  const { webhooks, webhookJobs } = deps
  return defineRoute({
    ...shared,
    method: 'PATCH',
    path: '/webhooks/:id',
    params: webhookParams,
    body: bodies.patch,
    bodyForm: { mergePatch: true },
    docs: {
      operationId: 'updateWebhook',
      tag: 'Webhooks',
      summary: 'Change a webhook, or disable or enable it',
      description: 'The secret stays the same.',
      problems: ['webhook_not_found', 'unavailable', 'unknown'],
    },
    responses: { 200: { description: 'The changed webhook.', schema: webhookSchema } },
    async handler(c, { params: { id }, body }, reply) {
      const webhookId = checkedId(id)
      const principal = principalOf(c)
      if (body.eventIds !== undefined) requireWithinKey(principal, body.eventIds)
      if (principal.key !== undefined) await ownWebhook(deps, c, id)
      const webhook = found(await webhooks.update(principal.userId, webhookId, body))
      audit(c, 'webhook_changed', { webhookId, members: Object.keys(body) })
      // Without the job, the endpoint gets its changes at the next retry.
      if (body.url !== undefined || body.disabled === false)
        await webhookJobs.add('resume', { webhookId }).catch(() => undefined)
      return reply(c, 200, webhookBodyOf(webhook))
    },
  })
}

function deleteRoute(deps: WebhookDeps): Route {
  return defineRoute({
    ...shared,
    method: 'DELETE',
    path: '/webhooks/:id',
    params: webhookParams,
    docs: {
      operationId: 'deleteWebhook',
      tag: 'Webhooks',
      summary: 'Delete a webhook with its deliveries',
      problems: ['webhook_not_found', 'unavailable', 'unknown'],
    },
    responses: { 204: { description: 'The webhook was deleted.' } },
    async handler(c, { params: { id } }, reply) {
      const webhookId = checkedId(id)
      const principal = principalOf(c)
      if (principal.key !== undefined) await ownWebhook(deps, c, id)
      if (!(await deps.webhooks.remove(principal.userId, webhookId))) throw notFound()
      audit(c, 'webhook_deleted', { webhookId })
      return reply(c, 204, null)
    },
  })
}

function rotateRoute(deps: WebhookDeps): Route {
  return defineRoute({
    ...shared,
    method: 'POST',
    path: '/webhooks/:id/rotate-secret',
    params: webhookParams,
    docs: {
      operationId: 'rotateWebhookSecret',
      tag: 'Webhooks',
      summary: 'Replace the secret of a webhook',
      description:
        'For 24 hours, each delivery has two signatures: one with the new secret, and one with the previous secret. Older secrets are no longer used.',
      problems: ['webhook_not_found', 'unavailable', 'unknown'],
    },
    responses: { 200: { description: 'The new secret.', schema: rotatedSchema } },
    async handler(c, { params: { id } }, reply) {
      const { webhookId } = await ownWebhook(deps, c, id)
      const secret = newSecret()
      const encrypted = encryptSecret(keysOf(deps), webhookId, secret)
      const { webhook, previousUntilMs } = found(
        await deps.webhooks.rotateSecret(principalOf(c).userId, webhookId, encrypted),
      )
      audit(c, 'webhook_secret_rotated', { webhookId })
      return reply(
        c,
        200,
        {
          ...webhookBodyOf(webhook),
          secret,
          previousSecretUntil: isoOf(previousUntilMs),
        },
        { 'cache-control': 'no-store' },
      )
    },
  })
}

function testRoute(deps: WebhookDeps): Route {
  return defineRoute({
    ...shared,
    method: 'POST',
    path: '/webhooks/:id/test',
    params: webhookParams,
    docs: {
      operationId: 'testWebhook',
      tag: 'Webhooks',
      summary: 'Send a test message',
      description:
        'The endpoint gets one message of the type `webhook.test`, even if the webhook is disabled. `GET /webhooks/{id}/deliveries` shows how it ended. A test that fails is not repeated.',
      problems: ['webhook_not_found', 'unavailable'],
    },
    responses: { 202: { description: 'The message will be sent.', schema: testedSchema } },
    async handler(c, { params: { id } }, reply) {
      const { webhookId } = await ownWebhook(deps, c, id)
      keysOf(deps)
      const messageId = newTestMessageId()
      await deps.webhookJobs.add('test', { webhookId, messageId })
      audit(c, 'webhook_tested', { webhookId, messageId })
      return reply(c, 202, { message: 'Test accepted', messageId })
    },
  })
}

function replayRoute(deps: WebhookDeps): Route {
  return defineRoute({
    ...shared,
    method: 'POST',
    path: '/webhooks/:id/replay',
    role: 'staff',
    params: webhookParams,
    body: replayBody,
    docs: {
      operationId: 'replayWebhook',
      tag: 'Webhooks',
      summary: 'Send changes of an event again',
      description:
        'Changes of the types that the webhook gets are sent again, in order, with the `webhook-id` that they had before. Live deliveries go on at the same time.',
      problems: [
        'webhook_not_found',
        'event_not_found',
        'webhook_disabled',
        'changes_pruned',
        'unavailable',
      ],
    },
    responses: { 202: { description: 'The changes will be sent.', schema: replayedSchema } },
    async handler(c, { params: { id }, body: { eventId, from, to } }, reply) {
      const webhook = await ownWebhook(deps, c, id)
      const { webhookId, eventIds } = webhook
      const retained = await deps.webhooks.retainedChanges(eventId)
      if (retained === undefined) throw eventNotFound()
      if (eventIds !== null && !eventIds.includes(eventId))
        throw notReplayable('/eventId', 'is not an event of this webhook')
      if (webhook.disabledAtMs !== null) throw new AppError('webhook_disabled', WEBHOOK_DISABLED)
      const { oldest, last } = retained
      if (oldest === null || last === null || from > last)
        throw notReplayable('/from', 'is after the last change of the event')
      if (from < oldest) throw new AppError('changes_pruned', CHANGES_PRUNED, { oldest })
      keysOf(deps)
      const range = { eventId, from, to: Math.min(to, last) }
      await deps.webhookJobs.add('replay', { webhookId, ...range })
      audit(c, 'webhook_replayed', { webhookId, ...range })
      return reply(c, 202, { message: 'Replay accepted', ...range })
    },
  })
}

function notReplayable(pointer: string, detail: string): AppError {
  return invalidRequest(notValid('request body'), [{ pointer, detail }])
}

function deliveriesRoute(deps: WebhookDeps): Route {
  return defineRoute({
    ...shared,
    method: 'GET',
    path: '/webhooks/:id/deliveries',
    params: webhookParams,
    query: deliveriesQuery,
    docs: {
      operationId: 'listDeliveries',
      tag: 'Webhooks',
      summary: 'List the latest attempts to deliver, the latest first',
      description: 'Each webhook keeps its last 1,000 attempts, for 30 days.',
      problems: ['webhook_not_found', 'unavailable'],
    },
    responses: {
      200: { description: 'A page of attempts.', schema: deliveriesSchema, headers: ['Link'] },
    },
    async handler(c, { params: { id }, query: { limit, after, state } }, reply) {
      const { webhookId } = await ownWebhook(deps, c, id)
      const rows = await deps.webhooks.deliveries(webhookId, {
        states: state,
        before: after,
        limit: limit + 1,
      })
      const { page, next } = cutPage('deliveries', rows, limit, ({ attemptId }) => attemptId)
      return reply(c, 200, { deliveries: page.map(deliveryBodyOf), next }, nextLink(c, next))
    },
  })
}
