import { randomBytes } from 'node:crypto'
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { until } from './net.mjs'
import { makePlainFolder } from './paths.mjs'
import { run } from './run.mjs'
import { processes, readText, signal } from './server.mjs'

/** The database that the services use. */
export const database = 'ticket_line'

/**
 * A new data folder with a superuser "postgres" and our database.
 *
 * @param {{ folder: string, data: string, passwordFile: string, bin: string, runner: import('./postgres-binaries.mjs').Runner }} options
 */
export async function createData({ folder, data, passwordFile, bin, runner }) {
  rmSync(data, { recursive: true, force: true })
  mkdirSync(data, { recursive: true, mode: 0o700 })
  // A superuser without a password could be used by everybody on this machine to run programs as us.
  writeFileSync(passwordFile, randomBytes(18).toString('hex'), { mode: 0o600 })
  runner.own(folder, [data, passwordFile])
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
    data,
  ]
  try {
    await withPlainPath(bin, (plain) => call(path.join(plain, 'initdb'), init))
    // Without a client at hand the single-user mode makes the database.
    await call(
      path.join(bin, 'postgres'),
      ['--single', '-D', data, 'postgres'],
      `CREATE DATABASE ${database};\n`,
    )
  } catch (error) {
    // Half a data folder would look like a whole one at the next start.
    rmSync(data, { recursive: true, force: true })
    throw error
  }
  chmodSync(folder, 0o700)
}

/**
 * initdb hands its own path to a shell within double quotes, so characters that a shell reads there would
 * break it or run as commands. It resolves symbolic links, so only a copy elsewhere helps (60 MB, once).
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
 * A parent that was killed may have left its PostgreSQL running on this folder: it is stopped. A pid file whose process id now
 * belongs to somebody else would keep PostgreSQL from starting: it is removed.
 *
 * @param {string} data
 */
export async function removeStalePostgres(data) {
  const pidFile = path.join(data, 'postmaster.pid')
  const pid = Number(readText(pidFile).split('\n')[0])
  if (!existsSync(pidFile) || !(pid > 0)) return
  const alive = (await processes()).find(([id]) => id === pid)
  if (alive?.[2].includes('postgres') && alive[2].includes(data)) {
    signal(pid, 'SIGINT')
    signal(pid, 'SIGCONT')
    const gone = () => !signal(pid, 0)
    if (!(await until(gone, { timeoutMs: 8_000 }))) {
      signal(pid, 'SIGKILL')
      await until(gone, { timeoutMs: 2_000 })
    }
  }
  rmSync(pidFile, { force: true })
}
