import { createHash, timingSafeEqual } from 'node:crypto'
import { ConfigError, type EnvReader } from '@ticket-line/shared'
import type { Registry } from 'prom-client'

/** How long all requests get the same rendered page, ms. */
const MAX_AGE_MS = 1000

/** The response of `/metrics`. All responses of one rendering share its bytes. */
export interface MetricsPage {
  body: Uint8Array<ArrayBuffer>
  contentType: string
}

/**
 * Renders metrics at most once a second, however many clients request them, and whether or not they
 * read the response.
 */
export function createMetricsPage(
  registry: Registry,
  nowMs: () => number = () => performance.now(),
): () => Promise<MetricsPage> {
  let rendered: Promise<MetricsPage> | undefined
  let renderedAtMs = Number.NEGATIVE_INFINITY

  async function render(): Promise<MetricsPage> {
    return {
      body: new TextEncoder().encode(await registry.metrics()),
      contentType: registry.contentType,
    }
  }

  return () => {
    if (rendered !== undefined && nowMs() < renderedAtMs + MAX_AGE_MS) return rendered
    renderedAtMs = nowMs()
    const page = render()
    rendered = page
    page.catch(() => {
      if (rendered === page) rendered = undefined
    })
    return page
  }
}

/**
 * Reads `METRICS_TOKEN`.
 *
 * @throws ConfigError if it contains characters that no client can send
 */
export function readMetricsToken(env: EnvReader): string | undefined {
  const token = env.optional('METRICS_TOKEN')
  if (token !== undefined && !/^[!-~]+$/.test(token)) {
    throw new ConfigError('METRICS_TOKEN must consist of visible ASCII characters')
  }
  return token
}

/**
 * Creates a function that checks whether an `Authorization` header allows reading metrics.
 *
 * @param token the token to send; undefined if no token is needed
 */
export function createMetricsGuard(
  token: string | undefined,
): (authorization: string | undefined) => boolean {
  if (token === undefined) return () => true
  const expected = digest(token)
  return (authorization = '') => {
    const [, given] = /^Bearer +(\S+) *$/i.exec(authorization) ?? []
    // Digests have the same length, so a comparison always takes the same time.
    return given !== undefined && timingSafeEqual(digest(given), expected)
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
