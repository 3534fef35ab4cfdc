import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addEvent } from '../stack/webhook-rows.ts'
import { numbersTo, startWebhookStack, verify, type WebhookStack } from './webhooks-kit.ts'

let stack: WebhookStack
let nextEventId = 1

beforeAll(async () => {
  stack = await startWebhookStack()
  await stack.addNotifier()
})
afterAll(() => stack?.stop())

/** A new event, and a webhook for it alone. */
async function given(row: Parameters<WebhookStack['addWebhook']>[0] = {}) {
  const eventId = nextEventId++
  await addEvent(stack.pool, eventId)
  const receiver = await stack.addReceiver()
  const webhook = await stack.addWebhook({ url: receiver.url, eventIds: [eventId], ...row })
  return { eventId, receiver, ...webhook }
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
  })

  it('delivers the changes of an event in order, one request at a time', async () => {
    const { eventId, receiver } = await given()
    receiver.answer(() => new Promise((resolve) => setTimeout(resolve, Math.random() * 5, 204)))
    for (let i = 0; i < 10; i++) await stack.change(eventId, 20)

    await receiver.waitFor(() => receiver.received.length >= 200, 30_000)
    expect(receiver.numbersOf(eventId)).toEqual(numbersTo(200))
    expect(Math.max(...receiver.received.map(({ atOnce }) => atOnce))).toBe(1)
  })
})
