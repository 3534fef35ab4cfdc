import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { makePlainFolder } from './paths.mjs'
import { commandLine, endProcess, isAlive, stateOf, workingDirectory } from './processes.mjs'
import { run } from './run.mjs'
import { Plain } from './say.mjs'
import { readText } from './server.mjs'

/** @typedef {import('./processes.mjs').Identity} Identity */

/** The database that the services use. */
export const database = 'ticket_line'

/**
 * Makes a new data folder with a superuser "postgres" and our database.
 *
 * @param {{ folder: string, data: string, passwordFile: string, bin: string, runner: import('./postgres-binaries.mjs').Runner }} options
 * @throws {Plain} if the folder already contains files, which may be somebody's data
 */
export async function createData({ folder, data, passwordFile, bin, runner }) {
  if (existsSync(data) && readdirSync(data).length > 0) {
    throw new Plain(
      `${data} is not empty, but has no PG_VERSION: it is no complete PostgreSQL data folder. Nothing was changed.\n` +
        'Put back what is missing, or start afresh with `npm run reset`, which deletes the local data.',
    )
  }
  // The folder gets its name when it is complete. One that an interrupted start left was never
  // used.
  const unfinished = `${data}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished, { recursive: true, mode: 0o700 })
  // A superuser without a password could be used by everybody on this machine to run programs as us.
  writeFileSync(passwordFile, randomBytes(18).toString('hex'), { mode: 0o600 })
  runner.own(folder, [unfinished, passwordFile])
  const call = (/** @type {string} */ program, /** @type {string[]} */ args, input = '') => {
    const { args: all, command, ...user } = runner.call(program, args)
    return run(command, all, { ...user, input, cwd: '/' })
  }
  const init = [
    '-U',
    'postgres',
    '-E',
    'UTF8',
    '--no-locale',
    '-A',
    'scram-sha-256',
    `--pwfile=${passwordFile}`,
    '-D',
    unfinished,
  ]
  try {
    await withPlainPath(bin, (plain) => call(path.join(plain, 'initdb'), init))
    // Without a client at hand the single-user mode makes the database.
    const single = ['--single', '-D', unfinished, 'postgres']
    await call(path.join(bin, 'postgres'), single, `CREATE DATABASE ${database};\n`)
    renameSync(unfinished, data)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  chmodSync(folder, 0o700)
}

/**
 * initdb passes its own path to a shell within double quotes, so characters that have a meaning
 * there would break it or run as commands. It resolves symbolic links, so only a copy elsewhere
 * helps (60 MB, once).
 *
 * @template T
 * @param {string} bin
 * @param {(bin: string) => Promise<T>} work
 */
async function withPlainPath(bin, work) {
  if (!/["$`\\\n]/.test(bin)) return work(bin)
  const copy = makePlainFolder('initdb')
  try {
    cpSync(path.dirname(bin), copy, { recursive: true, verbatimSymlinks: true })
    return await work(path.join(copy, path.basename(bin)))
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/**
 * Stops a PostgreSQL that still runs on this folder because its parent was killed. Removes a pid
 * file whose process id now belongs to another program, because it would keep PostgreSQL from
 * starting, but only if the process is certainly no PostgreSQL. In doubt the file stays, and
 * PostgreSQL itself decides.
 *
 * @param {string} data
 * @param {Identity | undefined} recorded the PostgreSQL that was started here last
 */
export async function removeStalePostgres(data, recorded) {
  const pidFile = path.join(data, 'postmaster.pid')
  // Single-user mode writes a negative id.
  const pid = Math.abs(Number(readText(pidFile).split('\n')[0]))
  if (!(pid > 0) || !isAlive(pid)) return
  const whose = ownerOf(pid, data, recorded)
  if (whose === 'ours') await endProcess(pid, 'SIGINT')
  if (whose === 'another program') rmSync(pidFile, { force: true })
}

/**
 * @param {number} pid
 * @param {string} data
 * @param {Identity | undefined} recorded
 * @returns {'ours' | 'another program' | 'unknown'}
 */
function ownerOf(pid, data, recorded) {
  if (recorded?.pid === pid && stateOf(recorded) === 'running') return 'ours'
  // The working directory of PostgreSQL is its data folder.
  if (workingDirectory(pid) === realpathSync(data)) return 'ours'
  const line = commandLine(pid)
  if (line === undefined) return 'unknown'
  if (!/postgres|postmaster/.test(line)) return 'another program'
  return line.includes(data) ? 'ours' : 'unknown'
}
