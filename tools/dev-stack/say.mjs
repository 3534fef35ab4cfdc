import { statSync } from 'node:fs'
import { dirname } from 'node:path'

/** An error whose message is meant for the person at the terminal: printed without a stack. */
export class Plain extends Error {}

/**
 * Thrown if the data of a server cannot be used: starting the server in another way would not help.
 */
export class DamagedData extends Plain {}

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
 * Messages about failures of the file system, by their codes. @type {Record<string, (path: string)
 * => string>}
 */
const fileTroubles = {
  EACCES: notAllowed,
  EPERM: notAllowed,
  EEXIST: (path) => `${path} is a file, but a folder is needed there. Move it away.`,
  ENOTDIR: (path) =>
    `${path}: something on this path is a file, but a folder is needed. Move it away.`,
  EISDIR: (path) => `${path} is a folder, but a file is needed there. Move it away.`,
  ENOSPC: (path) => `There is no space left on the disk for ${path}.`,
  EDQUOT: (path) => `Your disk quota has no room left for ${path}.`,
  EROFS: (path) =>
    `${path} is on a read-only file system. Use a clone that can be written, or set DATA_DIR.`,
}

/** @param {string} path */
function notAllowed(path) {
  const owner = ownerOf(path)
  const me = process.geteuid?.()
  if (owner === undefined || owner.uid === me)
    return `Not allowed to use ${path}: look at its permissions.`
  return (
    `Not allowed to use ${path}: ${owner.path} belongs to user ${owner.uid}, and this runs as user ${me}. ` +
    // A file of another user in one of our folders is rarely the only one, so take over the folder.
    takeOver(ownerOf(dirname(owner.path))?.uid === me ? dirname(owner.path) : owner.path)
  )
}

/** What to do about files of another user. @param {string} path */
export function takeOver(path) {
  return `Start as that user, or take them over: sudo chown -R ${process.geteuid?.()} ${shellQuoted(path)}`
}

/** @param {string} text */
const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`

/**
 * The owner of the path, or of the nearest folder above it that can be looked up.
 *
 * @param {string} path
 */
function ownerOf(path) {
  for (let at = path; at !== dirname(at); at = dirname(at)) {
    try {
      return { path: at, uid: statSync(at).uid }
    } catch {}
  }
  return undefined
}

/**
 * Describes a failure for the person at the terminal.
 *
 * @param {any} error
 * @returns {string} a sentence if we know one, else the error with its stack
 */
export function explain(error) {
  if (error instanceof Plain) return error.message
  const trouble = typeof error?.path === 'string' ? fileTroubles[error.code] : undefined
  return trouble?.(error.path) ?? error?.stack ?? String(error)
}

/**
 * Runs the main function of a script; a failure becomes one clear message and exit code 1.
 *
 * @param {() => Promise<unknown>} main
 */
export function runMain(main) {
  main().catch((error) => {
    process.stderr.write(`\n${explain(error)}\n`)
    process.exitCode = 1
  })
}
