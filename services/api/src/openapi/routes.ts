import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sendText } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import { createOpenApiDocument } from './document.js'

const [HTML, CSS, JS] = ['html', 'css', 'javascript'].map((type) => `text/${type}; charset=utf-8`)
/** The files of the page, some from `pages/docs` and some from Swagger UI. */
const FILES = {
  'style.css': CSS,
  'start.js': JS,
  'swagger-ui.css': CSS,
  'swagger-ui-bundle.js': JS,
  'favicon-32x32.png': 'image/png',
}
/** The files in `pages/docs`. Those of Swagger UI may be cached. */
const OWN_FILES: ReadonlySet<string> = new Set(['index.html', 'style.css', 'start.js'])
// Allows only the page's own code. Styles that Swagger UI sets on its elements count as inline.
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const shared = { method: 'GET', auth: 'none', limit: 'dashboard', ignoresQuery: true } as const

type ReadBytes = (name: string) => Promise<Uint8Array<ArrayBuffer>>

/**
 * `/openapi.json`, and `/docs` to read about the API and try it. This process serves all files
 * itself.
 *
 * @param documented all other routes of the app
 */
export function docsRoutes(
  documented: readonly Route[],
  readBytes: ReadBytes = readFromFolders,
): Route[] {
  let built: string | undefined
  const document = (): string => {
    built ??= JSON.stringify(createOpenApiDocument(documented))
    return built
  }
  const bytesOf = cacheFiles(readBytes)
  const pages = [
    defineRoute({
      ...shared,
      path: '/openapi.json',
      handler: (c) =>
        sendText(c, 200, document(), 'application/json', { 'cache-control': 'no-cache' }),
    }),
    defineRoute({
      ...shared,
      path: '/docs',
      handler: async (c) =>
        sendText(c, 200, await bytesOf('index.html'), HTML, {
          'content-security-policy': PAGE_POLICY,
        }),
    }),
  ]
  const files = Object.entries(FILES).map(([name, mediaType]) =>
    defineRoute({
      ...shared,
      path: `/docs/${name}`,
      handler: async (c) => {
        const headers = OWN_FILES.has(name) ? {} : { 'cache-control': 'public, max-age=3600' }
        return sendText(c, 200, await bytesOf(name), mediaType, headers)
      },
    }),
  )
  return [...pages, ...files]
}

function readFromFolders(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const folder = OWN_FILES.has(name)
    ? fileURLToPath(new URL('../../pages/docs', import.meta.url))
    : dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
  return readFile(join(folder, name)) as Promise<Uint8Array<ArrayBuffer>>
}

/**
 * Reads each file once, even for concurrent requests. If that fails, the next request tries again.
 */
function cacheFiles(readBytes: ReadBytes): ReadBytes {
  const cached = new Map<string, Promise<Uint8Array<ArrayBuffer>>>()
  return (name) => {
    let bytes = cached.get(name)
    if (bytes === undefined) {
      bytes = readBytes(name)
      cached.set(name, bytes)
      bytes.catch(() => cached.delete(name))
    }
    return bytes
  }
}
