import net from 'node:net'
import path from 'node:path'

/**
 * An argument of `net.connect`.
 *
 * @typedef {{ host: string, port: number } | { path: string }} Target
 */

/**
 * Reads the address in a URL in the same way as node-postgres and ioredis do.
 *
 * @param {string} url e.g. "postgres://user@host/name". For a Unix socket of PostgreSQL, its folder
 * is given as "?host=/folder" or as the host "%2Ffolder"
 * @param {number} defaultPort
 * @returns {Target | undefined} undefined if it is not a URL
 */
export function serverTarget(url, defaultPort) {
  // As in libpq, the host after "user@" may be empty if "?host=" names it. The URL class refuses
  // that, so the second attempt inserts a host.
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
 * The URL at which this machine can reach a server that listens on the host.
 *
 * @param {string} host 0.0.0.0 and :: mean all addresses
 * @param {number} port
 */
export function urlOf(host, port) {
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host
  return `http://${net.isIPv6(reachable) ? `[${reachable}]` : reachable}:${port}`
}

/**
 * The URL to print for the same server. "localhost" is easier to remember, and browsers trust it
 * like HTTPS.
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
 * Sends a text over TCP or a Unix socket and returns the first piece of the reply. If the text is
 * empty, it returns '' as soon as the connection is open.
 *
 * @param {Target & { text?: string, timeoutMs?: number }} options
 * @returns {Promise<string>} rejects if nothing replies in time
 */
export function talk({ text = '', timeoutMs = 1_000, ...target }) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(target)
    const end = (/** @type {() => void} */ settle) => {
      socket.destroy()
      settle()
    }
    socket.setTimeout(timeoutMs, () => end(() => reject(new Error('no reply in time'))))
    socket.once('error', (error) => end(() => reject(error)))
    socket.once('connect', () => (text === '' ? end(() => resolve('')) : socket.write(text)))
    socket.once('data', (data) => end(() => resolve(data.toString())))
  })
}
