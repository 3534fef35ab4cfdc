import { say } from './terminal.mjs'
import { until } from './wait.mjs'

/**
 * Closes what a program has opened, in reverse order and once, when the program ends: after Ctrl-C,
 * SIGTERM, a closed terminal or an error.
 *
 * @typedef {object} Shutdown
 * @property {(close: () => Promise<unknown>) => void} add
 * @property {(reason?: string) => Promise<void>} run closes everything; a second call waits for the
 * first
 * @property {() => boolean} begun
 */

/** @returns {Shutdown} */
export function createShutdown() {
  /** @type {(() => Promise<unknown>)[]} */
  const closers = []
  /** @type {Promise<void> | undefined} */
  let closing

  async function closeAll() {
    for (const close of closers.reverse()) {
      await close().catch((error) => say(`While stopping: ${error.message}`))
    }
  }
  /** @type {Shutdown['run']} */
  const run = (reason) => {
    if (closing === undefined && reason !== undefined) say(reason)
    closing ??= closeAll()
    return closing
  }

  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      // The terminal and npm may both deliver the same Ctrl-C. A second one changes nothing.
      run('\nStopping …').then(() => process.exit(0))
    })
  }
  // If npm is killed, it sends this process no signal, but the parent process changes.
  const parent = process.ppid
  if (process.env['npm_lifecycle_event'] !== undefined) {
    until(() => process.ppid !== parent, { timeoutMs: Infinity, everyMs: 1_000, keepAlive: false })
      .then(() => run('\nnpm has ended; stopping …'))
      .then(() => process.exit(0))
  }
  return { add: (close) => void closers.push(close), run, begun: () => closing !== undefined }
}
