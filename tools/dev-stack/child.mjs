import { spawn } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { guard, unguard } from './watchdog.mjs'

/**
 * @typedef {object} ChildOptions
 * @property {string} name what messages call it
 * @property {string} command
 * @property {string[]} args
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {number} [uid]
 * @property {number} [gid]
 * @property {string} [input] written to its stdin, which is then closed
 * @property {NodeJS.Signals} [stopSignal] default SIGTERM
 * @property {string} [logFile] everything it prints is appended there
 * @property {(line: string) => void} [onLine] sees every line it prints
 */

/**
 * A process that runs until it is stopped.
 *
 * @typedef {object} Child
 * @property {string} name
 * @property {number} pid
 * @property {Promise<{ code: number | null, signal: NodeJS.Signals | null }>} exited never rejects;
 * `tail` is complete then
 * @property {() => boolean} running
 * @property {() => string[]} tail the last lines it printed, at most 200
 * @property {(signal: NodeJS.Signals) => void} signal does nothing once it has ended
 * @property {(graceMs?: number) => Promise<void>} stop its stop signal, then SIGKILL when the grace is over
 * @property {() => Promise<void>} kill SIGKILL
 */

const keptLines = 200

/**
 * Starts a process in a session of its own and puts it under the watchdog.
 *
 * @param {ChildOptions} options
 * @returns {Promise<Child>}
 * @throws {Error} when the command cannot be started
 */
export async function startChild(options) {
  const { name, command, args, input, stopSignal = 'SIGTERM', logFile, onLine, ...rest } = options
  const child = spawn(command, args, { ...rest, detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  await new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) => reject(new Error(`Cannot start ${name}: ${error.message}`)))
  })
  const pid = /** @type {number} */ (child.pid)
  guard(pid, stopSignal)
  child.stdin.on('error', () => {})
  child.stdin.end(input ?? '')

  /** @type {string[]} */
  const lines = []
  const log = logFile === undefined ? undefined : openLog(logFile)
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      if (lines.length > keptLines) lines.shift()
      log?.write(`${line}\n`)
      onLine?.(line)
    })
  }

  let ended = false
  /** @type {Child['exited']} */
  const exited = new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      ended = true
      unguard(pid)
      const tell = () => resolve({ code, signal })
      // The pipes may still contain its last lines, which say why it ended. The time limit is for a
      // grandchild that keeps the pipes open.
      child.once('close', tell)
      setTimeout(tell, 1_000).unref()
    })
  })
  // Lines may still be in the pipes when the process has ended.
  child.once('close', () => log?.end())
  const signal = (/** @type {NodeJS.Signals} */ what) => void (ended || child.kill(what))

  return {
    name,
    pid,
    exited,
    running: () => !ended,
    tail: () => [...lines],
    signal,
    async stop(graceMs = 10_000) {
      signal(stopSignal)
      signal('SIGCONT')
      const killer = setTimeout(() => signal('SIGKILL'), graceMs)
      await exited
      clearTimeout(killer)
    },
    async kill() {
      signal('SIGKILL')
      await exited
    },
  }
}

/** @param {string} file */
function openLog(file) {
  mkdirSync(path.dirname(file), { recursive: true })
  const log = createWriteStream(file, { flags: 'a' })
  // A full disk costs the log, not the process.
  log.on('error', () => {})
  return log
}
