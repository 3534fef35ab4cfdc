import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { numbersIn } from '../stack/receiver.ts'
import { addEvent } from '../stack/webhook-rows.ts'
import { numbersTo, startWebhookStack, verify, type WebhookStack } from './webhooks-kit.ts'

let stack: WebhookStack
let nextEventId = 1

beforeAll(async () => {
  stack = await startWebhookStack()
  await stack.addNotifier()
})
afterAll(() => stack?.stop())

/** A new event, and a webhook that gets its changes. */
async function given(row: Parameters<WebhookStack['addWebhook']>[0] = {}, events = 1) {
  const eventIds = Array.from({ length: events }, () => nextEventId++)
  for (const id of eventIds) await addEvent(stack.pool, id, row.owner)
  const receiver = await stack.addReceiver()
  const webhook = await stack.addWebhook({ url: receiver.url, eventIds, ...row })
  return { eventId: eventIds[0] ?? 0, eventIds, receiver, ...webhook }
}

async function attemptsOf(webhookId: string) {
  const { rows } = await stack.pool.query(
    `SELECT kind, state, status, error, attempt, first_no::int, last_no::int, message_id
      FROM webhook_attempts WHERE webhook_id = $1 ORDER BY attempt_id`,
    [webhookId],
  )
  return rows
}

async function disabledReasonOf(webhookId: string): Promise<string | null> {
  const { rows } = await stack.pool.query(
    'SELECT disabled_reason FROM webhooks WHERE webhook_id = $1',
    [webhookId],
  )
  return rows[0]?.disabled_reason
}

