import { say } from './say.mjs'

/**
 * What was opened is closed in the opposite order, once, whatever ends the program: Ctrl-C, SIGTERM, a closed terminal, an error.
 *
 * @typedef {object} Shutdown
 * @property {(close: () => Promise<unknown>) => void} add
 * @property {(reason?: string) => Promise<void>} run closes everything; a second call waits for the first
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
      // npm and the terminal may both pass the same Ctrl-C on: more of them change nothing.
      run('\nStopping …').then(() => process.exit(0))
    })
  }
  // Under npm, a killed npm leaves us behind without a signal: then our parent changes.
  const parent = process.ppid
  if (process.env['npm_lifecycle_event'] !== undefined) {
    setInterval(() => {
      if (process.ppid !== parent) run('\nnpm has gone; stopping …').then(() => process.exit(0))
    }, 1_000).unref()
  }
  return { add: (close) => void closers.push(close), run, begun: () => closing !== undefined }
}
