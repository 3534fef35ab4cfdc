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

/** @param {...string} parts */
export const fromRoot = (...parts) => path.join(root, ...parts)
