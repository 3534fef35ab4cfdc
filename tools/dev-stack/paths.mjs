import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of the repository, whatever the working directory is. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')

/** Tools brought by the bootstrap (Node, pnpm, a private Redis). May be deleted at any time. */
export const toolsDir = path.join(root, '.tools')

/** Data of the local stack: kept between runs, deleted by hand to start afresh. DATA_DIR puts it elsewhere. */
export const dataDir = path.resolve(root, process.env['DATA_DIR'] || '.data')

/** What a running `npm start` tells the others of this clone: its process id and the addresses of its servers. */
export const stackFile = path.join(dataDir, 'stack.json')

/** Held by the one `npm start` of this data folder. */
export const lockFile = path.join(dataDir, 'start.lock')

/** @param {...string} parts */
export const fromRoot = (...parts) => path.join(root, ...parts)

/** A path that every shell and configuration language reads as it is. */
const plainPath = /^[\w./+-]+$/

/**
 * Creates a folder whose path contains no space, quote or other character with a meaning, for
 * programs that put paths unquoted into a shell or a configuration. The caller removes it.
 *
 * @param {string} purpose part of its name
 * @returns {string}
 * @throws {Error} if none of the usual places can be written
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
