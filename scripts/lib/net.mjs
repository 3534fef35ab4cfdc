import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

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

/** Whether a process could listen on the port, on all addresses. @param {number} port @returns {Promise<boolean>} */
export function portIsFree(port) {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}

/**
 * Sends a text over TCP or a Unix socket and returns the first piece of the answer; '' when the text is empty and the connection came about.
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
