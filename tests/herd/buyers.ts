import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import type { EventLists, Purchase } from './verify.ts'

/** One way to the system under load: connections that stay open, spread over its API processes. */
export interface Crowd {
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

export function createCrowd(baseUrls: string[], connections: number): Crowd {
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

const patienceMs = 60_000

/**
 * Books for one buyer and waits for the final answer, however it comes. Never throws: no answer is
 * an answer here.
 */
export async function buy(
  crowd: Crowd,
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
      crowd.post('/book', { eventId }, token, prefer),
    )
    purchase.acceptedAtMs = performance.now()
    const final =
      answer.status === 202
        ? await poll(crowd, answer.location ?? answer.body.statusUrl, token)
        : answer.body
    purchase.answeredAtMs = performance.now()
    purchase.outcome = final?.outcome
    purchase.position = final?.position ?? final?.body?.position
  } catch {
    // A connection that broke: the buyer is counted as unanswered.
  }
  return purchase
}

/**
 * 503 says "nothing happened, come again": so does this, and the buyer's place in time begins anew.
 */
async function sendUntilAccepted(purchase: Purchase, send: () => Promise<Answer>): Promise<Answer> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    purchase.sentAtMs = performance.now()
    const answer = await send()
    if (answer.status !== 503 || answer.body.code === 'unknown' || performance.now() > deadline)
      return answer
    await sleep(Math.min(answer.retryAfterMs, 5_000))
  }
}

/** Long-polls a job until it is done; its view then holds outcome, status and body. */
async function poll(crowd: Crowd, statusUrl: string, token: string) {
  const deadline = performance.now() + patienceMs
  while (performance.now() < deadline) {
    const { status, body } = await crowd.get(statusUrl, token, 'wait=10')
    if (status === 200 && body.state === 'done') return body
    if (status !== 200 && status !== 503) return undefined
    if (status === 503) await sleep(500)
  }
  return undefined
}

/** Reads both lists to their end, as staff. */
export async function readLists(crowd: Crowd, eventId: number, token: string): Promise<EventLists> {
  const status = await crowd.get(`/status/${eventId}`, token)
  return {
    bookings: await readAll(crowd, `/events/${eventId}/bookings`, 'bookings', token),
    waiting: await readAll(crowd, `/events/${eventId}/waiting-list`, 'waiting', token),
    availableTickets: status.body.availableTickets,
  }
}

async function readAll<T>(crowd: Crowd, path: string, member: string, token: string): Promise<T[]> {
  const all: T[] = []
  let after = ''
  do {
    const { status, body } = await crowd.get(
      `${path}?limit=1000${after && `&after=${encodeURIComponent(after)}`}`,
      token,
    )
    if (status !== 200) throw new Error(`${path} answered ${status}: ${JSON.stringify(body)}`)
    all.push(...(body[member] as T[]))
    after = body.next ?? ''
  } while (after !== '')
  return all
}

/** Runs the work for each item, so many at once. */
export async function inParallel<T, R>(
  items: T[],
  atOnce: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length)
  let next = 0
  const lane = async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i] as T)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane))
  return results
}
