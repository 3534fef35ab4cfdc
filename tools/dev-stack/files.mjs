import { chmodSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of this clone, whatever the working directory is. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

/** @param {...string} parts */
export const fromRoot = (...parts) => path.join(root, ...parts)

/**
 * The programs that this system lacks: Node, pnpm, Redis and, for tests, Valkey and promtool. The
 * folder can be deleted at any time.
 */
export const toolsDir = path.join(root, '.tools')

/**
 * The data of the local stack. It stays when `npm start` ends; `npm run reset` deletes it.
 * `DATA_DIR` names another folder.
 */
export const dataDir = path.resolve(root, process.env['DATA_DIR'] || '.data')

/**
 * Reads a text file.
 *
 * @param {string} file
 * @returns {string} '' if the file does not exist
 * @throws {Error} if the file exists and cannot be read, since a caller that assumes it is missing
 * might overwrite it
 */
export function readText(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const failure = /** @type {NodeJS.ErrnoException} */ (error)
    if (failure.code === 'ENOENT' || failure.code === 'ENOTDIR') return ''
    // If the path is a folder, Node's error does not name it.
    failure.path ??= file
    throw failure
  }
}

/** A path in which no character has a special meaning for a shell or a configuration file. */
const plainPath = /^[\w./+-]+$/

/**
 * Creates a folder whose path has no spaces, quotes or other special characters, for programs that
 * put the path unquoted into a shell command or a configuration file. The caller removes it.
 *
 * @param {string} purpose part of the folder's name
 * @returns {string}
 * @throws {Error} if no usual place is writable
 */
export function makePlainFolder(purpose) {
  const places = [toolsDir, tmpdir(), '/tmp', '/var/tmp'].filter((place) => plainPath.test(place))
  let failure
  for (const place of places) {
    try {
      mkdirSync(place, { recursive: true })
      const folder = mkdtempSync(path.join(place, `ticket-line-${purpose}-`))
      chmodSync(folder, 0o755)
      return folder
    } catch (error) {
      failure = error
    }
  }
  throw failure
}
