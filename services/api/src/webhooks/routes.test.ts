import { randomBytes } from 'node:crypto'
import type { Webhook, WebhookDelivery } from '@ticket-line/db'
import { AppError, createLog, readEnv } from '@ticket-line/shared'
import { decryptSecret, readSecretKeys, type SecretKeys } from '@ticket-line/webhooks'
import { describe, expect, it, vi } from 'vitest'
import { appUnderTest, call, fakeWebhooks } from '../testing/app-under-test.js'
import type { WebhookStore } from './store.js'

const ID = '3f2b7c1e-5d0a-4c53-9f0e-8a1b2c3d4e5f'
const olga = { as: 'olga organizer' }
const webhook: Webhook = {
  webhookId: ID,
  url: 'https://crm.example.com/hook',
  types: null,
  eventIds: [1],
  format: 'single',
  description: null,
  createdAtMs: 1_900_000_000_000,
  failingSinceMs: null,
  disabledAtMs: null,
  disabledReason: null,
}
const shown = {
  id: ID,
  url: 'https://crm.example.com/hook',
  types: null,
  eventIds: [1],
  format: 'single',
  description: null,
  createdAt: '2030-03-17T17:46:40.000Z',
  failingSince: null,
  disabled: false,
  disabledAt: null,
  disabledReason: null,
}
const key = { WEBHOOK_SECRET_KEY: randomBytes(32).toString('hex') }
const webhookKeys = readSecretKeys(readEnv(key), true) as SecretKeys

/** The app in which olga has one webhook. */
function given(changes: Partial<WebhookStore> = {}, own: Webhook = webhook) {
  const written: string[] = []
  const log = createLog('test', 'info', { write: (line: string) => void written.push(line) })
  const add = vi.fn(async () => undefined)
  const store = {
    find: async (owner: string, id: string) => (owner === 'olga' && id === ID ? own : undefined),
    ...changes,
  }
  const app = appUnderTest({ ...fakeWebhooks(store), log, webhookJobs: { add }, webhookKeys })
  const audited = () =>
    written.map((line) => JSON.parse(line)).filter((line) => line.audit !== undefined)
  return { app, add, audited, written }
}

