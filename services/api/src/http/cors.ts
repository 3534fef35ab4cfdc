import { ConfigError, type EnvReader } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { AppEnv } from './env.js'
import { sendText } from './reply.js'

/** The origins whose pages may read responses; `any` stands for `*`. */
export type AllowedOrigins = ReadonlySet<string> | 'any'

/** The methods of all paths together, so that a page can also read a 404 or a 405. */
const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE'
/** Browsers let a page read only a few response headers, and those that are listed here. */
const EXPOSED = [
  'Location',
  'Retry-After',
  'RateLimit',
  'RateLimit-Policy',
  'ETag',
  'Link',
  'Preference-Applied',
  'Idempotency-Replayed',
  'X-Request-Id',
].join(', ')
/** How long a browser caches a preflight, s. This is the maximum of Chromium. */
const PREFLIGHT_MAX_AGE_S = 7200

/**
 * Makes responses readable to browser pages of other origins (the Fetch Standard, section 3.2,
 * "CORS protocol"). Credentials are never allowed, so a page must send a token and cannot use the
 * cookies of its visitors.
 */
export interface Cors {
  /**
   * The headers of every response, in lower case.
   *
   * @param origin the `Origin` of the request
   */
  headersFor(origin: string | undefined): Readonly<Record<string, string>>
  /**
   * Answers a preflight of an allowed origin, whatever its path, so that the page can read the
   * response to the request itself.
   *
   * @returns `undefined` if the request is not such a preflight
   */
  answerPreflight(c: Context<AppEnv>): Response | undefined
}

/** @returns `undefined` if no origin is allowed: no response then depends on `Origin` */
export function createCors(allowed: AllowedOrigins): Cors | undefined {
  if (allowed !== 'any' && allowed.size === 0) return undefined
  const exposed = { 'access-control-expose-headers': EXPOSED }
  const toAnyone = { ...exposed, 'access-control-allow-origin': '*' }
  // A shared cache must not give the response for one origin to another.
  const unreadable = { vary: 'Origin' }
  const readable = new Map(
    [...(allowed === 'any' ? [] : allowed)].map((origin) => [
      origin,
      { ...exposed, 'access-control-allow-origin': origin, vary: 'Origin' },
    ]),
  )
  function headersFor(origin: string | undefined) {
    if (allowed === 'any') return toAnyone
    return (origin === undefined ? undefined : readable.get(origin)) ?? unreadable
  }
  return {
    headersFor,
    answerPreflight(c) {
      const origin = c.req.header('origin')
      if (c.req.method !== 'OPTIONS' || origin === undefined) return undefined
      if (c.req.header('access-control-request-method') === undefined) return undefined
      if (headersFor(origin) === unreadable) return undefined
      // The service ignores headers that it does not know, so it allows all of them.
      const requested = c.req.header('access-control-request-headers')
      return sendText(c, 204, null, undefined, {
        'access-control-allow-methods': METHODS,
        ...(requested !== undefined && { 'access-control-allow-headers': requested }),
        'access-control-max-age': String(PREFLIGHT_MAX_AGE_S),
        vary: 'Access-Control-Request-Headers',
      })
    },
  }
}

/**
 * Reads `CORS_ORIGINS`.
 *
 * @throws ConfigError if an entry is not an origin, or is `*` in production
 */
export function readAllowedOrigins(env: EnvReader, production: boolean): AllowedOrigins {
  const entries = (env.optional('CORS_ORIGINS') ?? '').split(/[\s,]+/).filter((text) => text !== '')
  if (!entries.includes('*')) return new Set(entries.map(originOf))
  if (production) {
    throw new ConfigError('CORS_ORIGINS must not be * in production: list the origins')
  }
  return 'any'
}

/** Writes an origin as browsers do: in lower case, and without the default port of its scheme. */
function originOf(entry: string): string {
  const url = URL.parse(entry)
  if (url === null || !/^[^/?#]+:\/\/[^/?#@*]+\/?$/.test(entry)) {
    throw new ConfigError(
      `CORS_ORIGINS must be a list of origins such as "https://shop.example, http://localhost:5173", not "${entry}"`,
    )
  }
  // The URL class knows the origins of web pages, but not those of apps with a web view.
  return url.origin === 'null' ? entry.toLowerCase().replace(/\/$/, '') : url.origin
}
