import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import type { EventLists } from './verify.ts'
import type { Confirmation, HoldPurchase } from './verify-holds.ts'

/** Keep-alive connections to the API processes under load, which get requests in turn. */
export interface ApiClient {
  post(path: string, body: unknown, token: string, prefer?: string): Promise<Answer>
  get(path: string, token: string, prefer?: string): Promise<Answer>
  close(): Promise<void>
}

export interface Answer {
  status: number
  location: string | undefined
  retryAfterMs: number
  // biome-ignore lint/suspicious/noExplicitAny: bodies differ by call
  body: any
}

export function createApiClient(baseUrls: string[], connections: number): ApiClient {
  const each = Math.ceil(connections / baseUrls.length)
  const pools = baseUrls.map((url) => new Pool(url, { connections: each, pipelining: 1 }))
  let turn = 0

  async function send(
    method: 'GET' | 'POST',
    path: string,
    token: string,
    body?: unknown,
    prefer?: string,
  ) {
    const pool = pools[turn++ % pools.length] as Pool
    const headers: Record<string, string> = { authorization: `Bearer ${token}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    if (prefer !== undefined) headers['prefer'] = prefer
    const payload = body === undefined ? null : JSON.stringify(body)
    const response = await pool.request({ method, path, headers, body: payload })
    const text = await response.body.text()
    const location = response.headers['location']
    return {
      status: response.statusCode,
      location: typeof location === 'string' ? location : undefined,
      retryAfterMs: Number(response.headers['retry-after'] ?? 1) * 1000,
      body: text.startsWith('{') ? JSON.parse(text) : text,
    }
  }
  return {
    post: (path, body, token, prefer) => send('POST', path, token, body, prefer),
    get: (path, token, prefer) => send('GET', path, token, undefined, prefer),
    close: async () => void (await Promise.all(pools.map((pool) => pool.close()))),
  }
}

const GIVE_UP_AFTER_MS = 60_000

/**
 * Books for one buyer and waits for the outcome, in the response or from the job. Never throws:
 * a purchase without an outcome is a result, too.
 */
export async function buy(
  client: ApiClient,
  eventId: number,
  userId: string,
  token: string,
  async: boolean,
): Promise<HoldPurchase> {
  const prefer = async ? 'respond-async, return=representation' : 'return=representation'
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
  try {
    const answer = await sendUntilAccepted(purchase, () =>
      client.post('/book', { eventId }, token, prefer),
    )
    purchase.acceptedAtMs = performance.now()
    purchase.jobId = jobIdOf(answer)
    const final = await finalBodyOf(client, answer, token)
    purchase.answeredAtMs = performance.now()
    purchase.outcome = final?.outcome
    purchase.position = final?.position
    purchase.bookingId = final?.bookingId
    purchase.expiresAt = final?.expiresAt
  } catch {
    // The connection broke. The buyer counts as unanswered.
  }
  return purchase
}

/**
 * Confirms a hold and waits for the outcome. Never throws. A refusal's code counts as its outcome.
 */
export async function confirmHold(
  client: ApiClient,
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
    const answer = await sendUntilAccepted(confirmation, () =>
      client.post('/confirm', { eventId, bookingId }, token, 'return=representation'),
    )
    confirmation.jobId = jobIdOf(answer)
    const final = await finalBodyOf(client, answer, token)
    confirmation.answeredAt = new Date().toISOString()
    confirmation.outcome = final?.outcome ?? final?.code
  } catch {
    // The connection broke. The confirmation counts as unanswered.
  }
  return confirmation
}

const jobIdOf = ({ location }: Answer): string | undefined => location?.replace('/jobs/', '')

/** The body with the outcome: of this answer or, after a 202, of the job. */
const finalBodyOf = (client: ApiClient, answer: Answer, token: string) =>
  answer.status === 202
    ? poll(client, answer.location ?? answer.body.statusUrl, token)
    : answer.body

/**
 * Repeats a request that got 503, which then had no effect. `sentAtMs` is the time of the last try.
 */
async function sendUntilAccepted(
  request: { sentAtMs: number },
  send: () => Promise<Answer>,
): Promise<Answer> {
  const deadline = performance.now() + GIVE_UP_AFTER_MS
  for (;;) {
    request.sentAtMs = performance.now()
    const answer = await send()
    if (answer.status !== 503 || answer.body.code === 'unknown' || performance.now() > deadline)
      return answer
    await sleep(Math.min(answer.retryAfterMs, 5_000))
  }
}

/** Polls a job until it is done. @returns the body of its answer, with the outcome */
async function poll(client: ApiClient, statusUrl: string, token: string) {
  const deadline = performance.now() + GIVE_UP_AFTER_MS
  while (performance.now() < deadline) {
    const { status, body } = await client.get(statusUrl, token, 'wait=10, return=representation')
    if (status === 200 && body.state === 'done') return { ...body.body, outcome: body.outcome }
    if (status !== 200 && status !== 503) return undefined
    if (status === 503) await sleep(500)
  }
  return undefined
}

/** Reads both lists completely, as staff. */
export async function readLists(
  client: ApiClient,
  eventId: number,
  token: string,
): Promise<EventLists> {
  const status = await client.get(`/status/${eventId}`, token)
  return {
    bookings: await readAll(client, `/events/${eventId}/bookings`, 'bookings', token),
    waiting: await readAll(client, `/events/${eventId}/waiting-list`, 'waiting', token),
    availableTickets: status.body.availableTickets,
  }
}

/** Reads a list completely, as staff. */
export async function readAll<T>(
  client: ApiClient,
  path: string,
  member: string,
  token: string,
): Promise<T[]> {
  const all: T[] = []
  let after = ''
  do {
    const query = `limit=1000${after && `&after=${encodeURIComponent(after)}`}`
    const { status, body } = await client.get(
      `${path}${path.includes('?') ? '&' : '?'}${query}`,
      token,
    )
    if (status !== 200) throw new Error(`${path} answered ${status}: ${JSON.stringify(body)}`)
    all.push(...(body[member] as T[]))
    after = body.next ?? ''
  } while (after !== '')
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
