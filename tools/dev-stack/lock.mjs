import { spawnSync } from 'node:child_process'
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { which } from './commands.mjs'
import { identify, stateOf } from './processes.mjs'

/** @typedef {import('./processes.mjs').Identity} Identity */

/**
 * Takes a lock that this process holds until it ends, however it ends. The file stays, so its
 * existence does not mean that the lock is held.
 *
 * The kernel keeps the lock if it can (flock). Otherwise the file names the process that holds it,
 * with its start time, which distinguishes it from a later process with the same id.
 *
 * @param {string} file
 * @returns {{ taken: true } | { taken: false, holder: Identity | undefined, certain: boolean }}
 * `certain` is false if the process in the file may be another one that got the same id
 */
export function takeLock(file) {
  const holder = readHolder(file)
  const { fd, result } = lockByKernel(file)
  if (result === 'busy') {
    return { taken: false, holder, certain: true }
  }
  const state = holder === undefined ? 'gone' : stateOf(holder)
  if (result === 'unsupported' && state !== 'gone' && holder?.pid !== process.pid) {
    closeSync(/** @type {number} */ (fd))
    return { taken: false, holder, certain: state === 'running' }
  }
  const descriptor = /** @type {number} */ (fd)
  ftruncateSync(descriptor)
  writeSync(descriptor, `${JSON.stringify(identify(process.pid))}\n`, 0)
  // The descriptor stays open: closing it would release the lock.
  return { taken: true }
}

/** The flag with which open(2) of macOS and the BSDs locks. Node has no constant for it. */
const O_EXLOCK = 0x20

/**
 * @param {string} file
 * @returns {{ fd: number | undefined, result: 'locked' | 'busy' | 'unsupported' }}
 */
function lockByKernel(file) {
  const flags = constants.O_RDWR | constants.O_CREAT
  if (['darwin', 'freebsd', 'openbsd', 'netbsd'].includes(process.platform)) {
    try {
      return {
        fd: openSync(file, flags | O_EXLOCK | constants.O_NONBLOCK, 0o600),
        result: 'locked',
      }
    } catch (error) {
      const { code } = /** @type {NodeJS.ErrnoException} */ (error)
      if (code === 'EAGAIN' || code === 'EWOULDBLOCK') return { fd: undefined, result: 'busy' }
    }
    return { fd: openSync(file, flags, 0o600), result: 'unsupported' }
  }
  const fd = openSync(file, flags, 0o600)
  const flock = which('flock') ?? which('flock', '/usr/bin:/bin:/usr/local/bin')
  // The command locks the open file that it inherits, so the lock stays with this process when the
  // command has ended.
  const locked =
    flock === undefined
      ? undefined
      : spawnSync(flock, ['-n', '-x', '3'], {
          stdio: ['ignore', 'ignore', 'ignore', fd],
          timeout: 5_000,
        })
  if (locked?.status === 0) return { fd, result: 'locked' }
  if (locked?.status === 1) {
    closeSync(fd)
    return { fd: undefined, result: 'busy' }
  }
  return { fd, result: 'unsupported' }
}

/** @param {string} file @returns {Identity | undefined} */
function readHolder(file) {
  try {
    const { pid, started } = JSON.parse(readFileSync(file, 'utf8'))
    return Number.isInteger(pid) ? { pid, started } : undefined
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EACCES') throw error
    return undefined
  }
}
