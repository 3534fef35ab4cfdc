import type { Context } from 'hono'
import type { AppEnv } from '../http/env.js'

/** Whether a cookie of this answer may travel over TLS alone. */
export type CookieSecurity = (c: Context<AppEnv>) => boolean

export interface CookieSecurityOptions {
  /** In production always. */
  always: boolean
  /** Elsewhere where a trusted proxy in front says that it was called over TLS. */
  trustProxy: boolean
}

export function createCookieSecurity({ always, trustProxy }: CookieSecurityOptions): CookieSecurity {
  return function isSecure(c) {
    if (always) return true
    // The proxy next to us writes the last one.
    return trustProxy && c.req.header('x-forwarded-proto')?.split(',').at(-1)?.trim() === 'https'
  }
}
