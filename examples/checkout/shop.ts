import { randomUUID } from 'node:crypto'
import { type Callback, type Card, createPayments, isSignedByProvider } from './provider.ts'
import { type HttpServer, type Response, serve } from './server.ts'
import { createTickets, type Decision, type TicketLine } from './tickets.ts'

/** One hold and its payment. A real shop keeps its orders in a database. */
export interface Order {
  /** The `bookingId` of the hold, so a hold never has two payments. */
  orderId: string
  buyer: string
  paymentId: string
  /** When the hold ends, ISO 8601. */
  payUntil: string
  state: OrderState
}

/**
 * - `paying`: the ticket is held, and extended while the payment is pending.
 * - `unpaid`: the hold cannot be extended any more. A payment is still accepted.
 * - `confirmed` and `refunded` are final.
 * - `released`: the ticket went back. A payment that arrives anyway is refunded.
 */
export type OrderState =
  | { kind: 'paying' | 'unpaid' | 'confirmed' | 'released' }
  /** `reason` is the code with which ticket-line refused to confirm. */
  | { kind: 'refunded'; reason: string }

export interface ShopOptions {
  ticketLine: TicketLine
  providerUrl: string
  /** Signs the provider's callbacks. */
  providerSecret: string
  port?: number
  /** Called with each step of an order. */
  log?: (line: string) => void
}

/** The outcomes of a confirmation after which the buyer has no ticket for this payment. */
const NO_TICKET = [
  'hold_expired',
  'already_waiting',
  'booking_not_found',
  'event_canceled',
  'rejected',
]

/** The share of a hold's time after which the shop asks the provider about the payment. */
const REVIEW_AFTER = 2 / 3
const REVIEW_AGAIN_MS = 1000

/**
 * Starts the shop: `POST /orders {buyer, card}`, `GET /orders/:id`, `DELETE /orders/:id`, and `POST
 * /callbacks` for the provider.
 *
 * It signs nobody in. A real shop knows who its buyer is.
 */
