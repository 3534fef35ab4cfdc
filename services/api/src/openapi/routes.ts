import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { VERSION } from '@ticket-line/shared'
import type { Context } from 'hono'
import { z } from 'zod'
import { prefersHtml } from '../http/accept.js'
import type { AppEnv } from '../http/env.js'
import { redirect, sendText } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import { createOpenApiDocument } from './document.js'

const ASSETS = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
} as const

// Relative URLs, so that the page also works behind a proxy that serves it under a prefix.
const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ticket Line API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="calls"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`
// Swagger UI shows an open lock at a call that needs a token, and a closed lock once a token is
// set. Most people expect the opposite.
const START = `function locksAreClosedUntilSignIn() {
  const inverted = (Original, system) => (props) =>
    system.React.createElement(Original, { ...props, isAuthorized: !props.isAuthorized })
  return { wrapComponents: { authorizeBtn: inverted, authorizeOperationBtn: inverted } }
}
SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#calls',
  deepLinking: true,
  validatorUrl: null,
  plugins: [locksAreClosedUntilSignIn],
})
`
// Allows only the page's own code. Styles that Swagger UI sets on its elements count as inline.
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

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
 * `GET /`: redirects browsers to the documentation, and gives programs the paths of the service.
 */
const rootRoute = defineRoute({
  ...shared,
  path: '/',
  docs: {
    operationId: 'getService',
    tag: 'Service',
    summary: 'Get the name, version and paths of the service',
    description: 'Redirects clients that prefer `text/html` to `/docs`.',
    requestHeaders: { Accept: '`application/json` or `text/html`' },
  },
  responses: {
    200: { description: 'Name, version and paths.', schema: rootSchema },
    302: { description: 'A redirect to `/docs`.', headers: ['Location'] },
  },
  handler(c, _input, reply) {
    const vary = { vary: 'Accept' }
    if (prefersHtml(c.req.header('accept'))) return redirect(c, 302, ROOT.docs, vary)
    return reply(c, 200, ROOT, vary)
  },
})

type Handler = (c: Context<AppEnv>) => Response | Promise<Response>
type ReadAsset = (name: string) => Promise<Uint8Array<ArrayBuffer>>

/**
 * `/openapi.json`, and `/docs` to browse the API and try it. This process serves all files itself.
 *
 * @param documented all other routes of the app
 */
export function docsRoutes(
  documented: readonly Route[],
  readAsset: ReadAsset = readFromSwaggerUi,
): Route[] {
  const pages: Route[] = [
    defineRoute({
      ...shared,
      path: '/openapi.json',
      handler: (c) =>
        sendText(c, 200, document(), 'application/json', { 'cache-control': 'no-cache' }),
    }),
    defineRoute({
      ...shared,
      path: '/docs',
      handler: (c) =>
        sendText(c, 200, PAGE, 'text/html; charset=utf-8', {
          'content-security-policy': PAGE_POLICY,
        }),
    }),
  ]
  let built: string | undefined
  const document = (): string => {
    built ??= JSON.stringify(createOpenApiDocument([...documented, rootRoute]))
    return built
  }
  const fileRoute = (name: string, handler: Handler): Route =>
    defineRoute({ ...shared, path: `/docs/${name}`, handler })
  const assetOf = cacheAssets(readAsset)
  const assets = Object.entries(ASSETS).map(([name, mediaType]) =>
    fileRoute(name, async (c) =>
      sendText(c, 200, await assetOf(name), mediaType, {
        'cache-control': 'public, max-age=3600',
      }),
    ),
  )
  const start = fileRoute('start.js', (c) =>
    sendText(c, 200, START, 'text/javascript; charset=utf-8'),
  )
  return [rootRoute, ...pages, ...assets, start]
}

function readFromSwaggerUi(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const folder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
  return readFile(join(folder, name)) as Promise<Uint8Array<ArrayBuffer>>
}

/**
 * Reads each file once, even for concurrent requests. If that fails, the next request tries again.
 */
function cacheAssets(readAsset: ReadAsset): ReadAsset {
  const cached = new Map<string, Promise<Uint8Array<ArrayBuffer>>>()
  return (name) => {
    let bytes = cached.get(name)
    if (bytes === undefined) {
      bytes = readAsset(name)
      cached.set(name, bytes)
      bytes.catch(() => cached.delete(name))
    }
    return bytes
  }
}
