import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * The children of this process run in sessions of their own, so that Ctrl-C reaches us alone and we stop them in order. The price:
 * when we die without a chance to act (kill -9, a crash) they would live on. So a small process, the watchdog, holds the other end
 * of a pipe; when the pipe closes, it stops every process it was told of and ends.
 *
 * @type {import('node:child_process').ChildProcess | undefined}
 */
let dog

/** @param {string} line */
function tell(line) {
  if (dog === undefined) {
    const script = fileURLToPath(new URL('./watchdog-process.mjs', import.meta.url))
    dog = spawn(process.execPath, [script], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      cwd: '/',
    })
    dog.on('error', () => {})
    dog.stdin?.on('error', () => {})
    // Neither the watchdog nor its pipe may keep this process alive.
    dog.unref()
    /** @type {import('node:net').Socket | null} */
    const pipe = /** @type {any} */ (dog.stdin)
    pipe?.unref()
  }
  dog.stdin?.write(`${line}\n`)
}

/**
 * From now on the process is stopped when this one dies.
 *
 * @param {number} pid
 * @param {NodeJS.Signals} signal the one that stops it gracefully; SIGKILL follows
 */
export function guard(pid, signal) {
  tell(`+ ${pid} ${signal}`)
}

/** The process has ended; its id may belong to somebody else soon. @param {number} pid */
export function unguard(pid) {
  tell(`- ${pid}`)
}
