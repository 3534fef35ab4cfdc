import { setTimeout as sleep } from 'node:timers/promises'
import { Webhook } from 'standardwebhooks'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import type { Reply } from '../stack/client.ts'
import { numbersIn, type Receiver, startReceiver } from '../stack/receiver.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type ContractKit, createContractKit } from './contract-kit.ts'
import { verify } from './webhooks-kit.ts'

let system: System
let kit: ContractKit
let receiver: Receiver

beforeAll(async () => {
  system = await startSystem({ notifiers: 1 })
  kit = createContractKit(system)
})
afterAll(async () => {
  await kit?.stop()
  await system?.stop()
})

beforeEach(async () => {
  receiver = await startReceiver()
})
afterEach(async () => {
  const { webhooks } = (await as('olga', 'GET /webhooks')).body
  for (const { id } of webhooks) await as('olga', `DELETE /webhooks/${id}`)
  await receiver.close()
})

const as = (who: string, methodAndPath: string, body?: Record<string, unknown>): Promise<Reply> =>
  kit.call(methodAndPath, { as: who, ...(body !== undefined && { body }) })

/** Makes a webhook of olga that sends to the receiver. */
async function webhookFor(settings: Record<string, unknown>): Promise<Reply['body']> {
  const answer = await as('olga', 'POST /webhooks', { url: receiver.url, ...settings })
  expect(answer.status).toBe(201)
  return answer.body
}

const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const uuid = expect.stringMatching(/^[0-9a-f-]{36}$/)

describe('a webhook', () => {
  it('is created with a secret that is never shown again', async () => {
    const body = { url: receiver.url, types: ['waitlist.promoted'], description: 'CRM' }
    const created = await as('olga', 'POST /webhooks', body)
    expect(created.status).toBe(201)
    const { secret, ...webhook } = created.body
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    expect(webhook).toEqual({
      id: uuid,
      url: receiver.url,
      types: ['waitlist.promoted'],
      eventIds: null,
      format: 'single',
      description: 'CRM',
      createdAt: iso,
      failingSince: null,
      disabled: false,
      disabledAt: null,
      disabledReason: null,
    })
    const path = created.headers.get('location') ?? ''
    expect(path).toBe(`/webhooks/${webhook.id}`)
    expect((await as('olga', `GET ${path}`)).body).toEqual(webhook)
    expect((await as('olga', 'GET /webhooks')).body).toEqual({ webhooks: [webhook] })
    const [row] = await kit.query<{ text: string }>(
      `SELECT w::text AS text FROM webhooks w WHERE webhook_id = $1`,
      [webhook.id],
    )
    const hexOf = (text: string) => Buffer.from(text).toString('hex')
    expect(row?.text).not.toContain(secret)
    expect(row?.text).not.toContain(hexOf(secret.slice(6, 16)))
  })

  it('belongs to its owner alone', async () => {
    const { id } = await webhookFor({})
    const root = await system.token('root', 'admin')
    const otto = await system.token('otto', 'organizer')
    for (const token of [root, otto]) {
      expect((await system.api.get('/webhooks', { token })).body).toEqual({ webhooks: [] })
      expect((await system.api.get(`/webhooks/${id}`, { token })).status).toBe(404)
      const gone = await system.api.request('DELETE', `/webhooks/${id}`, undefined, { token })
      expect(gone.status).toBe(404)
    }
    expect((await as('ada', 'GET /webhooks')).status).toBe(403)
    expect((await as('olga', `GET /webhooks/${id}`)).status).toBe(200)
  })

  it('is one of at most 20, however many are created at the same time', async () => {
    // All of them wait for the same lock. A request that waits for a second has no effect, and is
    // answered 503; its client sends it again.
    async function create() {
      for (;;) {
        const answer = await as('olga', 'POST /webhooks', { url: receiver.url })
        if (answer.status !== 503) return answer
        await sleep(Number(answer.headers.get('retry-after')) * 1000)
      }
    }
    const answers = await Promise.all(Array.from({ length: 30 }, create))
    const statuses = answers.map(({ status }) => status).toSorted()
    expect(statuses).toEqual([...Array(20).fill(201), ...Array(10).fill(409)])
    const { webhooks } = (await as('olga', 'GET /webhooks')).body
    expect(webhooks).toHaveLength(20)
    await as('olga', `DELETE /webhooks/${webhooks[0].id}`)
    expect((await as('olga', 'POST /webhooks', { url: receiver.url })).status).toBe(201)
  })

  it('changes only the members that are sent', async () => {
    const { id, secret: _secret, ...before } = await webhookFor({ eventIds: [7], description: 'A' })
    const change = (body: Record<string, unknown>) => as('olga', `PATCH /webhooks/${id}`, body)
    expect((await change({})).body).toEqual({ id, ...before })
    const changed = await change({ types: ['event.canceled'], eventIds: null, format: 'batch' })
    expect(changed.body).toEqual({
      id,
      ...before,
      types: ['event.canceled'],
      eventIds: null,
      format: 'batch',
    })
    expect((await change({ types: null, description: null })).body).toMatchObject({
      types: null,
      description: null,
    })
    const disabled = (await change({ disabled: true })).body
    expect(disabled).toMatchObject({ disabled: true, disabledAt: iso, disabledReason: 'user' })
    expect((await change({ disabled: true })).body).toEqual(disabled)
    expect((await change({ disabled: false })).body).toMatchObject({
      disabled: false,
      disabledAt: null,
      disabledReason: null,
    })
  })

  it('is deleted with its cursors and attempts', async () => {
    const eventId = await kit.createEvent(1)
    const { id } = await webhookFor({ eventIds: [eventId] })
    await kit.send('/book', eventId, { as: 'ada' })
    await receiver.waitFor(() => receiver.received.length > 0)
    expect((await as('olga', `DELETE /webhooks/${id}`)).status).toBe(204)
    expect((await as('olga', `DELETE /webhooks/${id}`)).status).toBe(404)
    expect((await as('olga', `GET /webhooks/${id}/deliveries`)).status).toBe(404)
    const [row] = await kit.query<{ webhooks: number }>(
      'SELECT count(*)::int AS webhooks FROM webhooks WHERE webhook_id = $1',
      [id],
    )
    expect(row).toEqual({ webhooks: 0 })
  })

  it('must not lead into the network of the service', async () => {
    for (const host of ['10.0.0.1', '169.254.169.254', 'localhost', '[::1]', '0x7f.2']) {
      const answer = await as('olga', 'POST /webhooks', { url: `https://${host}/` })
      expect(answer).toMatchObject({
        status: 400,
        body: {
          errors: [{ pointer: '/url', detail: 'must not lead to a private or reserved address' }],
        },
      })
    }
  })
})

