import { setTimeout as sleep } from 'node:timers/promises'
import { deleteEvent, dispatchChanges, pruneWebhooks, readWebhookLag } from '@ticket-line/db'
import { Queue } from 'bullmq'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { numbersIn } from '../stack/receiver.ts'
import { addChanges, addEvent } from '../stack/webhook-rows.ts'
import { numbersTo, startWebhookStack, type WebhookStack } from './webhooks-kit.ts'

let stack: WebhookStack

beforeEach(async () => {
  stack = await startWebhookStack()
})
afterEach(() => stack?.stop())

const queueOf = ({ redis, keyPrefix }: WebhookStack): Queue =>
  new Queue('webhooks', { connection: redis, prefix: `${keyPrefix}{s0}`, skipVersionCheck: true })

describe('notifiers', () => {
  it('deliver everything that was decided while none was running', async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    await addEvent(pool, 2)
    await stack.addWebhook()
    await addChanges(pool, 1, 5)
    await addChanges(pool, 2, 7)
    await stack.addNotifier()

    await receiver.waitFor(() => receiver.received.length === 12)
    expect(receiver.numbersOf(1)).toEqual(numbersTo(5))
    expect(receiver.numbersOf(2)).toEqual(numbersTo(7))
  })

  it('deliver the changes of an event that was deleted while none was running', async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    const { webhookId } = await stack.addWebhook()
    await addChanges(pool, 1, 3)
    expect(await deleteEvent(pool, 1, { state: 'open' })).toBe('deleted')
    await stack.addNotifier()

    await stack.waitForCursor(webhookId, 1, ({ delivered_no }) => delivered_no === 3)
    expect(receiver.numbersOf(1)).toEqual([1, 2, 3])
  })

  it('deliver nothing of a deleted event to an owner who was no longer its staff', async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    const { webhookId } = await stack.addWebhook()
    await addChanges(pool, 1, 1)
    await dispatchChanges(pool, [1])
    await pool.query(`UPDATE events SET owner = 'somebody', shared = false WHERE event_id = 1`)
    await addChanges(pool, 1, 2)
    expect(await deleteEvent(pool, 1, { state: 'open' })).toBe('deleted')
    expect(await stack.cursorOf(webhookId, 1)).toBeUndefined()
    await addEvent(pool, 2)
    await stack.addNotifier()
    await stack.change(2)

    await receiver.waitFor(() => receiver.received.length > 0)
    expect(receiver.received.map(({ body }) => body.data.eventId)).toEqual([2])
  })

  it('deliver only what was decided after the webhook was made', async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    await addEvent(pool, 2)
    await addChanges(pool, 1, 5)
    await addChanges(pool, 2, 5)
    await stack.addWebhook()
    await addChanges(pool, 1, 3)
    await stack.addNotifier()
    await receiver.waitFor(() => receiver.received.length === 3)
    await stack.change(2)

    await receiver.waitFor(() => receiver.received.length === 4)
    expect(receiver.numbersOf(1)).toEqual([6, 7, 8])
    expect(receiver.numbersOf(2)).toEqual([6])
  })

  it('hand each organizer only the changes of events of which they are staff', async () => {
    const { pool, receiver } = stack
    for (const [eventId, owner] of [
      [1, 'olga'],
      [2, 'otto'],
      [3, null],
      [4, null],
    ] as const)
      await addEvent(pool, eventId, owner)
    await pool.query('UPDATE events SET shared = true WHERE event_id = 3')
    await pool.query(
      `INSERT INTO event_organizers (event_id, user_id, position) VALUES (2, 'ulla', 1)`,
    )
    const expected = { olga: [1, 3], otto: [2, 3], ulla: [2, 3], root: [1, 2, 3, 4], ada: [] }
    const receivers = new Map<string, typeof receiver>()
    for (const owner of Object.keys(expected)) {
      const own = await stack.addReceiver()
      receivers.set(owner, own)
      const ownerRole = owner === 'root' ? 'admin' : owner === 'ada' ? 'user' : 'organizer'
      await stack.addWebhook({ owner, ownerRole, url: own.url })
      // A webhook that names events gets no more than one that names none.
      await stack.addWebhook({ owner, ownerRole, url: receiver.url, eventIds: [1, 2, 3, 4] })
    }
    await stack.addNotifier()
    for (const eventId of [1, 2, 3, 4]) await stack.change(eventId, 2)

    const all = Object.values(expected).flat().length * 2
    await receiver.waitFor(() => receiver.received.length >= all)
    await sleep(500)
    expect(receiver.received).toHaveLength(all)
    for (const [owner, eventIds] of Object.entries(expected)) {
      const numbers = [1, 2, 3, 4].map((id) => receivers.get(owner)?.numbersOf(id))
      expect(numbers).toEqual(
        [1, 2, 3, 4].map((id) => (eventIds.includes(id as never) ? [1, 2] : [])),
      )
    }
    const { rows } = await pool.query('SELECT count(*)::int FROM webhook_cursors')
    expect(rows).toEqual([{ count: all }])
  })

  it('replay no changes to an owner who is no longer staff of the event', async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    await addEvent(pool, 2)
    const { webhookId } = await stack.addWebhook()
    await stack.addNotifier()
    await stack.change(1, 2)
    await receiver.waitFor(() => receiver.received.length === 2)
    await pool.query(`UPDATE events SET owner = 'otto' WHERE event_id = 1`)
    const queue = queueOf(stack)
    await queue.add('replay', { webhookId, eventId: 1, from: 1, to: 2 })
    await stack.change(2)

    await receiver.waitFor(() => receiver.received.length === 3)
    expect(
      await until(async () => (await queue.getJobCounts()).waiting === 0, { timeoutMs: 5000 }),
    ).toBe(true)
    await queue.close()
    await sleep(300)
    expect(receiver.numbersOf(1)).toEqual([1, 2])
    expect(receiver.numbersOf(2)).toEqual([1])
  })

  it('find changes whose announcement was lost when their connection broke', async () => {
    const { pool, receiver, redis } = stack
    await addEvent(pool, 1)
    await stack.addWebhook()
    await stack.addNotifier()
    await stack.change(1)
    await receiver.waitFor(() => receiver.received.length === 1)
    await addChanges(pool, 1, 2)
    await redis.client('KILL', 'TYPE', 'PUBSUB')

    await receiver.waitFor(() => receiver.received.length === 3)
    expect(receiver.numbersOf(1)).toEqual([1, 2, 3])
  })

  it('share the work without sending anything twice or out of order', async () => {
    const { pool, receiver } = stack
    const eventIds = numbersTo(20)
    for (const eventId of eventIds) await addEvent(pool, eventId)
    await stack.addWebhook()
    await Promise.all([stack.addNotifier(), stack.addNotifier()])
    for (let i = 0; i < 25; i++)
      await Promise.all(eventIds.map((eventId) => stack.change(eventId, 2)))

    await receiver.waitFor(() => receiver.received.length >= 1000, 60_000)
    for (const eventId of eventIds) expect(receiver.numbersOf(eventId)).toEqual(numbersTo(50))
    expect(Math.max(...receiver.received.map(({ atOnce }) => atOnce))).toBe(1)
  })

  it('go on after a flush of Redis, without a second request for an event at the same time', async () => {
    const { pool, receiver, redis, keyPrefix } = stack
    const eventIds = numbersTo(5)
    for (const eventId of eventIds) await addEvent(pool, eventId)
    await stack.addWebhook()
    await Promise.all([stack.addNotifier(), stack.addNotifier()])
    receiver.answer(() => new Promise((resolve) => setTimeout(resolve, 30, 204)))
    for (const eventId of eventIds) await stack.change(eventId, 60)
    await receiver.waitFor(() => receiver.received.length > 20)
    // Other suites use the same Redis, so only the keys of this one are removed.
    const keys = await redis.keys(`${keyPrefix}{s0}:webhooks:*`)
    await redis.del(keys)
    for (const eventId of eventIds) await stack.change(eventId, 5)

    const isComplete = () => eventIds.every((id) => new Set(receiver.numbersOf(id)).size === 65)
    await receiver.waitFor(isComplete, 60_000)
    for (const eventId of eventIds) expect(receiver.numbersOf(eventId)).toEqual(numbersTo(65))
    expect(Math.max(...receiver.received.map(({ atOnce }) => atOnce))).toBe(1)
  })

  it('deliver 100,000 changes of an event in order', { timeout: 180_000 }, async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    const { webhookId } = await stack.addWebhook({ format: 'batch' })
    await Promise.all([stack.addNotifier(), stack.addNotifier()])
    for (let i = 0; i < 10; i++) await stack.change(1, 10_000)

    await stack.waitForCursor(webhookId, 1, (cursor) => cursor.delivered_no === 100_000, 150_000)
    expect(receiver.numbersOf(1)).toEqual(numbersTo(100_000))
    expect(Math.max(...receiver.received.map(({ atOnce }) => atOnce))).toBe(1)
  })

  it('repeat a message with the same id if one is killed before it has moved the cursor', async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    await stack.addWebhook()
    const victim = await stack.addNotifier()
    let kills = 1
    receiver.answer(async () => {
      if (receiver.received.length < 3 || kills-- <= 0) return 204
      await victim.kill()
      return 204
    })
    await stack.change(1, 5)
    await until(() => !victim.running(), { timeoutMs: 10_000 })
    await stack.addNotifier()

    await receiver.waitFor(() => receiver.received.length >= 6, 60_000)
    await sleep(200)
    expect(receiver.numbersOf(1)).toEqual([1, 2, 3, 3, 4, 5])
    expect(receiver.received[3]?.id).toBe(receiver.received[2]?.id)
  })

  it('set all cursors to the present after a new epoch', async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    await stack.addWebhook()
    const first = await stack.addNotifier()
    await stack.change(1, 2)
    await receiver.waitFor(() => receiver.received.length === 2)
    await first.stop()
    await addChanges(pool, 1, 3)
    await pool.query('UPDATE installation SET epoch = gen_random_uuid()')
    await stack.addNotifier()
    await until(
      async () =>
        (await pool.query('SELECT FROM installation WHERE webhook_epoch = epoch')).rowCount === 1,
      { timeoutMs: 5000 },
    )
    await stack.change(1)

    await receiver.waitFor(() => receiver.received.length === 3)
    expect(receiver.numbersOf(1)).toEqual([1, 2, 6])
    const epochs = receiver.received.map(({ body }) => body.data.epoch)
    expect(new Set(epochs).size).toBe(2)
  })

  it('send a test message, replay changes beside the live ones, and resume an endpoint', async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    const { webhookId } = await stack.addWebhook()
    await stack.addNotifier()
    await stack.change(1, 4)
    await receiver.waitFor(() => receiver.received.length === 4)
    const queue = queueOf(stack)
    await queue.add('test', { webhookId, messageId: 'msg_test_1' })
    await receiver.waitFor(() => receiver.received.length === 5)
    expect(receiver.received[4]).toMatchObject({ id: 'msg_test_1', body: { type: 'webhook.test' } })

    await queue.add('replay', { webhookId, eventId: 1, from: 2, to: 3 })
    await receiver.waitFor(() => receiver.received.length === 7)
    expect(receiver.numbersOf(1)).toEqual([1, 2, 3, 4, 2, 3])
    expect(receiver.received[5]?.id).toBe(receiver.received[1]?.id)

    receiver.answer(() => 500)
    await stack.change(1)
    await stack.waitForCursor(webhookId, 1, ({ attempts }) => attempts === 1)
    await pool.query(`UPDATE webhook_cursors SET next_attempt_at = now() + interval '1 hour'`)
    receiver.answer(() => 204)
    await queue.add('resume', { webhookId })
    await stack.waitForCursor(webhookId, 1, (cursor) => cursor.delivered_no === 5)
    await queue.close()
    const { rows } = await pool.query(
      'SELECT kind, count(*)::int FROM webhook_attempts GROUP BY kind ORDER BY kind',
    )
    expect(rows).toEqual([
      { kind: 'live', count: 6 },
      { kind: 'replay', count: 2 },
      { kind: 'test', count: 1 },
    ])
  })

  it('replay batches with the changes and the ids that they had', async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    const { webhookId } = await stack.addWebhook({ format: 'batch' })
    await stack.addNotifier()
    for (const count of [2, 1, 3]) {
      const last = await stack.change(1, count)
      await stack.waitForCursor(webhookId, 1, (cursor) => cursor.delivered_no === last)
    }
    const messages = () => receiver.received.map(({ id, body }) => [id, numbersIn(body)] as const)
    const live = messages()
    expect(live.map(([, numbers]) => numbers)).toEqual([[1, 2], [3], [4, 5, 6]])

    const queue = queueOf(stack)
    await queue.add('replay', { webhookId, eventId: 1, from: 1, to: 6 })
    await receiver.waitFor(() => receiver.received.length === 6)
    expect(messages().slice(3)).toEqual(live)

    // The first and the last message lack changes, so they are others.
    await queue.add('replay', { webhookId, eventId: 1, from: 2, to: 5 })
    await receiver.waitFor(() => receiver.received.length === 9)
    await queue.close()
    const [, whole] = live
    const other = expect.not.stringMatching(live.map(([id]) => id).join('|'))
    expect(messages().slice(6)).toEqual([[other, [2]], whole, [other, [4, 5]]])
  })

  it('remove attempts that are too many or too old, and cursors of deleted webhooks', async () => {
    const { pool } = stack
    const { webhookId } = await stack.addWebhook()
    const other = await stack.addWebhook()
    const addAttempts = (id: string, count: number, age: string) =>
      pool.query(
        `INSERT INTO webhook_attempts (webhook_id, event_id, first_no, last_no, message_id, attempt,
            kind, state, at, took_ms)
          SELECT $1, 1, n, n, 'msg', 1, 'live', 'delivered', now() - $3::interval, 1
          FROM generate_series(1, $2::int) AS n`,
        [id, count, age],
      )
    await addAttempts(webhookId, 1200, '1 day')
    await addAttempts(other.webhookId, 10, '31 days')
    await addAttempts(other.webhookId, 10, '29 days')
    await pool.query(
      `INSERT INTO webhook_cursors (webhook_id, event_id, delivered_no, announced_no)
        VALUES ($1, 1, 0, 0), (gen_random_uuid(), 1, 0, 0)`,
      [webhookId],
    )
    const removed = await pruneWebhooks(pool, new AbortController().signal)

    expect(removed).toBe(200 + 10 + 1)
    const { rows } = await pool.query(
      `SELECT count(*)::int AS count, min(first_no)::int AS first FROM webhook_attempts
        GROUP BY webhook_id ORDER BY count`,
    )
    expect(rows).toEqual([
      { count: 10, first: 1 },
      { count: 1000, first: 201 },
    ])
  })

  it('report changes that wait for endpoints, and the age of those that were never sent', async () => {
    const { pool, receiver } = stack
    await addEvent(pool, 1)
    await stack.addWebhook()
    const notifier = await stack.addNotifier()
    receiver.answer(() => new Promise((resolve) => setTimeout(resolve, 300, 204)))
    await stack.change(1, 20)
    await receiver.waitFor(() => receiver.received.length > 4)
    const lag = await readWebhookLag(pool)
    expect(lag.changes).toBeGreaterThan(5)
    expect(lag.changes).toBeLessThan(20)
    expect(lag.seconds).toBeGreaterThan(1)
    expect(lag.seconds).toBeLessThan(30)
    const metrics = await (await fetch(`${notifier.url}/metrics`)).text()
    expect(metrics).toMatch(/ticket_line_webhook_attempts_total\{result="delivered"\} [1-9]/)
    expect((await fetch(`${notifier.url}/readyz`)).status).toBe(200)
  })

  it('refuse to start without the key of the secrets', async () => {
    const notifier = stack.addNotifier({ WEBHOOK_SECRET_KEY: '' })
    await expect(notifier).rejects.toThrow('WEBHOOK_SECRET_KEY is not set')
  })
})
