import type { Role } from '@ticket-line/shared'
import { Agent, request } from 'undici'
import { signToken } from '../../stack/client.ts'
import type { Answer, Failure } from '../history.ts'

export interface AskOptions {
  method: 'GET' | 'POST'
  path: string
  token: string
  headers?: Record<string, string>
  body?: object
  /** The client hangs up after this. */
  leaveAfterMs?: number
  /** The client counts as unanswered after this. */
  silentAfterMs: number
}

/** One exchange as the client saw it. */
export interface Exchange {
  sentAtMs: number
  endedAtMs: number
  answer?: Answer
  failure?: Failure
}

/** Sends requests and notes what comes of them; never throws, never sends anything twice. */
export interface Caller {
  ask(baseUrl: string, options: AskOptions): Promise<Exchange>
  /** A bearer token, signed once a user. */
  token(userId: string, role?: Role): Promise<string>
  close(): Promise<void>
}

/** Valid on a process whose clock is off by an hour or two, in either direction. */
const TOKEN_LIFE_S = 6 * 3600
const TOKEN_AGE_S = 3 * 3600

export function createCaller(jwtSecret: string, connectionsPerApi = 256): Caller {
  const dispatcher = new Agent({
    connections: connectionsPerApi,
    pipelining: 1,
    keepAliveTimeout: 4000,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: 5000 },
  })
  const tokens = new Map<string, Promise<string>>()

  async function send(baseUrl: string, options: AskOptions, signal: AbortSignal): Promise<Answer> {
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
    async ask(baseUrl, options) {
      const { leaveAfterMs = Number.POSITIVE_INFINITY, silentAfterMs } = options
      const leaves = leaveAfterMs < silentAfterMs
      const abort = new AbortController()
      const timer = setTimeout(() => abort.abort(), Math.min(leaveAfterMs, silentAfterMs))
      const sentAtMs = performance.now()
      try {
        const answer = await send(baseUrl, options, abort.signal)
        return { sentAtMs, endedAtMs: performance.now(), answer }
      } catch (error) {
        const failure = abort.signal.aborted ? (leaves ? 'left' : 'silence') : failureOf(error)
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

/** What never got through cannot take effect; everything else may have. */
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
