import net from 'node:net'
import path from 'node:path'

/** @typedef {{ host: string, port: number } | { path: string }} Target what `net.connect` takes */

/**
 * The address that a URL names, as node-postgres and ioredis read it.
 *
 * @param {string} url e.g. "postgres://user@host/name"; PostgreSQL may also be named by the folder
 * of its Unix socket, in
 *   "?host=/folder" or as the host "%2Ffolder"
 * @param {number} defaultPort
 * @returns {Target | undefined} undefined if it is no URL
 */
export function serverTarget(url, defaultPort) {
  // As in libpq, the host may be empty after a user if "?host=" names it.
  const parsed = parse(url) ?? parse(url.replace('@/', '@localhost/'))
  if (parsed === undefined) return undefined
  const { hostname, searchParams } = parsed
  const host = searchParams.get('host') || decode(hostname.replace(/^\[|\]$/g, '')) || 'localhost'
  const port = Number(searchParams.get('port') || parsed.port) || defaultPort
  return host.startsWith('/') ? { path: path.join(host, `.s.PGSQL.${port}`) } : { host, port }
}

/** @param {string} url */
function parse(url) {
  try {
    return new URL(url)
  } catch {
    return undefined
  }
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** @param {Target} target */
export const showTarget = (target) =>
  'path' in target ? target.path : `${target.host}:${target.port}`

/**
 * The URL at which a server that listens on this host answers this machine.
 *
 * @param {string} host 0.0.0.0 and :: mean all addresses
 * @param {number} port
 */
export function urlOf(host, port) {
  const one = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host
  return `http://${net.isIPv6(one) ? `[${one}]` : one}:${port}`
}

/**
 * The same URL for a person. "localhost" is easier to remember, and browsers trust it like HTTPS.
 *
 * @param {string} host
 * @param {number} port
 */
export function shownUrlOf(host, port) {
  return ['127.0.0.1', '0.0.0.0', '::'].includes(host)
    ? `http://localhost:${port}`
    : urlOf(host, port)
}

/**
 * Whether a process of this machine can listen on the host.
 *
 * @param {string} host
 * @returns {Promise<boolean>}
 */
export function canListenOn(host) {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(0, host, () => server.close(() => resolve(true)))
  })
}
