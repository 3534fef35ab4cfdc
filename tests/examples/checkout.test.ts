import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { type Card, createPayments, startProvider } from '../../examples/checkout/provider.ts'
import { type Order, startShop } from '../../examples/checkout/shop.ts'
import { run } from '../../tools/dev-stack/commands.mjs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createClient } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'

const PROVIDER_SECRET = 'the secret that signs callbacks'
const ADMIN = { userId: 'root', password: 'a long passphrase' }
/** A hold lapses within seconds. The rest is for a busy machine. */
const SOON = { timeoutMs: 30_000, everyMs: 50 }

let system: System
beforeAll(async () => {
  system = await startSystem({ env: { ADMIN_USER: ADMIN.userId, ADMIN_PASSWORD: ADMIN.password } })
})
afterAll(() => system?.stop())

/** A shop for a new event, with tickets that are held for 5 s, and its provider. */
async function openShop(
  { onTestFinished }: TestContext,
  settings: { totalTickets: number; maxHoldSeconds?: number },
) {
  const token = await system.token('olga', 'organizer')
  const made = await system.api.post(
    '/events',
    { holdSeconds: 5, confirmation: 'staff', ...settings },
    { token },
  )
  expect(made.status).toBe(201)
  const { eventId } = made.body as { eventId: number }
  const steps: string[] = []
  const provider = await startProvider(PROVIDER_SECRET)
  const shop = await startShop({
    ticketLine: { baseUrl: system.apis[0]?.url as string, token, eventId },
    providerUrl: provider.url,
    providerSecret: PROVIDER_SECRET,
    log: (step) => steps.push(step),
  })
  onTestFinished(async () => {
    await shop.close()
    await provider.close()
  })
  const client = createClient(shop.url)
  const read = async ({ orderId }: Order): Promise<Order> =>
    (await client.get(`/orders/${orderId}`)).body
  return {
    eventId,
    client,
    steps,
    payments: createPayments(provider.url),
    callbacks: ({ orderId }: Order) => provider.callbacks(orderId),
    order: (buyer: string, card: Card) => client.post('/orders', { buyer, card }),
    /** Waits for a state of an order. @returns the order */
    async reaches(order: Order, kind: Order['state']['kind']): Promise<Order> {
      await until(async () => (await read(order)).state.kind === kind, SOON)
      const now = await read(order)
      expect(now.state.kind, steps.join(', ')).toBe(kind)
      return now
    },
    /** Waits until the event has this many free tickets. */
    async hasFree(tickets: number): Promise<void> {
      const path = `/status/${eventId}`
      const free = async () => (await system.api.get(path)).body.availableTickets
      await until(async () => (await free()) === tickets, SOON)
      expect(await free()).toBe(tickets)
    },
    cancelEvent: () => system.api.post(`/events/${eventId}/cancel`, {}, { token }),
    /** The live bookings of the event, as staff read them. */
    async booked(): Promise<{ bookingId: string; userId: string }[]> {
      const { body } = await system.api.get(`/events/${eventId}/bookings`, { token })
      return body.bookings
    },
    async paymentOf({ paymentId }: Order): Promise<string> {
      return (await createPayments(provider.url).find(paymentId)).status
    },
  }
}

