/** An error whose message is meant for the person at the terminal: printed without a stack. */
export class Plain extends Error {}

/** @param {string} line */
export function say(line) {
  process.stdout.write(`${line}\n`)
}

/**
 * Announces a step before it begins, so that somebody who waits knows for what, and says how long it took.
 *
 * @template T
 * @param {string} what e.g. "Installing the dependencies"
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(what, work) {
  const startedAt = performance.now()
  const { isTTY } = process.stdout
  if (isTTY) process.stdout.write(`• ${what} …`)
  // Where lines cannot be completed later, only what takes long is announced.
  const announcement = isTTY ? undefined : setTimeout(() => say(`• ${what} …`), 3_000)
  const end = (/** @type {string} */ how) => {
    clearTimeout(announcement)
    say(isTTY ? ` ${how}` : `• ${what}: ${how}`)
  }
  try {
    const result = await work()
    end(`${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
    return result
  } catch (error) {
    end('failed')
    throw error
  }
}

/**
 * Runs the main function of a script; a failure becomes one clear message and exit code 1.
 *
 * @param {() => Promise<unknown>} main
 */
export function runMain(main) {
  main().catch((error) => {
    process.stderr.write(`\n${error instanceof Plain ? error.message : (error?.stack ?? error)}\n`)
    process.exitCode = 1
  })
}
