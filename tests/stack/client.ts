import type { Role } from '@ticket-line/shared'
import { SignJWT } from 'jose'

export interface Reply {
  status: number
  headers: Headers
  /** The parsed JSON, or the text if it is not JSON. Undefined for a stream or no body. */
  // biome-ignore lint/suspicious/noExplicitAny: bodies have many shapes
  body: any
}

export interface RequestOptions {
  token?: string
  headers?: Record<string, string>
  /** Sent unchanged and without a content type, for bodies that are wrong on purpose. */
  rawBody?: string | Uint8Array
  signal?: AbortSignal
}

export interface Client {
  request(method: string, path: string, body?: unknown, options?: RequestOptions): Promise<Reply>
  get(path: string, options?: RequestOptions): Promise<Reply>
  post(path: string, body: unknown, options?: RequestOptions): Promise<Reply>
  put(path: string, body: unknown, options?: RequestOptions): Promise<Reply>
}

/** A client of one API process. It neither retries nor follows redirects. No status is an error. */
export function createClient(baseUrl: string): Client {
  async function request(
    method: string,
    path: string,
    body?: unknown,
    options: RequestOptions = {},
  ) {
    const headers = new Headers(options.headers)
    if (options.token !== undefined) headers.set('authorization', `Bearer ${options.token}`)
    const init: RequestInit = { method, headers, redirect: 'manual' }
    if (options.signal !== undefined) init.signal = options.signal
    if (options.rawBody !== undefined)
      init.body = options.rawBody as NonNullable<RequestInit['body']>
    else if (body !== undefined) {
      init.body = JSON.stringify(body)
      if (!headers.has('content-type')) headers.set('content-type', 'application/json')
    }
    const response = await fetch(new URL(path, baseUrl), init)
    const { status, headers: answered } = response
    // A stream does not end. `openStream` reads it.
    if (answered.get('content-type') === 'text/event-stream') {
      await response.body?.cancel()
      return { status, headers: answered, body: undefined }
    }
    return { status, headers: answered, body: parseBody(await response.text()) }
  }
  return {
    request,
    get: (path, options) => request('GET', path, undefined, options),
    post: (path, body, options) => request('POST', path, body, options),
    put: (path, body, options) => request('PUT', path, body, options),
  }
}

/** The parsed JSON, or the text if it is not JSON. */
export function parseBody(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

export interface TokenOptions {
  secret: string
  /** Seconds until the token expires. A negative number makes an expired token. Default: 3,600. */
  expiresInS?: number
  /** How many seconds ago the token was issued, according to its claims. Default: 0. */
  issuedAgoS?: number
}

/** Signs a token like the API does: HS256 with `sub`, `role` and `exp`. */
export function signToken(
  userId: string,
  role: Role,
  { secret, expiresInS = 3600, issuedAgoS = 0 }: TokenOptions,
): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ role })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(userId)
    .setIssuedAt(now - issuedAgoS)
    .setExpirationTime(now + expiresInS)
    .sign(new TextEncoder().encode(secret))
}