describe('deliveries', () => {
  it('are signed with both secrets after a rotation, and with the latest two after the next', async () => {
    const eventId = await kit.createEvent(10)
    const { id, secret: first } = await webhookFor({
      eventIds: [eventId],
      types: ['booking.confirmed'],
    })
    const rotate = () => as('olga', `POST /webhooks/${id}/rotate-secret`)
    const second = (await rotate()).body
    expect(second).toMatchObject({ id, secret: expect.stringMatching(/^whsec_/) })
    const hours = (Date.parse(second.previousSecretUntil) - Date.now()) / 3_600_000
    expect(hours).toBeGreaterThan(23.9)
    expect(hours).toBeLessThan(24.1)

    /** The secrets with which the next delivery can be verified. */
    async function valid(user: string, secrets: string[]): Promise<boolean[]> {
      const before = receiver.received.length
      await kit.send('/book', eventId, { as: user })
      await receiver.waitFor(() => receiver.received.length > before)
      const { text, headers } = receiver.received[before] as Receiver['received'][number]
      return secrets.map((secret) => {
        try {
          return new Webhook(secret).verify(text, headers) !== undefined
        } catch {
          return false
        }
      })
    }
    // A notifier reads the webhooks twice a second.
    await new Promise((resolve) => setTimeout(resolve, 1000))
    expect(await valid('ada', [first, second.secret])).toEqual([true, true])
    const third = (await rotate()).body
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const secrets = [first, second.secret, third.secret]
    expect(await valid('bob', secrets)).toEqual([false, true, true])
    // After a day, the old secret is no longer used.
    await kit.query(`UPDATE webhooks SET previous_secret_until = now() WHERE webhook_id = $1`, [id])
    await new Promise((resolve) => setTimeout(resolve, 1000))
    expect(await valid('eve', secrets)).toEqual([false, false, true])
  })

  it('follow a test call, and are listed', async () => {
    const { id, secret } = await webhookFor({})
    const tested = await as('olga', `POST /webhooks/${id}/test`)
    expect(tested).toMatchObject({ status: 202, body: { message: 'Test accepted' } })
    await receiver.waitFor(() => receiver.received.length === 1)
    const [received] = receiver.received as [Receiver['received'][number]]
    verify(received, secret)
    expect(received.id).toBe(tested.body.messageId)
    expect(received.body).toEqual({ type: 'webhook.test', timestamp: iso, data: { webhookId: id } })

    const deliveries = () => as('olga', `GET /webhooks/${id}/deliveries`)
    const isListed = async () => (await deliveries()).body.deliveries.length === 1
    expect(await until(isListed, { timeoutMs: 10_000 })).toBe(true)
    expect((await deliveries()).body).toEqual({
      deliveries: [
        {
          messageId: tested.body.messageId,
          kind: 'test',
          eventId: null,
          from: null,
          to: null,
          attempt: 1,
          state: 'delivered',
          at: iso,
          tookMs: expect.any(Number),
          status: 204,
          error: null,
        },
      ],
      next: null,
    })
  })

  it('show why they failed', async () => {
    const { id } = await webhookFor({})
    receiver.answer(() => 500)
    await as('olga', `POST /webhooks/${id}/test`)
    const failed = async () =>
      (await as('olga', `GET /webhooks/${id}/deliveries?state=failed`)).body.deliveries
    const isListed = async () => (await failed()).length === 1
    expect(await until(isListed, { timeoutMs: 10_000 })).toBe(true)
    expect((await failed())[0]).toMatchObject({ kind: 'test', state: 'failed', status: 500 })
    expect((await as('olga', `GET /webhooks/${id}/deliveries?state=delivered`)).body).toEqual({
      deliveries: [],
      next: null,
    })
  })

  it('are sent again by a replay, with the ids that they had', async () => {
    const eventId = await kit.createEvent(5)
    const { id } = await webhookFor({ eventIds: [eventId], types: ['booking.confirmed'] })
    for (const user of ['ada', 'bob', 'eve']) await kit.send('/book', eventId, { as: user })
    await receiver.waitFor(() => receiver.received.length === 3)
    const numbers = receiver.numbersOf(eventId)
    const ids = receiver.received.map((received) => received.id)
    const [, from = 0, to = 0] = numbers

    const range = { eventId, from, to: to + 100 }
    const replayed = await as('olga', `POST /webhooks/${id}/replay`, range)
    expect(replayed).toMatchObject({ status: 202, body: { message: 'Replay accepted', from } })
    expect(replayed.body.to).toBeLessThan(range.to)
    await receiver.waitFor(() => receiver.received.length === 5)
    expect(receiver.received.slice(3).map((received) => received.id)).toEqual(ids.slice(1))
    expect(receiver.received.slice(3).flatMap(({ body }) => numbersIn(body))).toEqual([from, to])

    const beyond = await as('olga', `POST /webhooks/${id}/replay`, {
      eventId,
      from: 1000,
      to: 1001,
    })
    expect(beyond).toMatchObject({ status: 400, body: { errors: [{ pointer: '/from' }] } })
    const other = await as('olga', `POST /webhooks/${id}/replay`, { ...range, eventId: 999_999 })
    expect(other).toMatchObject({ status: 404, body: { code: 'event_not_found' } })
  })

  it('stop while the webhook is disabled, and then continue where they stopped', async () => {
    const eventId = await kit.createEvent(5)
    const { id } = await webhookFor({ eventIds: [eventId], types: ['booking.confirmed'] })
    await kit.send('/book', eventId, { as: 'ada' })
    await receiver.waitFor(() => receiver.received.length === 1)
    await as('olga', `PATCH /webhooks/${id}`, { disabled: true })
    await new Promise((resolve) => setTimeout(resolve, 1000))
    await kit.send('/book', eventId, { as: 'bob' })
    await kit.send('/book', eventId, { as: 'eve' })
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(receiver.received).toHaveLength(1)
    await as('olga', `PATCH /webhooks/${id}`, { disabled: false })
    await receiver.waitFor(() => receiver.received.length === 3)
    expect(receiver.received.map(({ body }) => body.data.userId)).toEqual(['ada', 'bob', 'eve'])
  })

  it('are listed in pages, the latest first', async () => {
    const { id } = await webhookFor({})
    await kit.query(
      `INSERT INTO webhook_attempts (webhook_id, event_id, first_no, last_no, message_id, attempt,
         kind, state, at, took_ms, status)
       SELECT $1, 7, n, n, 'msg_' || n, 1, 'live',
         CASE WHEN n % 5 = 0 THEN 'parked' ELSE 'delivered' END, now(), 3, 200
       FROM generate_series(1, 25) AS n`,
      [id],
    )
    async function all(query: string): Promise<number[]> {
      const numbers: number[] = []
      let after = ''
      for (;;) {
        const path = `GET /webhooks/${id}/deliveries?limit=10${query}${after}`
        const { deliveries, next } = (await as('olga', path)).body
        numbers.push(...deliveries.map((one: { from: number }) => one.from))
        if (next === null) return numbers
        after = `&after=${next}`
      }
    }
    expect(await all('')).toEqual(Array.from({ length: 25 }, (_, i) => 25 - i))
    expect(await all('&state=parked')).toEqual([25, 20, 15, 10, 5])
  })
})

describe('without WEBHOOK_SECRET_KEY', () => {
  it('no webhook can be created, but they can be listed', async () => {
    const api = await system.addApi({ WEBHOOK_SECRET_KEY: '' })
    const via = system.client(system.apis.indexOf(api))
    const body = { url: receiver.url }
    expect(await kit.call('POST /webhooks', { as: 'olga', body, via })).toMatchObject({
      status: 503,
      body: { code: 'unavailable' },
    })
    expect((await kit.call('GET /webhooks', { as: 'olga', via })).status).toBe(200)
  })
})
