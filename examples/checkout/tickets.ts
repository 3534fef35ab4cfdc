import { setTimeout as sleep } from 'node:timers/promises'

/** What ticket-line decided about a command. */
export interface Decision {
  /** The outcome of a success, or the code of a refusal, for example `held` or `hold_expired`. */
  outcome: string
  /** The booking or hold, for example `1000001-17`. A booking keeps the id of its hold. */
  bookingId?: string
  /** When the hold ends, ISO 8601. */
  expiresAt?: string
  /** Position in the waiting list. */
  position?: number
}

/** The calls of ticket-line that a checkout needs, made by staff for a buyer. */
export interface Tickets {
  /** `POST /book`: holds a ticket, or joins the waiting list. */
  hold(buyer: string, key: string): Promise<Decision>
  confirm(hold: Hold, key: string): Promise<Decision>
  /** Moves the deadline of a hold: its first length, counted from now. */
  extend(hold: Hold, key: string): Promise<Decision>
  /** `POST /cancel`: gives the ticket back. */
  release(hold: Hold, key: string): Promise<Decision>
}

export interface Hold {
  buyer: string
  bookingId: string
}

export interface TicketLine {
  baseUrl: string
  /** Token of an organizer. */
  token: string
  eventId: number
}

const GIVE_UP_AFTER_MS = 60_000

/**
 * Every call has an idempotency key, so it is repeated until ticket-line answers: a repetition has
 * no second effect. Every call about a hold names the hold, because the buyer may have another one
 * by the time the call is decided.
 */
export function createTickets({ baseUrl, token, eventId }: TicketLine): Tickets {
  /** @throws Error if the call is wrong, or if there is no decision within a minute */
  async function command(path: string, members: object, key: string): Promise<Decision> {
    const body = JSON.stringify({ eventId, ...members })
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'idempotency-key': `"${key}"`,
      prefer: 'return=representation',
    }
    const post = () => fetch(baseUrl + path, { method: 'POST', headers, body })
    const response = await untilAnswered(`POST ${path}`, post)
    if (response.status !== 202) return decisionOf(await response.json())
    return poll(response.headers.get('location') as string)
  }

  /** Called after a 202: the command is in the line, and will be decided. */
  async function poll(statusUrl: string): Promise<Decision> {
    const headers = {
      authorization: `Bearer ${token}`,
      prefer: 'wait=10, return=representation',
    }
    const deadline = Date.now() + GIVE_UP_AFTER_MS
    while (Date.now() < deadline) {
      const get = () => fetch(baseUrl + statusUrl, { headers })
      const response = await untilAnswered(`GET ${statusUrl}`, get)
      const job = (await response.json()) as { state: string; body: Answer }
      if (job.state === 'done') return decisionOf(job.body)
    }
    throw new Error(`${statusUrl} is still undecided`)
  }

  return {
    hold: (userId, key) => command('/book', { userId }, key),
    confirm: ({ buyer, bookingId }, key) => command('/confirm', { userId: buyer, bookingId }, key),
    extend: ({ buyer, bookingId }, key) => command('/extend', { userId: buyer, bookingId }, key),
    release: ({ buyer, bookingId }, key) => command('/cancel', { userId: buyer, bookingId }, key),
  }
}

type Answer = Decision & { code?: string }

/** A success names its outcome. A refusal (RFC 9457) has a code, which is the outcome's name. */
function decisionOf(answer: unknown): Decision {
  const { outcome, code, ...rest } = answer as Answer
  return { ...rest, outcome: outcome ?? code ?? 'unknown' }
}

/** Repeats a request while ticket-line cannot be reached, is busy, or limits the rate. */
async function untilAnswered(
  what: string,
  send: () => Promise<globalThis.Response>,
): Promise<globalThis.Response> {
  const deadline = Date.now() + GIVE_UP_AFTER_MS
  for (;;) {
    const response = await send().catch(() => undefined)
    const mayHelp = response === undefined || [429, 502, 503, 504].includes(response.status)
    if (!mayHelp && [400, 401, 403].includes(response.status))
      throw new Error(`${what} answered ${response.status}: ${await response.text()}`)
    if (!mayHelp) return response
    if (Date.now() > deadline) throw new Error(`${what} was not answered`)
    await sleep(1000 * Number(response?.headers.get('retry-after') ?? 1))
  }
}
