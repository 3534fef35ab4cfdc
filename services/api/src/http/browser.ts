import type { Context } from 'hono'
import type { AppEnv } from './env.js'

/** Whether a cookie of this answer may be sent over TLS only (`Secure`). */
export type CookieSecurity = (c: Context<AppEnv>) => boolean

export interface CookieSecurityOptions {
  /** In production always. */
  always: boolean
  /** Elsewhere, if a trusted proxy in front says that the client used TLS. */
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
 * its own machine. Only such browsers send `Sec-Fetch-Site`; for older ones, the proxy or their
 * `Origin` shows it. A client that fakes these headers gains nothing, because this only chooses
 * between the sign-in form and a page that explains why signing in would fail.
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
