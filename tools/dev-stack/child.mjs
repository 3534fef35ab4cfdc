import { spawn } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {object} ChildOptions
 * @property {string} name its name in messages
 * @property {string} command
 * @property {string[]} args
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {number} [uid]
 * @property {number} [gid]
 * @property {string} [input] written to its stdin, which is then closed
 * @property {NodeJS.Signals} [stopSignal] default SIGTERM
 * @property {string} [logFile] everything it prints is appended to this file
 * @property {(line: string) => void} [onLine] called with every line it prints
 */

/**
 * A process that runs until it is stopped.
 *
 * @typedef {object} Child
 * @property {string} name
 * @property {number} pid
 * @property {Promise<{ code: number | null, signal: NodeJS.Signals | null }>} exited never rejects;
 * `tail` is complete when it resolves
 * @property {() => boolean} running
 * @property {() => string[]} tail the last lines it printed, at most 200
 * @property {(signal: NodeJS.Signals) => void} signal does nothing after the process has ended
 * @property {(graceMs?: number) => Promise<void>} stop sends its stop signal, and SIGKILL if it
 * still runs after the grace period
 * @property {() => Promise<void>} kill sends SIGKILL
 */

const keptLines = 200

/**
 * Starts a process that is stopped when this one ends, even if this one is killed.
 *
 * The child runs in a session of its own, so Ctrl-C reaches only this process, which then stops its
 * children in order. If this process dies before it can do so, the watchdog stops them.
 *
 * @param {ChildOptions} options
 * @returns {Promise<Child>}
 * @throws {Error} if the command cannot be started
 */
export async function startChild(options) {
  const { name, command, args, input, stopSignal = 'SIGTERM', logFile, onLine, ...rest } = options
  const child = spawn(command, args, { ...rest, detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  await new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) => reject(new Error(`Cannot start ${name}: ${error.message}`)))
  })
  const pid = /** @type {number} */ (child.pid)
  tellWatchdog(`+ ${pid} ${stopSignal}`)
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
      // From now on, the system may give the process id to another program.
      tellWatchdog(`- ${pid}`)
      const settle = () => resolve({ code, signal })
      // The pipes may still contain its last lines, which say why it ended. A grandchild can keep
      // the pipes open, so the wait is limited.
      child.once('close', settle)
      setTimeout(settle, 1_000).unref()
    })
  })
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
      const killTimer = setTimeout(() => signal('SIGKILL'), graceMs)
      await exited
      clearTimeout(killTimer)
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
  // If the disk is full, the log is lost, but the process continues.
  log.on('error', () => {})
  return log
}

/** @type {import('node:child_process').ChildProcess | undefined} */
let watchdog

/**
 * Tells the watchdog which processes to stop when this one dies. The first call starts the
 * watchdog.
 *
 * @param {string} line see watchdog.mjs
 */
function tellWatchdog(line) {
  if (watchdog === undefined) {
    const script = fileURLToPath(new URL('./watchdog.mjs', import.meta.url))
    watchdog = spawn(process.execPath, [script], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      cwd: '/',
    })
    watchdog.on('error', () => {})
    watchdog.stdin?.on('error', () => {})
    // Neither the watchdog nor the pipe to it may keep this process alive.
    watchdog.unref()
    const pipe = /** @type {import('node:net').Socket | null} */ (watchdog.stdin)
    pipe?.unref()
  }
  watchdog.stdin?.write(`${line}\n`)
}
