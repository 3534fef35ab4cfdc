import { randomInt } from 'node:crypto'
import net from 'node:net'
import { UserError } from './terminal.mjs'

/** Systems use ports from 32768 (Linux) or 49152 (macOS) on for outgoing connections. */
const PORTS_FOR_SERVERS = { from: 10_240, below: 32_768 }

/**
 * Finds a port that is free now, from a range that the system does not use for outgoing
 * connections. The port is random, so two callers at the same time rarely get the same one.
 *
 * @returns {Promise<number>}
 */
export async function freePort() {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(PORTS_FOR_SERVERS.from, PORTS_FOR_SERVERS.below)
    if ((await portIsFree(port)) && (await portTrouble(port, '127.0.0.1')) === undefined)
      return port
  }
  throw new UserError('No free port was found.')
}

/**
 * Finds out why this user cannot listen on a port.
 *
 * @param {number} port
 * @param {string} [host] default: all addresses
 * @returns {Promise<undefined | 'in use' | 'not allowed'>} undefined if the port can be used, or if
 * only the host is wrong
 */
export function portTrouble(port, host) {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', (/** @type {NodeJS.ErrnoException} */ { code }) => {
      if (code === 'EACCES' || code === 'EPERM') resolve('not allowed')
      else resolve(code === 'EADDRINUSE' ? 'in use' : undefined)
    })
    server.listen(port, host, () => server.close(() => resolve(undefined)))
  })
}

/**
 * Tells whether a process can listen on the port, on all addresses.
 *
 * @param {number} port
 * @returns {Promise<boolean>}
 */
export async function portIsFree(port) {
  return (await portTrouble(port)) === undefined
}

/**
 * @param {number} from
 * @returns {Promise<number | undefined>} the first free port of the hundred that start here
 */
export async function nextFreePort(from) {
  for (let port = from; port < from + 100 && port < 65_536; port++)
    if ((await portIsFree(port)) && !(await isBlocked(port))) return port
  return undefined
}

/**
 * Tells whether browsers and `fetch` refuse to connect to a port, because other protocols use it
 * (Fetch Standard, "port blocking").
 *
 * @param {number} port one that nobody listens on
 */
async function isBlocked(port) {
  const failure = await fetch(`http://127.0.0.1:${port}`).then(
    () => undefined,
    (error) => error.cause,
  )
  return failure?.message === 'bad port'
}

/**
 * Checks that a service can listen on its port.
 *
 * @param {object} wanted
 * @param {number} wanted.port
 * @param {string} wanted.host
 * @param {string} wanted.variable the variable that sets the port, e.g. "PORT"
 * @param {string} wanted.command what the user typed, e.g. "npm start"
 * @throws {UserError} if it cannot; the message suggests a port that works
 */
export async function requirePort({ port, host, variable, command }) {
  // `npm start` prints "localhost", for which a browser may try another address of this machine
  // first.
  const shownAsLocalhost = ['127.0.0.1', '0.0.0.0', '::', 'localhost'].includes(host)
  const trouble =
    (await portTrouble(port, host)) ?? (shownAsLocalhost ? await portTrouble(port) : undefined)
  const blocked = trouble === undefined && (await isBlocked(port))
  if (trouble === undefined && !blocked) return
  const other = (await nextFreePort(Math.max(port + 1, 1024))) ?? (await nextFreePort(3000))
  const choose =
    other === undefined
      ? `Set ${variable} to another one.`
      : `Choose another: ${variable}=${other} ${command}`
  if (blocked) throw new UserError(`Browsers refuse to open port ${port}. ${choose}`)
  if (trouble === 'in use')
    throw new UserError(`Port ${port} is in use. Stop what uses it. ${choose}`)
  throw new UserError(
    `This user is not allowed to listen on port ${port}: low ports belong to root. ${choose}`,
  )
}

/**
 * Tells whether a process of this machine can listen on the host.
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