describe.concurrent('the checkout example', () => {
  it('confirms an order when the provider calls back', async (test) => {
    const shop = await openShop(test, { totalTickets: 1 })
    const { status, body: order } = await shop.order('ada', 'prompt')

    expect(status).toBe(201)
    await shop.reaches(order, 'confirmed')
    expect(await shop.booked()).toMatchObject([{ bookingId: order.orderId, userId: 'ada' }])
  })

  it('confirms an order once when the provider calls back twice at the same time', async (test) => {
    const shop = await openShop(test, { totalTickets: 1 })
    const { body: order } = await shop.order('ada', 'twice')

    expect(await until(() => shop.callbacks(order) === 2, SOON)).toBe(true)
    await shop.reaches(order, 'confirmed')
    expect(await shop.booked()).toHaveLength(1)
    expect(await shop.paymentOf(order)).toBe('paid')
  })

  it('asks the provider before the hold ends when the callback of a payment is lost', async (test) => {
    const shop = await openShop(test, { totalTickets: 1 })
    const { body: order } = await shop.order('ada', 'silent')

    await shop.reaches(order, 'confirmed')
    expect(shop.callbacks(order)).toBe(0)
    expect(await shop.booked()).toHaveLength(1)
  })

  it('extends the hold while a payment is pending, and confirms when it is paid', async (test) => {
    const shop = await openShop(test, { totalTickets: 1 })
    const { body: order } = await shop.order('ada', 'slow')
    expect(await until(() => shop.steps.includes('ada: extended'), SOON)).toBe(true)

    await shop.payments.complete(order.paymentId)

    const confirmed = await shop.reaches(order, 'confirmed')
    expect(Date.parse(confirmed.payUntil)).toBeGreaterThan(Date.parse(order.payUntil))
  })

  it('lets the hold lapse if the provider never calls back', async (test) => {
    const shop = await openShop(test, { totalTickets: 1 })
    const { body: order } = await shop.order('ada', 'slow')

    await shop.reaches(order, 'unpaid')
    expect(shop.steps).toContain('ada: extended')
    expect(shop.steps).toContain('ada: hold_limit_reached')
    await shop.hasFree(1)
    expect(await shop.booked()).toEqual([])
  })

  it('confirms a payment that arrives after the end of the hold if a ticket is free', async (test) => {
    const shop = await openShop(test, { totalTickets: 1, maxHoldSeconds: 5 })
    const { body: order } = await shop.order('ada', 'slow')
    await shop.hasFree(1)

    await shop.payments.complete(order.paymentId)

    await shop.reaches(order, 'confirmed')
    expect(await shop.booked()).toMatchObject([{ bookingId: order.orderId, userId: 'ada' }])
  })

  it('refunds a late payment if the ticket has gone to the next person (hold_expired)', async (test) => {
    const shop = await openShop(test, { totalTickets: 1, maxHoldSeconds: 5 })
    const { body: order } = await shop.order('ada', 'slow')
    expect((await shop.order('bob', 'prompt')).body).toEqual({ waiting: 1 })
    // Bob has an offer as soon as Ada's hold has lapsed.
    const offered = async () => (await shop.order('bob', 'prompt')).status === 201
    expect(await until(offered, SOON)).toBe(true)

    await shop.payments.complete(order.paymentId)

    const refunded = await shop.reaches(order, 'refunded')
    expect(refunded.state).toEqual({ kind: 'refunded', reason: 'hold_expired' })
    expect(await shop.paymentOf(order)).toBe('refunded')
    const isBooked = async () => (await shop.booked()).map(({ userId }) => userId).join() === 'bob'
    expect(await until(isBooked, SOON)).toBe(true)
  })

  it('refunds a late payment if the buyer is on the waiting list by now (already_waiting)', async (test) => {
    const shop = await openShop(test, { totalTickets: 1, maxHoldSeconds: 5 })
    const { body: order } = await shop.order('ada', 'slow')
    await shop.hasFree(1)
    await shop.order('bob', 'prompt')
    expect((await shop.order('ada', 'slow')).body).toEqual({ waiting: 1 })

    await shop.payments.complete(order.paymentId)

    const refunded = await shop.reaches(order, 'refunded')
    expect(refunded.state).toEqual({ kind: 'refunded', reason: 'already_waiting' })
    expect(await shop.paymentOf(order)).toBe('refunded')
  })

  it('refunds the payment of a lapsed hold although the buyer has another hold', async (test) => {
    const shop = await openShop(test, { totalTickets: 1, maxHoldSeconds: 5 })
    const { body: first } = await shop.order('ada', 'slow')
    await shop.hasFree(1)
    const { body: second } = await shop.order('ada', 'slow')
    expect(second.orderId).not.toBe(first.orderId)

    await shop.payments.complete(first.paymentId)

    const refunded = await shop.reaches(first, 'refunded')
    expect(refunded.state).toEqual({ kind: 'refunded', reason: 'hold_expired' })
    await shop.payments.complete(second.paymentId)
    await shop.reaches(second, 'confirmed')
    expect(await shop.booked()).toMatchObject([{ bookingId: second.orderId, userId: 'ada' }])
  })

  it('refunds a payment for an order that was given up (booking_not_found)', async (test) => {
    const shop = await openShop(test, { totalTickets: 1 })
    const { body: order } = await shop.order('ada', 'slow')
    const { body: released } = await shop.client.request('DELETE', `/orders/${order.orderId}`)
    expect(released.state).toEqual({ kind: 'released' })
    await shop.hasFree(1)

    await shop.payments.complete(order.paymentId)

    const refunded = await shop.reaches(order, 'refunded')
    expect(refunded.state).toEqual({ kind: 'refunded', reason: 'booking_not_found' })
    expect(await shop.paymentOf(order)).toBe('refunded')
  })

  it('refunds the payment of a hold whose event was canceled (event_canceled)', async (test) => {
    const shop = await openShop(test, { totalTickets: 1 })
    const { body: order } = await shop.order('ada', 'slow')
    expect((await shop.cancelEvent()).body).toEqual({ message: 'Event canceled' })

    await shop.payments.complete(order.paymentId)

    const refunded = await shop.reaches(order, 'refunded')
    expect(refunded.state).toEqual({ kind: 'refunded', reason: 'event_canceled' })
    expect(await shop.paymentOf(order)).toBe('refunded')
    expect(await shop.booked()).toEqual([])
  })

  it('gives the ticket back when a payment fails', async (test) => {
    const shop = await openShop(test, { totalTickets: 1 })
    const { body: order } = await shop.order('ada', 'declined')

    await shop.reaches(order, 'released')
    await shop.hasFree(1)
  })

  it('starts one payment for a hold, however often the buyer orders', async (test) => {
    const shop = await openShop(test, { totalTickets: 2 })
    const orders = await Promise.all([1, 2, 3].map(() => shop.order('ada', 'slow')))

    expect(new Set(orders.map(({ body }) => body.paymentId)).size).toBe(1)
    await shop.hasFree(1)
  })

  it('refuses a callback that the provider did not sign', async (test) => {
    const shop = await openShop(test, { totalTickets: 1 })
    const { body: order } = await shop.order('ada', 'slow')
    const { orderId, paymentId } = order as Order

    const forged = await shop.client.post('/callbacks', { orderId, paymentId, status: 'paid' })

    expect(forged.status).toBe(401)
    expect(await shop.booked()).toEqual([])
  })

  it('leaves the buyer’s own confirmation to staff: 403', async (test) => {
    const shop = await openShop(test, { totalTickets: 1 })
    const { body: order } = await shop.order('ada', 'slow')
    const { eventId } = shop

    const own = await system.api.post(
      '/confirm',
      { eventId, bookingId: order.orderId },
      { token: await system.token('ada') },
    )

    expect(own).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect(await shop.booked()).toEqual([])
  })

  it('runs the demonstration of the README', async () => {
    const env = {
      ...process.env,
      BASE_URL: system.apis[0]?.url,
      ADMIN_USER: ADMIN.userId,
      ADMIN_PASSWORD: ADMIN.password,
    }

    const shown = await run(process.execPath, [fromRoot('examples/checkout/main.ts')], { env })

    expect(shown).toMatch(/^slow-\w+: confirming without paying is refused with 403 forbidden$/m)
    expect(shown).toMatch(/^slow-\w+: hold_expired, refunded$/m)
    for (const buyer of ['prompt', 'twice', 'silent', 'next'])
      expect(shown).toMatch(new RegExp(`^${buyer}-\\w+: confirmed$`, 'm'))
  })
})
