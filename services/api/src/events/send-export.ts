import type { Log } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { AppEnv } from '../http/env.js'
import { sendText } from '../http/reply.js'
import { principalOf } from '../http/route.js'
import { rowStream } from '../http/row-stream.js'
import type { ExportLimit } from '../limits/export-limit.js'
import { tooManyRequests } from '../limits/reply.js'

/** `Retry-After` for a user whose last download is still running, s. */
const RETRY_EXPORT_AFTER_S = 5

export interface ExportDeps {
  exports: ExportLimit
  /** An export ends if its client reads nothing for this long, ms. */
  exportStallTimeoutMs: number
  /** Maximum duration of an export, ms. */
  exportTimeoutMs: number
  log: Log
}

/** The rows of a download, in portions. The first portion was read already. */
export interface ExportedRows<Row> {
  first: Row[]
  rest: AsyncGenerator<Row[]>
  /** Headers that depend on what was read. */
  headers?: Record<string, string>
}

export interface Export<Row> {
  mediaType: string
  headers: Record<string, string>
  /** The text before the first row. */
  head: string
  /** Writes a row, with its line end. */
  lineOf: (row: Row) => string
  /**
   * Called before the response starts, so that an unavailable database gives a 503 instead of a
   * broken download.
   */
  begin: () => Promise<ExportedRows<Row>>
}

/** Sends a download. Each user can have one at a time; a second one gets 429. */
export async function sendExport<Row>(
  c: Context<AppEnv>,
  { mediaType, headers, head, lineOf, begin }: Export<Row>,
  { exports, exportStallTimeoutMs, exportTimeoutMs, log }: ExportDeps,
): Promise<Response> {
  if (c.req.method === 'HEAD') return sendText(c, 200, null, mediaType, headers)
  const leave = await exports.enter(principalOf(c).userId)
  if (leave === undefined) {
    c.header('Retry-After', String(RETRY_EXPORT_AFTER_S))
    return tooManyRequests(c, 'user_download')
  }
  const rows = await begin().catch(async (error: unknown) => {
    await leave()
    throw error
  })
  const requestId = c.get('requestId')
  const stream = rowStream({
    head,
    first: rows.first,
    rest: rows.rest,
    lineOf,
    stallTimeoutMs: exportStallTimeoutMs,
    timeoutMs: exportTimeoutMs,
    onError: (err) => log.warn({ err, requestId }, 'an export ended early'),
    onEnd: leave,
  })
  return sendText(c, 200, stream, mediaType, { ...headers, ...rows.headers })
}
