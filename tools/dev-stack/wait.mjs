import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Polls a condition until it is true.
 *
 * @param {() => Promise<boolean> | boolean} check if it throws, that counts as false
 * @param {object} options
 * @param {number} options.timeoutMs `Infinity` polls for as long as the process runs
 * @param {number} [options.everyMs]
 * @param {boolean} [options.keepAlive] false if the polling must not keep the process alive
 * @returns {Promise<boolean>} false if the time is over and the condition is still false
 */
export async function until(check, { timeoutMs, everyMs = 25, keepAlive = true }) {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    if (
      await Promise.resolve()
        .then(check)
        .catch(() => false)
    )
      return true
    if (performance.now() > deadline) return false
    await sleep(everyMs, undefined, { ref: keepAlive })
  }
}
