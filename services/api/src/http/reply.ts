import type { Context } from 'hono'
import type { AppEnv } from './env.js'

/** An answer put together away from any request. Header names are in lower case. */
export interface PlainResponse {
  status: number
  headers: Record<string, string>
  /** Sent as JSON; `null` sends no body. */
  body: object | null
}

/** The headers collected for this answer, also where no entry middleware stands in front (unit tests). */
export function headersOf(c: Context<AppEnv>): Record<string, string> {
  let headers = c.get('headers')
  if (headers === undefined) {
    headers = {}
    c.set('headers', headers)
  }
  return headers
}

/** Answers JSON with the headers collected so far and those given here. Every JSON answer leaves through this. */
export function reply(
  c: Context<AppEnv>,
  status: number,
  body: object | null,
  headers?: Record<string, string>,
): Response {
  if (body === null) return replyText(c, status, null, undefined, headers)
  return replyText(c, status, JSON.stringify(body), 'application/json', headers)
}

/** Answers a text, bytes or stream of that media type with the headers collected so far and those given here. */
export function replyText(
  c: Context<AppEnv>,
  status: number,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream | null,
  mediaType?: string,
  headers?: Record<string, string>,
): Response {
  const all = headersOf(c)
  if (mediaType !== undefined) all['content-type'] = mediaType
  if (headers !== undefined) Object.assign(all, headers)
  const response = new Response(body, { status, headers: all })
  c.set('replied', response)
  return response
}

/** Answers what was put together elsewhere. */
export function replyPlain(c: Context<AppEnv>, { status, body, headers }: PlainResponse): Response {
  return reply(c, status, body, headers)
}
