import {
  type CommandOptions,
  createTicketLine,
  dataOf,
  type Fetch,
  hasCode,
  pagesOf,
  type TicketLine,
} from '@ticket-line/client'
import { Pool } from 'undici'
import type { EventLists } from './verify.ts'
import type { Confirmation, HoldPurchase } from './verify-holds.ts'

/** Keep-alive connections to the API processes under load, which get requests in turn. */
export interface Clients {
  /**
   * A client with this token. @param onSend Called before a request that changes something is sent,
   * and before it is sent again if it had no effect until then.
   */
  withToken(token: string, onSend?: () => void): TicketLine
  close(): Promise<void>
}

export function createClients(baseUrls: string[], connections: number): Clients {
  const each = Math.ceil(connections / baseUrls.length)
  // Behind a proxy with TLS, requests would otherwise share connections by HTTP/2.
  const options = { connections: each, pipelining: 1, allowH2: false }
  const pools = baseUrls.map((url) => new Pool(url, options))
  let turn = 0

  /** Sends a request with one of the pools, which costs less CPU time than the global `fetch`. */
  const send: Fetch = async (url, { method, headers, body }) => {
    const pool = pools[turn++ % pools.length] as Pool
    const { pathname, search } = new URL(url)
    const response = await pool.request({
      method: method as 'GET' | 'POST',
      path: pathname + search,
      headers: Object.fromEntries(headers as Headers),
      body: (body as string | undefined) ?? null,
    })
    return new Response(await response.body.text(), {
      status: response.statusCode,
      headers: response.headers as Record<string, string>,
    })
  }

  return {
    withToken(token, onSend) {
      let mayHaveEffect = false
      return createTicketLine({
        baseUrl: baseUrls[0] as string,
        token,
        async fetch(url, init) {
          if (onSend === undefined || init.method === 'GET') return send(url, init)
          if (mayHaveEffect) return send(url, init)
          onSend()
          mayHaveEffect = true
          const response = await send(url, init)
          mayHaveEffect = !(await isRefused(response))
          return response
        },
      })
    },
    close: async () => void (await Promise.all(pools.map((pool) => pool.close()))),
  }
}

/**
 * Books for one buyer and waits for the outcome, in the response or from the job. Never throws:
 * a purchase without an outcome is a result, too. A refusal's code counts as its outcome.
 */
export async function buy(
  clients: Clients,
  eventId: number,
  userId: string,
  token: string,
  async: boolean,
): Promise<HoldPurchase> {
  const purchase: HoldPurchase = {
    userId,
    sentAtMs: performance.now(),
    acceptedAtMs: Number.POSITIVE_INFINITY,
    answeredAtMs: Number.POSITIVE_INFINITY,
    outcome: undefined,
    position: undefined,
    jobId: undefined,
    bookingId: undefined,
    expiresAt: undefined,
  }
  const accepted = (): void => {
    purchase.acceptedAtMs = Math.min(purchase.acceptedAtMs, performance.now())
  }
  const options: CommandOptions = { onAccepted: accepted, ...(async && { onProgress() {} }) }
  const tickets = clients.withToken(token, sentNow(purchase))
  try {
    const decision = await tickets.book({ eventId }, options)
    const { outcome, jobId, position, bookingId, expiresAt } = decision
    Object.assign(purchase, { outcome, jobId, position, bookingId, expiresAt })
  } catch (error) {
    // Otherwise there was no answer. The buyer counts as unanswered.
    if (!hasCode(error)) return purchase
    purchase.outcome = error.code
    purchase.jobId = error.jobId
  }
  accepted()
  purchase.answeredAtMs = performance.now()
  return purchase
}

/**
 * Confirms a hold and waits for the outcome. Never throws. A refusal's code counts as its outcome.
 */
export async function confirmHold(
  clients: Clients,
  hold: { eventId: number; userId: string; bookingId: string },
  token: string,
): Promise<Confirmation> {
  const { eventId, userId, bookingId } = hold
  const confirmation: Confirmation = {
    userId,
    bookingId,
    sentAtMs: performance.now(),
    answeredAt: undefined,
    outcome: undefined,
    jobId: undefined,
  }
  try {
    const tickets = clients.withToken(token, sentNow(confirmation))
    const { outcome, jobId } = await tickets.confirm({ eventId, bookingId })
    confirmation.outcome = outcome
    confirmation.jobId = jobId
  } catch (error) {
    // Otherwise there was no answer. The confirmation counts as unanswered.
    if (!hasCode(error)) return confirmation
    confirmation.outcome = error.code
    confirmation.jobId = error.jobId
  }
  confirmation.answeredAt = new Date().toISOString()
  return confirmation
}

/** Whether a request had no effect, because the API refused it for its rate or its load. */
async function isRefused(response: Response): Promise<boolean> {
  if (response.status === 429) return true
  if (response.status !== 503) return false
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  return (body as { code?: unknown } | undefined)?.code !== 'unknown'
}

/**
 * If the client repeats a request that had no effect, the time of the last one counts. A request
 * without an answer may have taken its place in the line, so its repeats do not count.
 */
function sentNow(request: { sentAtMs: number }): () => void {
  return () => {
    request.sentAtMs = performance.now()
  }
}

/** Reads both lists completely, as staff. */
export async function readLists(tickets: TicketLine, eventId: number): Promise<EventLists> {
  const params = { path: { eventId } }
  const { availableTickets } = await dataOf(tickets.api.GET('/status/{eventId}', { params }))
  return {
    bookings: (await readBookings(tickets, eventId, 'booked')) as EventLists['bookings'],
    waiting: await readWaitingList(tickets, eventId),
    availableTickets,
  }
}

const PAGE = { limit: 1000 }

/** Reads the confirmed bookings of an event, or its holds, as staff. */
export async function readBookings(
  { api }: TicketLine,
  eventId: number,
  standing: 'booked' | 'held',
) {
  const pages = pagesOf((position) => {
    const params = { path: { eventId }, query: { ...PAGE, standing, ...position } }
    return dataOf(api.GET('/events/{eventId}/bookings', { params }))
  })
  const all = []
  for await (const { bookings } of pages) all.push(...bookings)
  return all
}

/** Reads the waiting list of an event, as staff. */
export async function readWaitingList({ api }: TicketLine, eventId: number) {
  const pages = pagesOf((position) => {
    const params = { path: { eventId }, query: { ...PAGE, ...position } }
    return dataOf(api.GET('/events/{eventId}/waiting-list', { params }))
  })
  const all = []
  for await (const { waiting } of pages) all.push(...waiting)
  return all
}

/** Runs `work` for each item, at most `concurrency` at a time. */
export async function inParallel<T, R>(
  items: T[],
  concurrency: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length)
  let next = 0
  const worker = async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i] as T)
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker))
  return results
}
