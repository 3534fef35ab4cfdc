import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type HttpServer, type Response, serve } from './server.ts'

/**
 * How a simulated payment behaves:
 * - `prompt` is paid at once, and the provider calls back once.
 * - `twice` is paid at once, and the provider calls back twice at the same time.
 * - `silent` is paid at once, and the callback is lost.
 * - `declined` fails at once.
 * - `slow` stays pending until `POST /payments/:id/complete`, which may be late, or never.
 */
export type Card = 'prompt' | 'twice' | 'silent' | 'declined' | 'slow'

export type PaymentStatus = 'pending' | 'paid' | 'failed' | 'refunded'

export interface Payment {
  paymentId: string
  orderId: string
  status: PaymentStatus
}

/** What the provider sends to the shop. */
export type Callback = Payment

interface StoredPayment extends Payment {
  card: Card
  callbackUrl: string
}

export interface ProviderServer extends HttpServer {
  /** Number of callbacks that were answered with 200. */
  callbacks(orderId: string): number
}

const CALLBACK_TRIES = 60

/**
 * A simulated payment provider. Like real ones it takes an idempotency key (the order), signs its
 * callbacks, and repeats a callback that was not answered with 200.
 */
export async function startProvider(secret: string): Promise<ProviderServer> {
  const payments = new Map<string, StoredPayment>()
  const delivered = new Map<string, number>()

  function start(order: Omit<StoredPayment, 'paymentId' | 'status'>): StoredPayment {
    for (const payment of payments.values()) if (payment.orderId === order.orderId) return payment
    const payment: StoredPayment = { ...order, paymentId: randomUUID(), status: 'pending' }
    payments.set(payment.paymentId, payment)
    if (order.card !== 'slow') finish(payment)
    return payment
  }

  function finish(payment: StoredPayment): void {
    if (payment.status !== 'pending') return
    payment.status = payment.card === 'declined' ? 'failed' : 'paid'
    const copies = { prompt: 1, twice: 2, silent: 0, declined: 1, slow: 1 }[payment.card]
    for (let copy = 0; copy < copies; copy++) void callBack(payment)
  }

  async function callBack({ callbackUrl, ...payment }: StoredPayment): Promise<void> {
    const body = JSON.stringify(publicPartOf(payment))
    const headers = { 'content-type': 'application/json', 'payment-signature': sign(body, secret) }
    for (let count = 0; count < CALLBACK_TRIES; count++) {
      const response = await fetch(callbackUrl, { method: 'POST', headers, body }).catch(() => null)
      if (response?.status === 200) {
        delivered.set(payment.orderId, (delivered.get(payment.orderId) ?? 0) + 1)
        return
      }
      await sleep(1000, undefined, { ref: false })
    }
  }

  const server = await serve(async ({ call, rawBody }): Promise<Response> => {
    if (call === 'POST /payments')
      return { status: 201, body: publicPartOf(start(JSON.parse(rawBody))) }
    const [, verb, paymentId = '', action] =
      /^(\w+) \/payments\/([\w-]+)(?:\/(\w+))?$/.exec(call) ?? []
    const payment = payments.get(paymentId)
    if (payment === undefined) return { status: 404, body: {} }
    if (verb === 'POST' && action === 'complete') finish(payment)
    // A repeated refund has no second effect.
    if (verb === 'POST' && action === 'refund' && payment.status === 'paid')
      payment.status = 'refunded'
    return { status: 200, body: publicPartOf(payment) }
  })
  return { ...server, callbacks: (orderId) => delivered.get(orderId) ?? 0 }
}

function publicPartOf({ paymentId, orderId, status }: Payment): Payment {
  return { paymentId, orderId, status }
}

function sign(body: string, secret: string): string {
  return createHmac('sha256', secret).update(body).digest('base64url')
}

/** True if the provider sent this body. Without the check anybody could claim to have paid. */
export function isSignedByProvider(
  body: string,
  signature: string | undefined,
  secret: string,
): boolean {
  const expected = Buffer.from(sign(body, secret))
  const found = Buffer.from(signature ?? '')
  return found.length === expected.length && timingSafeEqual(found, expected)
}

/** The calls of the provider that a shop needs. */
export function createPayments(providerUrl: string) {
  async function send(method: 'GET' | 'POST', path: string, body?: object): Promise<Payment> {
    const headers = { 'content-type': 'application/json' }
    const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) }
    const response = await fetch(providerUrl + path, init)
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}`)
    return (await response.json()) as Payment
  }
  return {
    /** Starts the payment of an order, or finds it if it was started before. */
    start: (order: { orderId: string; card: Card; callbackUrl: string }) =>
      send('POST', '/payments', order),
    find: (paymentId: string) => send('GET', `/payments/${paymentId}`),
    /** The buyer pays a `slow` payment. */
    complete: (paymentId: string) => send('POST', `/payments/${paymentId}/complete`),
    refund: (paymentId: string) => send('POST', `/payments/${paymentId}/refund`),
  }
}
