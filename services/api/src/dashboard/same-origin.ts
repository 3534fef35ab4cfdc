import type { Context } from 'hono'
import type { AppEnv } from '../http/env.js'

/**
 * False for what another site made a browser send. Browsers say so in `Sec-Fetch-Site`, older ones in `Origin`; who
 * sends neither is no browser and carries nobody else's cookies.
 */
export function isSameOrigin(c: Context<AppEnv>): boolean {
  const site = c.req.header('sec-fetch-site')
  if (site !== undefined) return site === 'same-origin'
  const origin = c.req.header('origin')
  return origin === undefined || URL.parse(origin)?.host === c.req.header('host')
}
