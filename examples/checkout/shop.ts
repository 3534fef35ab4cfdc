import { randomUUID } from 'node:crypto'
import { createTicketLine, type ErrorCode, hasCode } from '@ticket-line/client'
import { type Callback, type Card, createPayments, isSignedByProvider } from './provider.ts'
import { type HttpServer, type Response, serve } from './server.ts'

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
  ticketLine: {
    baseUrl: string
    /** An API key with the scope `bookings:write`, or the token of an organizer. */
    token: string
    eventId: number
  }
  providerUrl: string
  /** Signs the provider's callbacks. */
  providerSecret: string
  port?: number
  /** Called with each step of an order. */
  log?: (line: string) => void
}

/** Refusals of a confirmation after which the buyer has no ticket for this payment. */
const NO_TICKET: ErrorCode[] = [
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
  const { eventId } = ticketLine
  const tickets = createTicketLine(ticketLine)
  const payments = createPayments(providerUrl)
  const orders = new Map<string, Promise<Order>>()
  const turns = new Map<string, Promise<void>>()
  const timers = new Set<NodeJS.Timeout>()

  /** Holds a ticket, or finds the buyer's hold or offer, and starts its payment. */
  async function order(buyer: string, card: Card): Promise<Response> {
    try {
      const idempotencyKey = `hold-${randomUUID()}`
      const decision = await tickets.book({ eventId, userId: buyer }, { idempotencyKey })
      log(`${buyer}: ${decision.outcome}`)
      if (decision.outcome === 'held') return await startOrder(buyer, card, decision)
      if (decision.outcome === 'waiting') return waiting(decision)
      throw new Error(`Event ${eventId} has no holds`)
    } catch (error) {
      if (!hasCode(error) || error.status !== 409) throw error
      log(`${buyer}: ${error.code}`)
      if (hasCode(error, 'already_held')) return startOrder(buyer, card, error.problem)
      if (hasCode(error, 'already_waiting')) return waiting(error.problem)
      return { status: 409, body: { code: error.code } }
    }
  }

  const waiting = ({ position }: { position: number }): Response => {
    return { status: 200, body: { waiting: position } }
  }

  async function startOrder(buyer: string, card: Card, hold: Hold): Promise<Response> {
    const orderId = hold.bookingId
    const started = orders.get(orderId) ?? startPayment(buyer, card, hold)
    orders.set(orderId, started)
    // Without a payment there is no order. The buyer may try again.
    started.catch(() => orders.delete(orderId))
    return { status: 201, body: await started }
  }

  async function startPayment(buyer: string, card: Card, hold: Hold): Promise<Order> {
    const { bookingId: orderId, expiresAt: payUntil } = hold
    const callbackUrl = `${shop.url}/callbacks`
    const { paymentId } = await payments.start({ orderId, card, callbackUrl })
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
    try {
      await tickets.confirm(holdOf(paid), { idempotencyKey: `confirm-${paid.orderId}` })
      paid.state = { kind: 'confirmed' }
      log(`${paid.buyer}: confirmed`)
    } catch (error) {
      if (!hasCode(error, ...NO_TICKET)) throw error
      await payments.refund(paid.paymentId)
      paid.state = { kind: 'refunded', reason: error.code }
      log(`${paid.buyer}: ${error.code}, refunded`)
    }
  }

  /** Called when a payment failed, or the buyer gave up: the next person gets the ticket. */
  async function release(unwanted: Order): Promise<void> {
    if (unwanted.state.kind !== 'paying' && unwanted.state.kind !== 'unpaid') return
    const idempotencyKey = `release-${unwanted.orderId}`
    const outcome = await tickets.cancel(holdOf(unwanted), { idempotencyKey }).then(
      (decision) => decision.outcome,
      // The hold is over in any case.
      codeOfRefusal,
    )
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
    const idempotencyKey = `extend-${pending.orderId}-${pending.payUntil}`
    try {
      const { expiresAt } = await tickets.extend(holdOf(pending), { idempotencyKey })
      log(`${pending.buyer}: extended`)
      pending.payUntil = expiresAt
      reviewLater(pending)
    } catch (error) {
      log(`${pending.buyer}: ${codeOfRefusal(error)}`)
      pending.state = { kind: 'unpaid' }
    }
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

  /** Names the hold: the buyer may have another one by the time the command is decided. */
  const holdOf = ({ buyer, orderId }: Order) => ({ eventId, userId: buyer, bookingId: orderId })

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

/** A hold, as a decision or a refusal names it. */
interface Hold {
  bookingId: string
  /** ISO 8601. */
  expiresAt: string
}

/**
 * Why ticket-line refused a command about a hold.
 *
 * @throws the error if it is not about the hold, so that the step is repeated later
 */
function codeOfRefusal(error: unknown): ErrorCode {
  if (hasCode(error) && [404, 409].includes(error.status)) return error.code
  throw error
}
