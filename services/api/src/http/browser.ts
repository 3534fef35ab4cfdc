import type { Context } from 'hono'
import type { AppEnv } from './env.js'

/**
 * Decides whether a cookie of this response is marked `Secure`, so that it is sent over TLS only.
 */
export type CookieSecurity = (c: Context<AppEnv>) => boolean

export interface CookieSecurityOptions {
  /** Marks all cookies, as in production. */
  always: boolean
  /** Otherwise, marks a cookie if a trusted proxy reports that the client used TLS. */
  trustProxy: boolean
}

export function createCookieSecurity({
  always,
  trustProxy,
}: CookieSecurityOptions): CookieSecurity {
  return function isSecure(c) {
    if (always) return true
    return trustProxy && forwardedProtocol(c) === 'https'
  }
}

/** `localhost` and addresses of this machine, which browsers trust without TLS. */
const LOOPBACK_HOST = /^(?:localhost|[\w-]+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i

/**
 * True if the browser that sent this request keeps a `Secure` cookie: it uses HTTPS, or talks to
 * its own machine. Browsers send `Sec-Fetch-Site` only in these cases. For older browsers,
 * `X-Forwarded-Proto`, `Origin` or `Host` shows it. A client that fakes these headers gains
 * nothing, because they only choose between the sign-in form and a page that explains why signing
 * in would fail.
 */
export function keepsSecureCookies(c: Context<AppEnv>): boolean {
  return (
    c.req.header('sec-fetch-site') !== undefined ||
    forwardedProtocol(c) === 'https' ||
    (c.req.header('origin') ?? '').startsWith('https:') ||
    LOOPBACK_HOST.test(c.req.header('host') ?? '')
  )
}

/** The protocol that the nearest proxy reports. That proxy writes the last entry. */
function forwardedProtocol(c: Context<AppEnv>): string | undefined {
  return c.req.header('x-forwarded-proto')?.split(',').at(-1)?.trim().toLowerCase()
}

/**
 * False if another site made a browser send this request. Browsers report that in `Sec-Fetch-Site`,
 * older ones in `Origin`. A client that sends neither header is not a browser, so it sends no
 * cookies on behalf of another site.
 */
export function isSameOrigin(c: Context<AppEnv>): boolean {
  const site = c.req.header('sec-fetch-site')
  if (site !== undefined) return site === 'same-origin'
  const origin = c.req.header('origin')
  return origin === undefined || URL.parse(origin)?.host === c.req.header('host')
}
