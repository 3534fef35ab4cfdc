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
import { run } from './commands.mjs'
import { makePlainFolder, readText } from './files.mjs'
import { commandLine, endProcess, isAlive, stateOf, workingDirectory } from './processes.mjs'
import { UserError } from './terminal.mjs'

/** @typedef {import('./processes.mjs').Identity} Identity */

/** The name of the services' database. */
export const database = 'ticket_line'

/**
 * Creates a data folder with the superuser "postgres" and the services' database.
 *
 * @param {{ folder: string, data: string, passwordFile: string, bin: string,
 *   runner: import('./postgres-binaries.mjs').Runner }} options
 * @throws {UserError} if the folder already contains files, which may be somebody's data
 */
export async function createData({ folder, data, passwordFile, bin, runner }) {
  if (existsSync(data) && readdirSync(data).length > 0) {
    throw new UserError(
      `${data} is not empty and has no PG_VERSION, so it is not a complete PostgreSQL data folder. Nothing was changed.\n` +
        'Restore what is missing, or start over with `npm run reset`, which deletes the local data.',
    )
  }
  // The folder gets its final name when it is complete. An unfinished folder that an interrupted
  // start left behind was never used, so it can be deleted.
  const unfinished = `${data}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished, { recursive: true, mode: 0o700 })
  // Without a password, every user of this machine could connect as superuser and run programs as
  // the current user.
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
    // There may be no client program, so the single-user mode creates the database.
    const single = ['--single', '-D', unfinished, 'postgres']
    await call(path.join(bin, 'postgres'), single, `CREATE DATABASE ${database};\n`)
    renameSync(unfinished, data)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  chmodSync(folder, 0o700)
}

/**
 * Runs `work` with a path to the binaries that is safe in a shell. initdb passes its own path to a
 * shell within double quotes, in which some characters have a meaning and could even run as
 * commands. If the path has such a character, `work` gets a temporary copy of the binaries (60 MB).
 * A symbolic link would not help, because initdb resolves it.
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
 * Stops a PostgreSQL that still runs on this folder because its parent was killed.
 *
 * PostgreSQL does not start if its pid file names a running process. If that process is certainly
 * another program that got the same id, the file is removed. If in doubt, the file stays, and
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
