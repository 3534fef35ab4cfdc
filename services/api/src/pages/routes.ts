import { VERSION } from '@ticket-line/shared'
import type { Context } from 'hono'
import { z } from 'zod'
import { acceptsEncoding, prefersHtml } from '../http/accept.js'
import type { AppEnv } from '../http/env.js'
import { matchesEtag } from '../http/etag.js'
import { NOT_FOUND, problemResponse } from '../http/problem.js'
import { sendPlain, sendText } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import { eventIdParams } from '../http/schemas.js'
import type { BuiltFile, BuiltFiles } from './built-files.js'

/**
 * Allows the page's own files and calls of this API only. No script or style is inline, and no text
 * becomes HTML or code, because there is no trusted type.
 */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

/** For scripts and styles, whose names change with their content. */
const FOREVER = 'public, max-age=31536000, immutable'

/** The JSON at `/`. */
const ROOT = {
  name: 'ticket-line',
  version: VERSION,
  docs: '/docs',
  openapi: '/openapi.json',
  dashboard: '/admin/queues',
}

const rootSchema = z
  .strictObject({
    name: z.string(),
    version: z.string(),
    docs: z.string(),
    openapi: z.string(),
    dashboard: z.string(),
  })
  .meta({ id: 'Service', example: ROOT })

const shared = { method: 'GET', auth: 'none', limit: 'dashboard', ignoresQuery: true } as const

/**
 * The pages for people. They call the public API like any other client. What the page of an event
 * or a view of the box office shows is decided in the browser, so the same file is sent to all.
 */
export function pageRoutes(files: BuiltFiles): Route[] {
  return [
    defineRoute({
      ...shared,
      path: '/',
      docs: {
        operationId: 'getService',
        tag: 'Service',
        summary: 'Get the name, version and paths of the service',
        description: 'Clients that prefer `text/html` get the home page.',
        requestHeaders: {
          Accept: '`application/json` or `text/html`',
          'If-None-Match': 'The `ETag` of a home page that the client has.',
        },
      },
      responses: {
        200: {
          description: 'Name, version and paths, or the home page.',
          schema: rootSchema,
          otherMediaTypes: { 'text/html': '<!DOCTYPE html>…' },
          headers: ['ETag'],
        },
        304: {
          description: 'The home page is the one that `If-None-Match` names.',
          headers: ['ETag'],
        },
      },
      handler(c, _input, reply) {
        c.header('Vary', 'Accept', { append: true })
        if (prefersHtml(c.req.header('accept'))) return sendPage(c, files.pages.home)
        return reply(c, 200, ROOT)
      },
    }),
    defineRoute({
      ...shared,
      path: '/e/:eventId',
      handler(c) {
        // The page itself says that there is no such event.
        const isEvent = eventIdParams.safeParse(c.req.param()).success
        return sendPage(c, files.pages.event, isEvent ? 200 : 404)
      },
    }),
    defineRoute({
      ...shared,
      path: '/box-office',
      handler: (c) => sendPage(c, files.pages.boxOffice),
    }),
    defineRoute({
      ...shared,
      path: '/assets/:name',
      handler(c) {
        const file = files.assets.get(c.req.param('name') ?? '')
        if (file === undefined) return sendPlain(c, problemResponse('not_found', NOT_FOUND))
        const { body, headers } = encodedFor(c, file)
        return sendText(c, 200, body, file.mediaType, { ...headers, 'cache-control': FOREVER })
      },
    }),
  ]
}

/** Sends a page, or 304 if the client has it. */
function sendPage(c: Context<AppEnv>, file: BuiltFile, status: 200 | 404 = 200): Response {
  const { body, encoding, headers } = encodedFor(c, file)
  const etag = `"${file.digest}-${encoding ?? 'identity'}"`
  Object.assign(headers, {
    etag,
    'cache-control': 'no-cache',
    'content-security-policy': PAGE_POLICY,
  })
  if (status === 200 && matchesEtag(c.req.header('if-none-match'), etag))
    return sendText(c, 304, null, undefined, headers)
  return sendText(c, status, body, file.mediaType, headers)
}

/** The form of a file that the client can decode, and the headers that say which one it is. */
function encodedFor(c: Context<AppEnv>, { bytes, compressed }: BuiltFile) {
  const accept = c.req.header('accept-encoding')
  const encoding = (['br', 'gzip'] as const).find((name) => acceptsEncoding(accept, name))
  const headers: Record<string, string> = { vary: 'Accept-Encoding' }
  if (encoding === undefined) return { body: bytes, encoding, headers }
  headers['content-encoding'] = encoding
  return { body: compressed[encoding], encoding, headers }
}
