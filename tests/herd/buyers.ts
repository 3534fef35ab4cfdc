import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import type { EventLists, Purchase } from './verify.ts'

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
): Promise<Purchase> {
  const prefer = async ? 'respond-async, return=representation' : 'return=representation'
  const purchase: Purchase = {
    userId,
    sentAtMs: performance.now(),
    acceptedAtMs: Number.POSITIVE_INFINITY,
    answeredAtMs: Number.POSITIVE_INFINITY,
    outcome: undefined,
    position: undefined,
  }
  try {
    const answer = await sendUntilAccepted(purchase, () =>
      client.post('/book', { eventId }, token, prefer),
    )
    purchase.acceptedAtMs = performance.now()
    const final =
      answer.status === 202
        ? await poll(client, answer.location ?? answer.body.statusUrl, token)
        : answer.body
    purchase.answeredAtMs = performance.now()
    purchase.outcome = final?.outcome
    purchase.position = final?.position ?? final?.body?.position
  } catch {
    // The connection broke. The buyer counts as unanswered.
  }
  return purchase
}

/**
 * Repeats a request that got 503, which then had no effect. `sentAtMs` is the time of the last try.
 */
async function sendUntilAccepted(purchase: Purchase, send: () => Promise<Answer>): Promise<Answer> {
  const deadline = performance.now() + GIVE_UP_AFTER_MS
  for (;;) {
    purchase.sentAtMs = performance.now()
    const answer = await send()
    if (answer.status !== 503 || answer.body.code === 'unknown' || performance.now() > deadline)
      return answer
    await sleep(Math.min(answer.retryAfterMs, 5_000))
  }
}

/** Polls a job until it is done. @returns its outcome, status and body */
async function poll(client: ApiClient, statusUrl: string, token: string) {
  const deadline = performance.now() + GIVE_UP_AFTER_MS
  while (performance.now() < deadline) {
    const { status, body } = await client.get(statusUrl, token, 'wait=10')
    if (status === 200 && body.state === 'done') return body
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

async function readAll<T>(
  client: ApiClient,
  path: string,
  member: string,
  token: string,
): Promise<T[]> {
  const all: T[] = []
  let after = ''
  do {
    const { status, body } = await client.get(
      `${path}?limit=1000${after && `&after=${encodeURIComponent(after)}`}`,
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
