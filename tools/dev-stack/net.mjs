import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Plain } from './say.mjs'

/** A port of 127.0.0.1 that is free now. @returns {Promise<number>} */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {net.AddressInfo} */ (server.address())
      server.close(() => resolve(port))
    })
  })
}

/**
 * Why no process of this user can listen on the port.
 *
 * @param {number} port
 * @param {string} [host] default: all addresses
 * @returns {Promise<undefined | 'in use' | 'not allowed'>} undefined if one can, or if only the
 * host is wrong
 */
export function portTrouble(port, host) {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', (/** @type {NodeJS.ErrnoException} */ { code }) =>
      resolve(
        code === 'EACCES' || code === 'EPERM'
          ? 'not allowed'
          : code === 'EADDRINUSE'
            ? 'in use'
            : undefined,
      ),
    )
    server.listen(port, host, () => server.close(() => resolve(undefined)))
  })
}

/**
 * Whether a process could listen on the port, on all addresses.
 *
 * @param {number} port
 * @returns {Promise<boolean>}
 */
export async function portIsFree(port) {
  return (await portTrouble(port)) === undefined
}

/**
 * @param {number} from
 * @returns {Promise<number | undefined>} the first free port from this one on, among a hundred
 */
export async function nextFreePort(from) {
  for (let port = from; port < from + 100 && port < 65_536; port++)
    if (await portIsFree(port)) return port
  return undefined
}

/**
 * Makes sure that a service can listen on its port.
 *
 * @param {object} wanted
 * @param {number} wanted.port
 * @param {string} wanted.host
 * @param {string} wanted.variable that sets the port, e.g. "PORT"
 * @param {string} wanted.command that was called, e.g. "npm start"
 * @throws {Plain} naming another port that works
 */
export async function requirePort({ port, host, variable, command }) {
  // We print "localhost", which may lead to another address of this machine first.
  const shownAsLocalhost = ['127.0.0.1', '0.0.0.0', '::', 'localhost'].includes(host)
  const trouble =
    (await portTrouble(port, host)) ?? (shownAsLocalhost ? await portTrouble(port) : undefined)
  if (trouble === undefined) return
  const other = (await nextFreePort(Math.max(port + 1, 1024))) ?? (await nextFreePort(3000))
  const choose =
    other === undefined
      ? `Set ${variable} to another one.`
      : `Choose another: ${variable}=${other} ${command}`
  if (trouble === 'in use') throw new Plain(`Port ${port} is in use. Stop what uses it. ${choose}`)
  throw new Plain(
    `This user is not allowed to listen on port ${port}: low ports belong to root. ${choose}`,
  )
}

/**
 * Sends a text over TCP or a Unix socket and returns the first piece of the answer. If the text is
 * empty, it returns '' as soon as it is connected.
 *
 * @param {({ host: string, port: number } | { path: string }) & { text?: string, timeoutMs?: number }} options
 * @returns {Promise<string>} rejects when nothing answers
 */
export function talk({ text = '', timeoutMs = 1_000, ...target }) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(target)
    const end = (/** @type {() => void} */ how) => {
      socket.destroy()
      how()
    }
    socket.setTimeout(timeoutMs, () => end(() => reject(new Error('no answer in time'))))
    socket.once('error', (error) => end(() => reject(error)))
    socket.once('connect', () => (text === '' ? end(() => resolve('')) : socket.write(text)))
    socket.once('data', (data) => end(() => resolve(data.toString())))
  })
}

/**
 * Asks again and again until the answer is true.
 *
 * @param {() => Promise<boolean> | boolean} check one that throws counts as false
 * @param {{ timeoutMs: number, everyMs?: number }} options
 * @returns {Promise<boolean>} false when the time is over
 */
export async function until(check, { timeoutMs, everyMs = 25 }) {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    if (
      await Promise.resolve()
        .then(check)
        .catch(() => false)
    )
      return true
    if (performance.now() > deadline) return false
    await sleep(everyMs)
  }
}
