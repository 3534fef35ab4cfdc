import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { VERSION } from '@ticket-line/shared'
import { z } from 'zod'
import { prefersHtml } from '../http/accept.js'
import { reply, replyText } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import { createOpenApiDocument } from './document.js'

const ASSETS = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
} as const

// Relative addresses, so that the page also works behind a proxy that serves it under a prefix.
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
// Swagger UI shows an open lock at a call that needs a token, and a closed lock once there is one.
// Most people expect the opposite.
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
// The page's own code and nothing else; the styles that Swagger UI sets on its elements count as inline.
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** What programs get at `/`. */
const ROOT = {
  name: 'ticket-line',
  version: VERSION,
  docs: '/docs',
  openapi: '/openapi.json',
  dashboard: '/admin/queues',
}

/** `GET /`: browsers are sent to the documentation, programs read where everything is. */
function rootRoute(): Route {
  return defineRoute({
    method: 'GET',
    path: '/',
    auth: 'none',
    limit: 'dashboard',
    ignoresQuery: true,
    docs: {
      tag: 'Operations',
      summary: 'Where everything is',
      description: 'Clients that prefer `text/html` are sent to `/docs`.',
      requestHeaders: { Accept: '`application/json` or `text/html`' },
      responses: {
        200: {
          description: 'Name, version and paths.',
          schema: z
            .strictObject({
              name: z.string(),
              version: z.string(),
              docs: z.string(),
              openapi: z.string(),
              dashboard: z.string(),
            })
            .meta({ example: ROOT }),
        },
        302: { description: 'To `/docs`.', headers: { Location: '`/docs`' } },
      },
    },
    handler(c) {
      const vary = { vary: 'Accept' }
      if (prefersHtml(c.req.header('accept'))) {
        return reply(c, 302, null, { ...vary, location: ROOT.docs })
      }
      return reply(c, 200, ROOT, vary)
    },
  })
}

type ReadAsset = (name: string) => Promise<Uint8Array<ArrayBuffer>>

/** `/openapi.json`, and `/docs` to browse and try it; everything comes from this process. */
export function docsRoutes(
  documented: readonly Route[],
  readAsset: ReadAsset = readFromSwaggerUi,
): Route[] {
  const shared = { method: 'GET', auth: 'none', limit: 'dashboard', ignoresQuery: true } as const
  const calls: Route[] = [
    defineRoute({
      ...shared,
      path: '/openapi.json',
      docs: {
        tag: 'Operations',
        summary: 'This description',
        responses: { 200: { description: 'OpenAPI 3.1.', schema: z.looseObject({}) } },
      },
      handler: (c) =>
        replyText(c, 200, document(), 'application/json', { 'cache-control': 'no-cache' }),
    }),
    defineRoute({
      ...shared,
      path: '/docs',
      docs: {
        tag: 'Operations',
        summary: 'This description, to browse and to try',
        responses: {
          200: { description: 'A page.', otherMediaTypes: { 'text/html': '<!doctype html>' } },
        },
      },
      handler: (c) =>
        replyText(c, 200, PAGE, 'text/html; charset=utf-8', {
          'content-security-policy': PAGE_POLICY,
        }),
    }),
  ]
  let built: string | undefined
  const document = (): string => {
    built ??= JSON.stringify(createOpenApiDocument([...documented, ...calls]))
    return built
  }
  const part = (name: string, handler: Route['handler']): Route =>
    defineRoute({ ...shared, path: `/docs/${name}`, handler })
  const assetOf = keepRead(readAsset)
  const assets = Object.entries(ASSETS).map(([name, mediaType]) =>
    part(name, async (c) =>
      replyText(c, 200, await assetOf(name), mediaType, {
        'cache-control': 'public, max-age=3600',
      }),
    ),
  )
  const start = part('start.js', (c) => replyText(c, 200, START, 'text/javascript; charset=utf-8'))
  return [rootRoute(), ...calls, ...assets, start]
}

function readFromSwaggerUi(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const folder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
  return readFile(join(folder, name)) as Promise<Uint8Array<ArrayBuffer>>
}

/** Reads each file once, however many ask at the same time; one that could not be read is tried again by the next. */
function keepRead(readAsset: ReadAsset): ReadAsset {
  const kept = new Map<string, Promise<Uint8Array<ArrayBuffer>>>()
  return (name) => {
    let bytes = kept.get(name)
    if (bytes === undefined) {
      bytes = readAsset(name)
      kept.set(name, bytes)
      bytes.catch(() => kept.delete(name))
    }
    return bytes
  }
}
