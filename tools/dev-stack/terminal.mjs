import { statSync } from 'node:fs'
import { dirname } from 'node:path'

/** An error whose message tells the user what to do. It is printed without a stack. */
export class UserError extends Error {}

/** A server cannot use its data. Starting the server in another way would not help. */
export class DamagedData extends UserError {}

/** @param {string} line */
export function say(line) {
  process.stdout.write(`${line}\n`)
}

/**
 * Runs a step of the work and prints its name and how long it took. The name is printed first, so
 * that the user knows what is going on.
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
  // In a log file a line cannot be completed later, so only a step that takes long is announced.
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
 * Runs the main function of a script. If it fails, prints one message and sets exit code 1.
 *
 * @param {() => Promise<unknown>} main
 */
export function runMain(main) {
  main().catch((error) => {
    process.stderr.write(`\n${explain(error)}\n`)
    process.exitCode = 1
  })
}

/**
 * Describes a failure to the user.
 *
 * @param {any} error
 * @returns {string} instructions for the user if the error is a known one, else its stack
 */
export function explain(error) {
  if (error instanceof UserError) return error.message
  const describe = typeof error?.path === 'string' ? fileErrors[error.code] : undefined
  return describe?.(error.path) ?? error?.stack ?? String(error)
}

/**
 * Messages for errors of the file system, by code.
 *
 * @type {Record<string, (path: string) => string>}
 */
const fileErrors = {
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
    return `Not allowed to use ${path}: check its permissions.`
  return (
    `Not allowed to use ${path}: ${owner.path} belongs to user ${owner.uid}, and this runs as user ${me}. ` +
    // If one file in a folder belongs to another user, others usually do, too: name the folder.
    takeOverHint(ownerOf(dirname(owner.path))?.uid === me ? dirname(owner.path) : owner.path)
  )
}

/** What to do about files of another user. @param {string} path */
export function takeOverHint(path) {
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