export async function startShop(options: ShopOptions): Promise<HttpServer> {
  const { ticketLine, providerUrl, providerSecret, log = () => {} } = options
  const tickets = createTickets(ticketLine)
  const payments = createPayments(providerUrl)
  const orders = new Map<string, Promise<Order>>()
  const turns = new Map<string, Promise<void>>()
  const timers = new Set<NodeJS.Timeout>()

  /** Holds a ticket, or finds the buyer's hold or offer, and starts its payment. */
  async function order(buyer: string, card: Card): Promise<Response> {
    const decision = await tickets.hold(buyer, `hold-${randomUUID()}`)
    const { outcome, position, bookingId } = decision
    log(`${buyer}: ${outcome}`)
    if (outcome === 'held' || outcome === 'already_held') {
      const orderId = bookingId as string
      const started = orders.get(orderId) ?? startPayment(buyer, card, decision)
      orders.set(orderId, started)
      // Without a payment there is no order. The buyer may try again.
      started.catch(() => orders.delete(orderId))
      return { status: 201, body: await started }
    }
    if (outcome === 'waiting' || outcome === 'already_waiting')
      return { status: 200, body: { waiting: position } }
    return { status: 409, body: { code: outcome } }
  }

  async function startPayment(buyer: string, card: Card, hold: Decision): Promise<Order> {
    const orderId = hold.bookingId as string
    const callbackUrl = `${shop.url}/callbacks`
    const { paymentId } = await payments.start({ orderId, card, callbackUrl })
    const payUntil = hold.expiresAt as string
    const started: Order = { orderId, buyer, paymentId, payUntil, state: { kind: 'paying' } }
    reviewLater(started)
    return started
  }

  /** Runs the steps of an order one after the other, so that none sees a half-finished step. */
  async function inTurn(orderId: string, step: () => Promise<void>): Promise<void> {
    const turn = (turns.get(orderId) ?? Promise.resolve()).then(step)
    turns.set(
      orderId,
      turn.catch(() => {}),
    )
    await turn
  }

  /**
   * Called when the provider says that an order is paid, which may be several times, and late.
   * ticket-line decides whether the buyer still gets the ticket; if not, the money goes back. The
   * key belongs to the order, so every call gets the same decision.
   */
  async function fulfill(paid: Order): Promise<void> {
    if (paid.state.kind === 'confirmed' || paid.state.kind === 'refunded') return
    const { outcome } = await tickets.confirm(holdOf(paid), `confirm-${paid.orderId}`)
    if (outcome === 'confirmed') paid.state = { kind: 'confirmed' }
    else if (NO_TICKET.includes(outcome)) {
      await payments.refund(paid.paymentId)
      paid.state = { kind: 'refunded', reason: outcome }
    } else throw new Error(`The confirmation of ${paid.orderId} was answered ${outcome}`)
    log(`${paid.buyer}: ${outcome}${outcome === 'confirmed' ? '' : ', refunded'}`)
  }

  /** Called when a payment failed, or the buyer gave up: the next person gets the ticket. */
  async function release(unwanted: Order): Promise<void> {
    if (unwanted.state.kind !== 'paying' && unwanted.state.kind !== 'unpaid') return
    const { outcome } = await tickets.release(holdOf(unwanted), `release-${unwanted.orderId}`)
    unwanted.state = { kind: 'released' }
    log(`${unwanted.buyer}: ${outcome}`)
  }

  /**
   * Called when most of a hold's time is over. The callback may be lost, so the shop asks the
   * provider. While the payment is pending, it extends the hold.
   */
  async function review(pending: Order): Promise<void> {
    if (pending.state.kind !== 'paying') return
    const { status } = await payments.find(pending.paymentId)
    if (status === 'paid') return fulfill(pending)
    if (status === 'failed') return release(pending)
    // The key contains the present deadline, so the next extension is another request.
    const key = `extend-${pending.orderId}-${pending.payUntil}`
    const { outcome, expiresAt } = await tickets.extend(holdOf(pending), key)
    log(`${pending.buyer}: ${outcome}`)
    if (outcome === 'extended' && expiresAt !== undefined) {
      pending.payUntil = expiresAt
      reviewLater(pending)
    } else if (pending.state.kind === 'paying') pending.state = { kind: 'unpaid' }
  }

  function reviewLater(pending: Order): void {
    const leftMs = Date.parse(pending.payUntil) - Date.now()
    startTimer(Math.max(0, leftMs * REVIEW_AFTER), pending)
  }

  function startTimer(afterMs: number, pending: Order): void {
    const timer = setTimeout(() => {
      timers.delete(timer)
      inTurn(pending.orderId, () => review(pending)).catch((error: unknown) => {
        log(`${pending.buyer}: ${error}`)
        startTimer(REVIEW_AGAIN_MS, pending)
      })
    }, afterMs)
    // It must not keep the process alive once the shop is closed.
    timers.add(timer.unref())
  }

  /** The answer is 200 only once the order is final. Otherwise the provider calls again. */
  async function callback(rawBody: string, signature: string | undefined): Promise<Response> {
    if (!isSignedByProvider(rawBody, signature, providerSecret)) return { status: 401, body: {} }
    const { orderId, status } = JSON.parse(rawBody) as Callback
    const named = await orders.get(orderId)
    if (named === undefined) return { status: 404, body: {} }
    await inTurn(orderId, () => (status === 'failed' ? release(named) : fulfill(named)))
    return { status: 200, body: {} }
  }

  const shop = await serve(async ({ call, rawBody, header }) => {
    if (call === 'POST /callbacks') return callback(rawBody, header('payment-signature'))
    if (call === 'POST /orders') {
      const { buyer, card } = JSON.parse(rawBody) as { buyer: string; card: Card }
      return order(buyer, card)
    }
    const [, verb, orderId = ''] = /^(\w+) \/orders\/([\w-]+)$/.exec(call) ?? []
    const named = await orders.get(orderId)
    if (named === undefined) return { status: 404, body: {} }
    if (verb === 'DELETE') await inTurn(orderId, () => release(named))
    return { status: 200, body: named }
  }, options.port)

  return {
    url: shop.url,
    async close() {
      for (const timer of timers) clearTimeout(timer)
      await shop.close()
    },
  }
}

const holdOf = ({ buyer, orderId }: Order) => ({ buyer, bookingId: orderId })
