import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { which } from './commands.mjs'
import { readText } from './files.mjs'
import { until } from './wait.mjs'

/**
 * Identifies a process, even if a later one gets the same id.
 *
 * @typedef {object} Identity
 * @property {number} pid
 * @property {string} [started] when it started, in the format of this platform; missing if unknown
 */

/** @param {number} pid @returns {Identity} */
export function identify(pid) {
  const started = startOf(pid)
  return started === undefined ? { pid } : { pid, started }
}

/**
 * Records which server runs on a data folder. The next start needs this if the parent was killed
 * together with its watchdog, so that the server is still running.
 *
 * @param {string} file
 * @param {Identity & { port: number }} server
 */
export function recordServer(file, server) {
  writeFileSync(file, `${JSON.stringify(server)}\n`, { mode: 0o600 })
}

/**
 * Reads what recordServer() wrote.
 *
 * @param {string} file
 * @returns {Identity & { port: number } | undefined}
 */
export function recordedServer(file) {
  const text = readText(file)
  // An older release wrote "pid port".
  const [pid, port] = text.split(' ').map(Number)
  if (pid !== undefined && pid > 0 && port !== undefined) return { pid, port }
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Tells whether a process still runs. "unknown" means that a process with this id runs and may or
 * may not be the same one, so nothing may be deleted or killed because of it.
 *
 * @param {Identity} identity
 * @returns {'running' | 'gone' | 'unknown'}
 */
export function stateOf({ pid, started }) {
  if (!isAlive(pid)) return 'gone'
  const now = startOf(pid)
  if (started === undefined || now === undefined) return 'unknown'
  return now === started ? 'running' : 'gone'
}

/**
 * True if a process of any user has this id now. A zombie does not count.
 *
 * @param {number} pid
 */
export function isAlive(pid) {
  if (!(pid > 0)) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EPERM') return false
  }
  return !['Z', 'X'].includes(readStat(pid)?.state ?? '')
}

/**
 * @param {number} pid
 * @param {NodeJS.Signals} what
 * @returns {boolean} whether the signal was delivered
 */
export function signal(pid, what) {
  try {
    return process.kill(pid, what)
  } catch {
    return false
  }
}

/**
 * Ends a process that is not a child of this one: first with the gentle signal, and after 8 s with
 * SIGKILL.
 *
 * @param {number} pid
 * @param {NodeJS.Signals} gentle
 */
export async function endProcess(pid, gentle) {
  signal(pid, gentle)
  // A process that was stopped (SIGSTOP) handles the signal only when it continues.
  signal(pid, 'SIGCONT')
  const gone = () => !isAlive(pid)
  if (await until(gone, { timeoutMs: 8_000 })) return
  signal(pid, 'SIGKILL')
  await until(gone, { timeoutMs: 2_000 })
}

/**
 * @param {number} pid
 * @returns {string | undefined} undefined if the process has ended, or if the system hides it
 * because it belongs to another user
 */
export function commandLine(pid) {
  if (!hasProc()) {
    return askPs(['-ww', '-p', String(pid), '-o', 'args='])?.trim() || undefined
  }
  return readProc(`${pid}/cmdline`)?.replaceAll('\0', ' ').trim()
}

/**
 * @param {number} pid
 * @returns {string | undefined} undefined if the platform does not show it
 */
export function workingDirectory(pid) {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return undefined
  }
}

/**
 * Lists the visible processes as [pid, parent, command line]. A process that is not listed may
 * still run, because systems can hide the processes of other users.
 *
 * @returns {[number, number, string][]}
 * @throws {Error} if neither /proc nor ps can be read
 */
export function processes() {
  if (hasProc()) {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => {
        const stat = readStat(Number(name))
        return stat === undefined
          ? []
          : [[Number(name), stat.parent, commandLine(Number(name)) ?? '']]
      })
  }
  const listing = askPs(['-A', '-ww', '-o', 'pid=,ppid=,args='])
  if (listing === undefined) throw new Error('Neither /proc nor ps shows which processes run.')
  return listing.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line)
    return match === null
      ? []
      : [[Number(match[1]), Number(match[2]), /** @type {string} */ (match[3])]]
  })
}

/** @param {number} pid @returns {string | undefined} */
function startOf(pid) {
  if (!hasProc()) return askPs(['-p', String(pid), '-o', 'lstart='])?.trim() || undefined
  const ticks = readStat(pid)?.startTicks
  // The ticks count from the boot of the machine.
  return ticks === undefined
    ? undefined
    : `${readProc('sys/kernel/random/boot_id')?.trim() ?? ''} ${ticks}`
}

/**
 * Reads a process's status as described in proc_pid_stat(5). The second field is the name in
 * parentheses, which may itself contain parentheses and spaces.
 *
 * @param {number} pid
 */
function readStat(pid) {
  const text = hasProc() ? readProc(`${pid}/stat`) : undefined
  if (text === undefined) return undefined
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', parent: Number(fields[1]), startTicks: Number(fields[19]) }
}

/** True on Linux. macOS and the BSDs have a reliable ps instead. */
function hasProc() {
  return process.platform === 'linux' && readProc('self/stat') !== undefined
}

/** @param {string} name */
function readProc(name) {
  try {
    return readFileSync(`/proc/${name}`, 'utf8')
  } catch {
    return undefined
  }
}

/** @param {string[]} args @returns {string | undefined} */
function askPs(args) {
  // Some versions cut their lines at COLUMNS. Language and time zone would change the text of a
  // start time.
  const env = { ...process.env, COLUMNS: '', LC_ALL: 'C', TZ: 'UTC' }
  const { status, stdout } = spawnSync(which('ps') ?? '/bin/ps', args, {
    encoding: 'utf8',
    env,
    timeout: 5_000,
  })
  // If the process has ended, the status is 1 and the output is empty.
  return status === 0 && stdout.trim() !== '' ? stdout : undefined
}
