import type { Context } from 'hono'
import type { AppEnv } from './env.js'

/** A response as data. Header names are in lower case. */
export interface PlainResponse<
  Status extends number = number,
  Body extends object | null = object | null,
> {
  status: Status
  headers: Record<string, string>
  /** Sent as JSON; `null` sends no body. */
  body: Body
}

/** The headers collected so far. Unit tests may run without the middleware that sets them. */
export function headersOf(c: Context<AppEnv>): Record<string, string> {
  let headers = c.get('headers')
  if (headers === undefined) {
    headers = {}
    c.set('headers', headers)
  }
  return headers
}

/**
 * Sends JSON with the headers collected so far and those given here. All JSON responses use it.
 * Handlers call it through their `reply` parameter, which accepts only documented bodies.
 */
export function sendJson(
  c: Context<AppEnv>,
  status: number,
  body: object | null,
  headers?: Record<string, string>,
): Response {
  if (body === null) return sendText(c, status, null, undefined, headers)
  return sendText(c, status, JSON.stringify(body), 'application/json', headers)
}

/** Sends text, bytes or a stream with the headers collected so far and those given here. */
export function sendText(
  c: Context<AppEnv>,
  status: number,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream | null,
  mediaType?: string,
  headers?: Record<string, string>,
): Response {
  const all = headersOf(c)
  if (mediaType !== undefined) all['content-type'] = mediaType
  if (headers !== undefined) {
    const { vary } = all
    Object.assign(all, headers)
    if (vary !== undefined && headers['vary'] !== undefined)
      all['vary'] = `${vary}, ${headers['vary']}`
  }
  const response = new Response(body, { status, headers: all })
  c.set('replied', response)
  return response
}

/** Sends a response that was created as data. */
export function sendPlain(c: Context<AppEnv>, { status, body, headers }: PlainResponse): Response {
  return sendJson(c, status, body, headers)
}

/** Sends a redirect without a body. */
export function redirect(
  c: Context<AppEnv>,
  status: 302 | 303 | 308,
  location: string,
  headers?: Record<string, string>,
): Response {
  return sendText(c, status, null, undefined, { ...headers, location })
}

/** The header that asks a client to wait before it sends the request again. */
export function retryAfter(seconds: number): { 'retry-after': string } {
  return { 'retry-after': String(seconds) }
}
