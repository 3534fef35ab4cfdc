import { type Clock, ConfigError, type EnvReader, systemClock } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { AppEnv } from '../http/env.js'
import { sendText } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'

const DAY_MS = 24 * 3_600_000
/** After how many days a copy of the file is out of date. RFC 9116 advises less than a year. */
const VALID_DAYS = 90

/**
 * `GET /.well-known/security.txt`: where to report vulnerabilities (RFC 9116).
 *
 * @param contacts URIs, the preferred one first. If there are none, the file names the mailbox that
 * every domain should have for this (RFC 2142, section 4)
 */
export function securityTxtRoute(contacts: readonly string[], clock: Clock = systemClock): Route {
  return defineRoute({
    method: 'GET',
    path: '/.well-known/security.txt',
    auth: 'none',
    limit: 'dashboard',
    ignoresQuery: true,
    handler(c) {
      const shown = contacts.length > 0 ? contacts : [`mailto:security@${hostOf(c)}`]
      // The same all day, so that caches agree.
      const expiresMs = Math.floor(clock.wallMs() / DAY_MS + VALID_DAYS) * DAY_MS
      const lines = [
        ...shown.map((contact) => `Contact: ${contact}`),
        `Expires: ${new Date(expiresMs).toISOString().replace('.000', '')}`,
        'Preferred-Languages: en',
      ]
      return sendText(c, 200, `${lines.join('\n')}\n`, 'text/plain; charset=utf-8', {
        'cache-control': 'public, max-age=3600',
      })
    },
  })
}

/** The name by which the client calls this service. Addresses have no mailbox. */
function hostOf(c: Context<AppEnv>): string {
  const { hostname } = new URL(c.req.url)
  return /^(?:[a-z\d-]+\.)*[a-z][a-z\d-]*$/.test(hostname) ? hostname : 'localhost'
}

/**
 * Reads `SECURITY_CONTACT`.
 *
 * @throws ConfigError if an entry is not a `mailto:`, `https:` or `tel:` URI
 */
export function readSecurityContacts(env: EnvReader): string[] {
  const entries = (env.optional('SECURITY_CONTACT') ?? '')
    .split(/[\s,]+/)
    .filter((uri) => uri !== '')
  const wrong = entries.find(
    (uri) => !/^(?:mailto:[^@]+@[^@]+|https:\/\/.+|tel:[+\d].*)$/.test(uri),
  )
  if (wrong === undefined) return entries
  throw new ConfigError(
    `SECURITY_CONTACT must be a list of URIs such as "mailto:security@shop.example, https://shop.example/security", not "${wrong}"`,
  )
}