describe('POST /webhooks', () => {
  const url = 'https://crm.example.com/hook'

  it('returns the webhook with its secret, and stores the secret encrypted', async () => {
    const create = vi.fn<WebhookStore['create']>(async (created) => ({ ...webhook, ...created }))
    const { app, audited, written } = given({ create })
    const answer = await call(app, 'POST /webhooks', { ...olga, body: { url } })
    expect(answer.status).toBe(201)
    const { id, secret, ...rest } = answer.json
    expect(rest).toMatchObject({ url, types: null, eventIds: null, format: 'single' })
    expect(rest).not.toHaveProperty('owner')
    expect(answer.headers.get('location')).toBe(`/webhooks/${id}`)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const [stored] = create.mock.calls[0] ?? []
    expect(stored).toMatchObject({ webhookId: id, owner: 'olga', ownerRole: 'organizer' })
    expect(decryptSecret(webhookKeys, id, stored?.secret ?? Buffer.alloc(0))).toBe(secret)
    expect(audited()).toMatchObject([
      { audit: 'webhook_created', actor: 'olga', webhookId: id, host: 'crm.example.com' },
    ])
    expect(written.join('')).not.toContain(secret)
  })

  it('keeps each type and event once', async () => {
    const { app } = given({ create: async (created) => ({ ...webhook, ...created }) })
    const body = { url, types: ['event.canceled', 'event.canceled'], eventIds: [2, 1, 2] }
    const answer = await call(app, 'POST /webhooks', { ...olga, body })
    expect(answer.json).toMatchObject({ types: ['event.canceled'], eventIds: [2, 1] })
  })

  it.each<[Record<string, unknown>, string]>([
    [{}, '/url'],
    [{ url: 5 }, '/url'],
    [{ url: 'http://crm.example.com/' }, '/url'],
    [{ url: 'https://127.0.0.1/' }, '/url'],
    [{ url: 'https://2130706433/' }, '/url'],
    [{ url: 'https://[::ffff:10.0.0.1]/' }, '/url'],
    [{ url: 'https://169.254.169.254/latest/meta-data' }, '/url'],
    [{ url: 'https://localhost/' }, '/url'],
    [{ url: 'https://user:password@crm.example.com/' }, '/url'],
    [{ url: 'https://crm.example.com/#x' }, '/url'],
    [{ url: `${url}?${'x'.repeat(2000)}` }, '/url'],
    [{ url, types: [] }, '/types'],
    [{ url, types: ['booking.refunded'] }, '/types/0'],
    [{ url, types: 'event.canceled' }, '/types'],
    [{ url, eventIds: [] }, '/eventIds'],
    [{ url, eventIds: [0] }, '/eventIds/0'],
    [{ url, eventIds: ['1'] }, '/eventIds/0'],
    [{ url, eventIds: Array.from({ length: 101 }, (_, i) => i + 1) }, '/eventIds'],
    [{ url, format: 'stream' }, '/format'],
    [{ url, description: '' }, '/description'],
    [{ url, description: 'x'.repeat(201) }, '/description'],
    [{ url, secret: 'whsec_AAAA' }, '/secret'],
    [{ url, owner: 'eve' }, '/owner'],
    [{ url, disabled: true }, '/disabled'],
  ])('refuses %j with the pointer %s', async (body, pointer) => {
    const { app } = given()
    const answer = await call(app, 'POST /webhooks', { ...olga, body })
    expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_request' } })
    expect(answer.json.errors).toContainEqual({ pointer, detail: expect.any(String) })
  })

  it('is refused if the user has the maximum number of webhooks', async () => {
    const answer = await call(given().app, 'POST /webhooks', { ...olga, body: { url } })
    expect(answer).toMatchObject({ status: 409, json: { code: 'too_many_webhooks' } })
  })

  it('is unavailable without WEBHOOK_SECRET_KEY, after all other checks', async () => {
    const app = appUnderTest()
    const post = (as: string, body: unknown) => call(app, 'POST /webhooks', { as, body })
    const answer = await post('olga organizer', { url })
    expect(answer).toMatchObject({ status: 503, json: { code: 'unavailable' } })
    expect(answer.headers.get('retry-after')).toBe('300')
    expect((await post('olga organizer', {})).status).toBe(400)
    expect((await post('ada', { url })).status).toBe(403)
    expect((await call(app, 'GET /webhooks', olga)).json).toEqual({ webhooks: [] })
  })
})

describe('one webhook', () => {
  it('is shown to its owner without a secret', async () => {
    const { app } = given({ list: async () => [webhook] })
    expect((await call(app, `GET /webhooks/${ID}`, olga)).json).toEqual(shown)
    expect((await call(app, 'GET /webhooks', olga)).json).toEqual({ webhooks: [shown] })
  })

  const body = { eventId: 1, from: 1, to: 2 }
  const calls: [string, unknown?][] = [
    ['GET /webhooks/ID'],
    ['PATCH /webhooks/ID', {}],
    ['DELETE /webhooks/ID'],
    ['POST /webhooks/ID/rotate-secret'],
    ['POST /webhooks/ID/test'],
    ['POST /webhooks/ID/replay', body],
    ['GET /webhooks/ID/deliveries'],
  ]

  it.each(calls)('is not found by others: %s', async (methodAndPath, body) => {
    const { app, add } = given()
    const of = (as: string, id = ID) =>
      call(app, methodAndPath.replace('ID', id), { as, ...(body !== undefined && { body }) })
    const notFound = { status: 404, json: { code: 'webhook_not_found' } }
    expect(await of('otto organizer')).toMatchObject(notFound)
    expect(await of('root admin')).toMatchObject(notFound)
    for (const id of ['1', 'x', ID.toUpperCase(), `${ID}0`, '%00', 'me%2F..'])
      expect(await of('olga organizer', id)).toMatchObject(notFound)
    expect((await of('ada')).status).toBe(403)
    expect(add).not.toHaveBeenCalled()
  })
})

