import { NoAnswerError, retryAfterSecondsOf } from './errors.js'

/**
 * An API key or an access token, or a function that returns one. The function is called before each
 * request, so it can return a new token when the old one is about to expire. An empty string counts
 * as none, because a variable of the environment may not be set.
 */
export type TokenSource = string | (() => string | undefined | Promise<string | undefined>)

/** The part of `fetch` that the client uses. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/**
 * What `openapi-fetch` makes of a call, instead of a Request. A Request would have to be cloned for
 * each attempt, which costs more CPU time than the rest of a call.
 */
export class Call {
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly init: RequestInit

  constructor(url: string, init: RequestInit) {
    this.url = url
    this.method = init.method ?? 'GET'
    this.headers = new Headers(init.headers)
    this.init = init
  }
}

export interface TransportOptions {
  token: TokenSource | undefined
  fetch: Fetch
  /** How long to repeat a request that gets no useful answer, ms. */
  giveUpAfterMs: number
}

/**
 * How long an attempt waits for its answer, ms. The API answers within 30 s, even if it waits for a
 * decision. The rest is for slow networks.
 */
const ANSWER_TIMEOUT_MS = 45_000
/**
 * Longest pause before the first repetition if the API sent no `Retry-After`, ms. It doubles with
 * each further repetition.
 */
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 8000
/**
 * Largest random extension of `Retry-After`, as a share of it. Spreads clients that got the same.
 */
const RETRY_JITTER = 0.2

/** Methods that may be repeated without an `Idempotency-Key` (RFC 9110, section 9.2.2). */
const IDEMPOTENT = ['GET', 'HEAD', 'PUT', 'DELETE']

/**
 * Creates the function that sends calls. It adds the token. It repeats a request if the request had
 * no effect, or if a second one is harmless. It honors `Retry-After`. If the time is over, or if
 * the API asks for a longer pause than is left, it returns the last answer.
 *
 * The function throws a {@link NoAnswerError} if there was no answer, and the reason of the call's
 * signal if that was aborted.
 */
export function createTransport({ token, fetch, giveUpAfterMs }: TransportOptions) {
  /** @returns the answer, or the error if there was none */
  async function attempt({ url, init, headers }: Call): Promise<Response | Error> {
    const timeout = new AbortController()
    const timer = setTimeout(() => timeout.abort(), ANSWER_TIMEOUT_MS)
    const signal = init.signal ? AbortSignal.any([init.signal, timeout.signal]) : timeout.signal
    try {
      return await whole(await fetch(url, { ...init, headers, signal }))
    } catch (error) {
      init.signal?.throwIfAborted()
      return error instanceof Error ? error : new Error(String(error))
    } finally {
      clearTimeout(timer)
    }
  }

  return async (call: Call): Promise<Response> => {
    const untilMs = Date.now() + giveUpAfterMs
    const signal = call.init.signal ?? undefined
    for (let count = 1; ; count++) {
      const present = typeof token === 'function' ? await token() : token
      if (present) call.headers.set('authorization', `Bearer ${present}`)
      const answer = await attempt(call)
      const pauseMs = await pauseAfter(call, answer, count)
      if (pauseMs === undefined || Date.now() + pauseMs > untilMs) {
        if (answer instanceof Response) return answer
        const message = `${call.method} ${call.url} got no answer: ${answer.message}`
        throw new NoAnswerError(message, { cause: answer })
      }
      // A page of a proxy is read to its end, so that the connection can be used again.
      if (answer instanceof Response) answer.text().catch(() => undefined)
      await pause(pauseMs, signal)
    }
  }
}

/** Reads JSON to its end, because the connection may break in the middle of it. */
async function whole(response: Response): Promise<Response> {
  const isJson = /^application\/(problem\+)?json\b/.test(response.headers.get('content-type') ?? '')
  if (!isJson || response.body === null) return response
  return new Response(await response.text(), response)
}

/** How long to wait before the request is repeated, ms; undefined if it must not be repeated. */
async function pauseAfter(
  { method, headers }: Call,
  answer: Response | Error,
  count: number,
): Promise<number | undefined> {
  const isRepeatable = IDEMPOTENT.includes(method) || headers.has('idempotency-key')
  const backoffMs =
    Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (count - 1)) * (0.5 + Math.random() / 2)
  if (answer instanceof Error) return isRepeatable ? backoffMs : undefined
  const { status } = answer
  // The API limits the rate, or is overloaded: unless it says `unknown`, nothing has happened yet.
  const hadNoEffect = status === 429 || (status === 503 && !(await saysUnknown(answer)))
  const mayHelp = hadNoEffect || [502, 503, 504].includes(status)
  if (!mayHelp || !(hadNoEffect || isRepeatable)) return undefined
  const askedS = retryAfterSecondsOf(answer.headers)
  return askedS === undefined ? backoffMs : askedS * 1000 * (1 + RETRY_JITTER * Math.random())
}

async function saysUnknown(answer: Response): Promise<boolean> {
  const body: unknown = await answer
    .clone()
    .json()
    .catch(() => undefined)
  return typeof body === 'object' && body !== null && 'code' in body && body.code === 'unknown'
}

/** Waits. @throws the reason of the signal when that is aborted */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
