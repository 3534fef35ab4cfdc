import type { Role } from '@ticket-line/shared'
import { Agent, request } from 'undici'
import { signToken } from '../../stack/client.ts'
import type { Answer, Failure } from '../history.ts'

export interface RequestOptions {
  method: 'GET' | 'POST' | 'PATCH'
  path: string
  token: string
  headers?: Record<string, string>
  body?: object
  /** The client closes the connection after this time. */
  hangUpAfterMs?: number
  /** The request counts as unanswered after this time. */
  timeoutMs: number
}

/** One request as the client saw it: it ended with an answer or with a failure. */
export interface Exchange {
  sentAtMs: number
  endedAtMs: number
  answer?: Answer
  failure?: Failure
}

/** Sends requests and records how they end. It never throws and never repeats a request. */
export interface HttpClient {
  send(baseUrl: string, options: RequestOptions): Promise<Exchange>
  /** A bearer token; it is signed once for each user and role. */
  token(userId: string, role?: Role): Promise<string>
  close(): Promise<void>
}

/** Long enough for a token to be valid in a process whose clock is wrong by up to two hours. */
const TOKEN_LIFE_S = 6 * 3600
const TOKEN_AGE_S = 3 * 3600

export function createHttpClient(jwtSecret: string, connectionsPerApi = 256): HttpClient {
  const dispatcher = new Agent({
    connections: connectionsPerApi,
    pipelining: 1,
    keepAliveTimeout: 4000,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: 5000 },
  })
  const tokens = new Map<string, Promise<string>>()

  async function exchange(
    baseUrl: string,
    options: RequestOptions,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { method, path, token, body } = options
    const response = await request(new URL(path, baseUrl), {
      method,
      dispatcher,
      signal,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      body: body === undefined ? null : JSON.stringify(body),
    })
    const text = await response.body.text()
    const header = (name: string): string | undefined =>
      response.headers[name] as string | undefined
    const jobId = header('location')?.replace('/jobs/', '')
    const retryAfter = header('retry-after')
    return {
      status: response.statusCode,
      replayed: header('idempotency-replayed') === 'true',
      body: parse(text),
      ...(jobId !== undefined && { jobId }),
      ...(retryAfter !== undefined && { retryAfter }),
    }
  }

  return {
    async send(baseUrl, options) {
      const { hangUpAfterMs = Number.POSITIVE_INFINITY, timeoutMs } = options
      const hangsUp = hangUpAfterMs < timeoutMs
      const abort = new AbortController()
      const timer = setTimeout(() => abort.abort(), Math.min(hangUpAfterMs, timeoutMs))
      const sentAtMs = performance.now()
      try {
        const answer = await exchange(baseUrl, options, abort.signal)
        return { sentAtMs, endedAtMs: performance.now(), answer }
      } catch (error) {
        const failure = abort.signal.aborted ? (hangsUp ? 'left' : 'silence') : failureOf(error)
        return { sentAtMs, endedAtMs: performance.now(), failure }
      } finally {
        clearTimeout(timer)
      }
    },
    token(userId, role = 'user') {
      const name = `${role} ${userId}`
      const known =
        tokens.get(name) ??
        signToken(userId, role, {
          secret: jwtSecret,
          expiresInS: TOKEN_LIFE_S,
          issuedAgoS: TOKEN_AGE_S,
        })
      tokens.set(name, known)
      return known
    },
    close: () => dispatcher.destroy(),
  }
}

/** A request that was never sent cannot have taken effect. Every other request may have. */
function failureOf(error: unknown): Failure {
  const code = (error as { code?: string }).code
  return code === 'ECONNREFUSED' || code === 'UND_ERR_CONNECT_TIMEOUT' ? 'refused' : 'broken'
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