describe('PATCH /webhooks/:id', () => {
  it('changes only the members that were sent, and logs their names', async () => {
    const update = vi.fn<WebhookStore['update']>(async () => webhook)
    const { app, add, audited } = given({ update })
    const body = { types: null, description: 'CRM' }
    expect(await call(app, `PATCH /webhooks/${ID}`, { ...olga, body })).toMatchObject({
      status: 200,
      json: shown,
    })
    expect(update).toHaveBeenCalledWith('olga', ID, body)
    expect(audited()).toMatchObject([
      { audit: 'webhook_changed', webhookId: ID, members: ['types', 'description'] },
    ])
    expect(add).not.toHaveBeenCalled()
  })

  it.each([{ url: 'https://new.example.com/' }, { disabled: false }])(
    'makes deliveries due at once after %j, even if Redis is down',
    async (body) => {
      const { app, add } = given({ update: async () => webhook })
      add.mockRejectedValueOnce(new AppError('unavailable', 'down'))
      expect((await call(app, `PATCH /webhooks/${ID}`, { ...olga, body })).status).toBe(200)
      expect(add).toHaveBeenCalledWith('resume', { webhookId: ID })
    },
  )

  it.each([
    { url: 'https://10.0.0.1/' },
    { url: null },
    { format: null },
    { disabled: null },
    { secret: 'x' },
  ])('refuses %j', async (body) => {
    const answer = await call(given().app, `PATCH /webhooks/${ID}`, { ...olga, body })
    expect(answer.status).toBe(400)
  })
})

describe('POST /webhooks/:id/rotate-secret', () => {
  it('returns a new secret once, and says how long the old one is used', async () => {
    const rotateSecret = vi.fn<WebhookStore['rotateSecret']>(async () => ({
      webhook,
      previousUntilMs: 1_900_086_400_000,
    }))
    const { app, audited } = given({ rotateSecret })
    const answer = await call(app, `POST /webhooks/${ID}/rotate-secret`, olga)
    expect(answer).toMatchObject({
      status: 200,
      json: { ...shown, previousSecretUntil: '2030-03-18T17:46:40.000Z' },
    })
    const [, , encrypted] = rotateSecret.mock.calls[0] ?? []
    expect(decryptSecret(webhookKeys, ID, encrypted ?? Buffer.alloc(0))).toBe(answer.json.secret)
    expect(audited()).toMatchObject([{ audit: 'webhook_secret_rotated', webhookId: ID }])
  })
})

describe('POST /webhooks/:id/test', () => {
  it('adds a job for the notifiers', async () => {
    const { app, add, audited } = given()
    const answer = await call(app, `POST /webhooks/${ID}/test`, olga)
    const messageId = expect.stringMatching(/^msg_/)
    expect(answer).toMatchObject({ status: 202, json: { message: 'Test accepted', messageId } })
    expect(add).toHaveBeenCalledWith('test', { webhookId: ID, messageId })
    expect(audited()).toMatchObject([{ audit: 'webhook_tested', webhookId: ID }])
  })

  it('is unavailable if Redis is unavailable', async () => {
    const { app, add, audited } = given()
    add.mockRejectedValueOnce(new AppError('unavailable', 'down'))
    expect((await call(app, `POST /webhooks/${ID}/test`, olga)).status).toBe(503)
    expect(audited()).toEqual([])
  })
})