describe('a notifier', () => {
  it('delivers a change with a signature that the reference library accepts', async () => {
    const { eventId, receiver, secret, webhookId } = await given()
    await stack.change(eventId)

    await receiver.waitFor(() => receiver.received.length === 1)
    const [received] = receiver.received
    if (received === undefined) throw new Error('nothing was received')
    verify(received, secret)
    expect(received.body).toMatchObject({
      type: 'waitlist.promoted',
      data: { eventId, no: 1, userId: 'u1', bookingId: `${eventId}-1` },
    })
    await stack.waitForCursor(webhookId, eventId, ({ due_in_ms }) => due_in_ms === null)
    expect(await stack.cursorOf(webhookId, eventId)).toMatchObject({ delivered_no: 1, attempts: 0 })
    expect(await attemptsOf(webhookId)).toMatchObject([
      { kind: 'live', state: 'delivered', status: 204, error: null, attempt: 1, first_no: 1 },
    ])
  })

  it('signs with both secrets in the day after a rotation', async () => {
    const { eventId, receiver, secret, webhookId } = await given()
    await stack.pool.query(
      `UPDATE webhooks SET previous_secret = secret, previous_secret_until = now() + interval '1 day'
        WHERE webhook_id = $1`,
      [webhookId],
    )
    // A notifier reads the webhooks every half second.
    await sleep(600)
    await stack.change(eventId)

    await receiver.waitFor(() => receiver.received.length === 1)
    const [received] = receiver.received
    if (received === undefined) throw new Error('nothing was received')
    verify(received, secret)
    expect(received.headers['webhook-signature']?.split(' ')).toHaveLength(2)
  })

  it('delivers the changes of an event in order, one request at a time', async () => {
    const { eventId, receiver } = await given()
    receiver.answer(() => new Promise((resolve) => setTimeout(resolve, Math.random() * 5, 204)))
    for (let i = 0; i < 10; i++) await stack.change(eventId, 20)

    await receiver.waitFor(() => receiver.received.length >= 200, 30_000)
    expect(receiver.numbersOf(eventId)).toEqual(numbersTo(200))
    expect(Math.max(...receiver.received.map(({ atOnce }) => atOnce))).toBe(1)
  })

  it('moves the cursor past types that were not asked for, without a request', async () => {
    const { eventId, receiver, webhookId } = await given({ types: ['event.updated'] })
    await stack.change(eventId, 450)
    await stack.waitForCursor(webhookId, eventId, ({ due_in_ms }) => due_in_ms === null)
    expect(receiver.received).toEqual([])
    await stack.change(eventId, 1, 'event.updated')
    await stack.change(eventId, 2)

    await stack.waitForCursor(webhookId, eventId, (cursor) => cursor.delivered_no === 453)
    expect(receiver.numbersOf(eventId)).toEqual([451])
  })

  it('delivers up to 100 changes in a batch', async () => {
    const { eventId, receiver, secret } = await given({ format: 'batch' })
    await stack.change(eventId, 250)

    await receiver.waitFor(() => receiver.numbersOf(eventId).length === 250)
    expect(receiver.numbersOf(eventId)).toEqual(numbersTo(250))
    for (const received of receiver.received) verify(received, secret)
    expect(Math.max(...receiver.received.map(({ body }) => numbersIn(body).length))).toBe(100)
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(receiver.received.length)
  })

  it('repeats a batch with the same id and the same changes, although there are more', async () => {
    const { eventId, receiver } = await given({ format: 'batch' })
    receiver.answer(() => 500)
    await stack.change(eventId, 3)
    await receiver.waitFor(() => receiver.received.length === 1)
    receiver.answer(() => 204)
    await stack.change(eventId, 4)

    await receiver.waitFor(() => receiver.numbersOf(eventId).length >= 10)
    expect(receiver.received.map(({ body }) => numbersIn(body))).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [4, 5, 6, 7],
    ])
    const [first, second] = receiver.received
    expect(second?.id).toBe(first?.id)
    expect(second?.text).toBe(first?.text)
  })

  it('repeats every third request of a receiver that fails it, and skips none', async () => {
    const { eventId, receiver, webhookId } = await given()
    receiver.answer(() => (receiver.received.length % 3 === 0 ? 503 : 204))
    await stack.change(eventId, 5)

    await stack.waitForCursor(webhookId, eventId, (cursor) => cursor.delivered_no === 5, 30_000)
    expect(receiver.numbersOf(eventId)).toEqual([1, 2, 3, 3, 4, 5, 5])
    const ids = receiver.received.map(({ id }) => id)
    expect([ids[3], ids[6]]).toEqual([ids[2], ids[5]])
    expect(new Set(ids).size).toBe(5)
  })

  it('does not delay an endpoint because others are slow, reset, redirect or never answer', async () => {
    const { eventIds, receiver } = await given({}, 20)
    const elsewhere = await stack.addReceiver()
    const misbehaving = {
      slow: await given({}, 60),
      silent: await given({}, 60),
      resetting: await given({}, 20),
      redirecting: await given({}, 20),
      failing: await given({}, 20),
    }
    misbehaving.slow.receiver.answer(() => new Promise((resolve) => setTimeout(resolve, 4000, 204)))
    misbehaving.silent.receiver.answer(() => undefined)
    misbehaving.resetting.receiver.answer((_received, _response, request) => {
      request.socket.resetAndDestroy()
      return undefined
    })
    misbehaving.redirecting.receiver.answer((_received, response) => {
      response.writeHead(307, { location: elsewhere.url }).end()
      return undefined
    })
    misbehaving.failing.receiver.answer(() => 500)
    for (const { eventIds } of Object.values(misbehaving))
      for (const eventId of eventIds) await stack.change(eventId, 3)
    await sleep(1000)
    const lags: number[] = []
    for (let i = 0; i < 100; i++) {
      const eventId = eventIds[i % eventIds.length] ?? 0
      const before = receiver.received.length
      await stack.change(eventId)
      const changedAt = Date.now()
      await receiver.waitFor(() => receiver.received.length > before)
      lags.push(Date.now() - changedAt)
    }

    expect(lags.toSorted((a, b) => a - b)[95]).toBeLessThan(500)
    expect(elsewhere.received).toEqual([])
    for (const [name, each] of Object.entries(misbehaving))
      expect(each.receiver.received.length, name).toBeGreaterThan(0)
    expect((await attemptsOf(misbehaving.redirecting.webhookId))[0]).toMatchObject({ status: 307 })
    // Endpoints that are down get few requests, however many events they wait for.
    expect(misbehaving.failing.receiver.received.length).toBeLessThan(40)
  })

  it('disables an endpoint that answers 410, and sends it nothing more', async () => {
    const { eventId, receiver, webhookId } = await given()
    receiver.answer(() => 410)
    await stack.change(eventId, 2)
    expect(
      await until(async () => (await disabledReasonOf(webhookId)) === 'gone', { timeoutMs: 5000 }),
    ).toBe(true)

    await stack.change(eventId, 2)
    await sleep(7000)
    expect(receiver.received).toHaveLength(1)
  })

  it('sends an endpoint nothing for as long as Retry-After asks', async () => {
    const { eventIds, receiver, webhookId } = await given({}, 2)
    const [first = 0, second = 0] = eventIds
    receiver.answer((_received, response) => {
      response.writeHead(429, { 'retry-after': '7' }).end()
      return undefined
    })
    await stack.change(first)
    await stack.waitForCursor(webhookId, first, ({ attempts }) => attempts === 1)
    receiver.answer(() => 204)
    const { due_in_ms: dueInMs } = (await stack.cursorOf(webhookId, first)) ?? {}
    expect(dueInMs).toBeGreaterThan(6000)
    expect(dueInMs).toBeLessThan(8000)
    await stack.change(second)

    await receiver.waitFor(() => receiver.received.length === 3, 15_000)
    const [asked, ...later] = receiver.received.map(({ atMs }) => atMs)
    for (const atMs of later) expect(atMs - (asked ?? 0)).toBeGreaterThan(6900)
  })

  it('makes all deliveries of an endpoint due when it answers again', async () => {
    const { eventIds, receiver, webhookId } = await given({}, 4)
    const [last = 0, ...waiting] = eventIds
    receiver.answer(() => 500)
    for (const eventId of waiting) {
      await stack.change(eventId, 2)
      await stack.waitForCursor(webhookId, eventId, ({ attempts }) => attempts > 0)
    }
    await stack.pool.query(
      `UPDATE webhook_cursors SET next_attempt_at = now() + interval '1 hour' WHERE webhook_id = $1`,
      [webhookId],
    )
    receiver.answer(() => 204)
    await stack.change(last)

    for (const eventId of waiting)
      await stack.waitForCursor(webhookId, eventId, (cursor) => cursor.delivered_no === 2)
  })

  it('counts an endpoint as failing only until its next success, for whichever event', async () => {
    const { eventIds, receiver, webhookId } = await given({}, 2)
    const [failing = 0, working = 0] = eventIds
    receiver.answer(({ body }) => (body.data.eventId === failing ? 500 : 204))
    const isFailing = async (): Promise<boolean> => {
      const { rows } = await stack.pool.query(
        'SELECT failing_since IS NOT NULL AS failing FROM webhooks WHERE webhook_id = $1',
        [webhookId],
      )
      return rows[0]?.failing
    }
    await stack.change(failing)
    expect(await until(isFailing, { timeoutMs: 5000 })).toBe(true)
    // The first success repeats the failing request. The second one comes soon after it.
    for (const attempts of [2, 2]) {
      await stack.change(working)
      await stack.waitForCursor(webhookId, failing, (cursor) => cursor.attempts >= attempts)
    }

    expect(await until(async () => !(await isFailing()), { timeoutMs: 2000 })).toBe(true)
  })

  it('parks a change after three days of failures, and goes on with the next one', async () => {
    const { eventId, receiver, webhookId } = await given()
    receiver.answer(({ body }) => (body.data.no === 1 ? 500 : 204))
    await stack.change(eventId, 2)
    await stack.waitForCursor(webhookId, eventId, ({ attempts }) => attempts === 1)
    await stack.pool.query(
      `UPDATE webhook_cursors SET failing_since = now() - interval '73 hours', next_attempt_at = now()
        WHERE webhook_id = $1`,
      [webhookId],
    )

    await stack.waitForCursor(webhookId, eventId, (cursor) => cursor.delivered_no === 2, 20_000)
    expect((await attemptsOf(webhookId)).map(({ state }) => state)).toEqual([
      'failed',
      'parked',
      'delivered',
    ])
  })

  it('disables an endpoint whose attempts have all failed for five days', async () => {
    const { eventId, receiver, webhookId } = await given()
    receiver.answer(() => 500)
    await stack.pool.query(
      `UPDATE webhooks SET failing_since = now() - interval '121 hours' WHERE webhook_id = $1`,
      [webhookId],
    )
    await stack.change(eventId)

    expect(
      await until(async () => (await disabledReasonOf(webhookId)) === 'failing', {
        timeoutMs: 5000,
      }),
    ).toBe(true)
  })

  it('sends nothing that was decided while the owner was disabled or not an organizer', async () => {
    const { eventId, receiver, webhookId } = await given({ owner: 'demoted' })
    const isDispatched = () =>
      stack.pool.query('SELECT FROM webhook_dispatch WHERE event_id = $1', [eventId])
    const account = async (role: string, disabled: boolean) => {
      await stack.pool.query(
        `INSERT INTO users (user_id, password_hash, role, disabled) VALUES ('demoted', 'x', $1, $2)
          ON CONFLICT (user_id) DO UPDATE SET role = $1, disabled = $2`,
        [role, disabled],
      )
      await sleep(700)
    }
    const isAt = (no: number) =>
      stack.waitForCursor(webhookId, eventId, (cursor) => cursor.delivered_no === no)
    await account('user', false)
    await stack.change(eventId)
    expect(
      await until(async () => (await isDispatched()).rowCount === 1, { timeoutMs: 5000 }),
    ).toBe(true)
    expect(await stack.cursorOf(webhookId, eventId)).toBeUndefined()
    await account('organizer', false)
    await stack.change(eventId)
    await isAt(2)
    await account('user', false)
    await stack.change(eventId)
    await isAt(3)
    await account('admin', true)
    await stack.change(eventId)
    await isAt(4)
    await account('organizer', false)
    await stack.change(eventId)
    await isAt(5)

    expect(receiver.numbersOf(eventId)).toEqual([2, 5])
  })

  it('sends nothing that was decided while the owner was not staff of the event', async () => {
    const { eventId, receiver, webhookId } = await given({ owner: 'giver' })
    const setOwner = (owner: string) =>
      stack.pool.query('UPDATE events SET owner = $2 WHERE event_id = $1', [eventId, owner])
    const isAt = (no: number) =>
      stack.waitForCursor(webhookId, eventId, (cursor) => cursor.delivered_no === no)
    await stack.change(eventId)
    await isAt(1)
    await setOwner('taker')
    await stack.change(eventId, 300)
    await isAt(301)
    await stack.pool.query(
      `INSERT INTO event_organizers (event_id, user_id, position) VALUES ($1, 'giver', 1)`,
      [eventId],
    )
    await stack.change(eventId)
    await isAt(302)

    expect(receiver.numbersOf(eventId)).toEqual([1, 302])
  })

  it('sends nothing more of a batch whose owner gave the event away while it failed', async () => {
    const { eventId, receiver, webhookId } = await given({ owner: 'batcher', format: 'batch' })
    receiver.answer(() => 500)
    await stack.change(eventId, 3)
    await receiver.waitFor(() => receiver.received.length === 1)
    await stack.waitForCursor(webhookId, eventId, ({ attempts }) => attempts === 1)
    await stack.pool.query(`UPDATE events SET owner = 'taker' WHERE event_id = $1`, [eventId])
    receiver.answer(() => 204)

    await stack.waitForCursor(webhookId, eventId, (cursor) => cursor.delivered_no === 3, 20_000)
    expect(receiver.received).toHaveLength(1)
  })
})