describe('POST /webhooks/:id/replay', () => {
  const retained = async () => ({ oldest: 5, last: 20 })
  const replay = (app: ReturnType<typeof given>['app'], body: unknown) =>
    call(app, `POST /webhooks/${ID}/replay`, { ...olga, body })

  it('adds a job that ends at the last change of the event', async () => {
    const { app, add, audited } = given({ retainedChanges: retained })
    expect(await replay(app, { eventId: 1, from: 5, to: 1000 })).toMatchObject({
      status: 202,
      json: { message: 'Replay accepted', eventId: 1, from: 5, to: 20 },
    })
    expect(add).toHaveBeenCalledWith('replay', { webhookId: ID, eventId: 1, from: 5, to: 20 })
    expect(audited()).toMatchObject([{ audit: 'webhook_replayed', eventId: 1, from: 5, to: 20 }])
  })

  it.each([
    [{ eventId: 1, from: 0, to: 5 }, '/from'],
    [{ eventId: 1, from: 6, to: 5 }, '/to'],
    [{ eventId: 1, from: 5, to: 10_005 }, '/to'],
    [{ eventId: 1, from: 21, to: 30 }, '/from'],
    [{ eventId: 2, from: 5, to: 6 }, '/eventId'],
    [{ eventId: 1, from: 5 }, '/to'],
  ])('refuses %j with the pointer %s', async (body, pointer) => {
    const { app, add } = given({ retainedChanges: retained })
    const answer = await replay(app, body)
    expect([answer.status, answer.json.errors[0].pointer]).toEqual([400, pointer])
    expect(add).not.toHaveBeenCalled()
  })

  it('is refused for changes that were pruned, and for an event that never existed', async () => {
    const { app } = given({
      retainedChanges: async (eventId) => (eventId === 1 ? retained() : undefined),
    })
    expect(await replay(app, { eventId: 1, from: 4, to: 6 })).toMatchObject({
      status: 410,
      json: { code: 'changes_pruned', oldest: 5 },
    })
    expect(await replay(app, { eventId: 3, from: 1, to: 1 })).toMatchObject({
      status: 404,
      json: { code: 'event_not_found' },
    })
  })

  it('is refused for an event without changes', async () => {
    const { app } = given({ retainedChanges: async () => ({ oldest: null, last: null }) })
    expect((await replay(app, { eventId: 1, from: 1, to: 1 })).status).toBe(400)
  })

  it('is refused while the webhook is disabled', async () => {
    const disabled: Webhook = {
      ...webhook,
      disabledAtMs: 1_900_000_000_000,
      disabledReason: 'gone',
    }
    const { app } = given({ retainedChanges: retained }, disabled)
    expect(await replay(app, { eventId: 1, from: 5, to: 6 })).toMatchObject({
      status: 409,
      json: { code: 'webhook_disabled' },
    })
    expect((await call(app, `GET /webhooks/${ID}`, olga)).json).toMatchObject({
      disabled: true,
      disabledAt: '2030-03-17T17:46:40.000Z',
      disabledReason: 'gone',
    })
  })
})

describe('GET /webhooks/:id/deliveries', () => {
  const delivery = (attemptId: number): WebhookDelivery => ({
    attemptId,
    messageId: `msg_${attemptId}`,
    kind: 'live',
    eventId: 1,
    firstNo: 4,
    lastNo: 4,
    attempt: 2,
    state: 'failed',
    atMs: 1_900_000_000_000,
    tookMs: 15,
    status: 503,
    error: 'status',
  })

  it('shows a page of attempts and leads to the next one', async () => {
    const deliveries = vi.fn<WebhookStore['deliveries']>(async (_id, { before, limit }) =>
      [9, 8, 7, 6]
        .filter((id) => id < before)
        .slice(0, limit)
        .map(delivery),
    )
    const { app } = given({ deliveries })
    const path = `GET /webhooks/${ID}/deliveries?limit=3&state=failed,parked`
    const first = await call(app, path, olga)
    expect(first.json.deliveries.map((one: { messageId: string }) => one.messageId)).toEqual([
      'msg_9',
      'msg_8',
      'msg_7',
    ])
    expect(first.json.deliveries[0]).toEqual({
      messageId: 'msg_9',
      kind: 'live',
      eventId: 1,
      from: 4,
      to: 4,
      attempt: 2,
      state: 'failed',
      at: '2030-03-17T17:46:40.000Z',
      tookMs: 15,
      status: 503,
      error: 'status',
    })
    const second = await call(app, `${path}&after=${first.json.next}`, olga)
    expect(second.json).toMatchObject({ deliveries: [{ messageId: 'msg_6' }], next: null })
    expect(deliveries).toHaveBeenLastCalledWith(ID, {
      states: ['failed', 'parked'],
      before: 7,
      limit: 4,
    })
  })

  it.each(['state=lost', 'state=', 'limit=101', 'after=x', 'color=red'])(
    'refuses ?%s',
    async (query) => {
      const answer = await call(given().app, `GET /webhooks/${ID}/deliveries?${query}`, olga)
      expect(answer.status).toBe(400)
    },
  )
})
