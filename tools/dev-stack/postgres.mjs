import { rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from './child.mjs'
import { freePort, until } from './net.mjs'
import {
  embeddedPostgres,
  majorOfData,
  postgresOnPath,
  postgresRunner,
} from './postgres-binaries.mjs'
import { createData, database, removeStalePostgres } from './postgres-data.mjs'
import { identify, processes, recordedServer, recordServer, signal } from './processes.mjs'
import { Plain, takeOver } from './say.mjs'
import { readText } from './server.mjs'

/** @typedef {import('./server.mjs').Server} Server */

/**
 * Starts a PostgreSQL of our own on 127.0.0.1, on a free port, with its data in `folder` (kept when it is there already).
 *
 * @param {object} options
 * @param {string} options.folder
 * @param {'any' | 'path' | 'embedded'} [options.from] which binaries; "any" prefers those on PATH
 * @param {string[]} [options.settings] e.g. "max_connections=300"
 * @param {string} [options.logFile]
 * @param {Record<string, string> | undefined} [options.env] added to its environment
 * @returns {Promise<Server>}
 * @throws {Plain} when there are no binaries, or it does not come up
 */
export async function startPostgres({ folder, from = 'any', settings = [], logFile, env }) {
  const binaries = await chooseBinaries(folder, from)
  const data = path.join(folder, 'data')
  const runner = postgresRunner(data)
  const passwordFile = path.join(folder, 'password')
  if (majorOfData(data) === undefined)
    await createData({ folder, data, passwordFile, bin: binaries.bin, runner })
  if (readText(passwordFile).trim() === '') {
    throw new Plain(
      `${passwordFile} is missing or empty, so nobody can sign in to the PostgreSQL in ${folder}. ` +
        'Put it back, or start afresh with `npm run reset`, which deletes the local data.',
    )
  }
  const pidFile = path.join(folder, 'server.pid')
  await removeStalePostgres(data, recordedServer(pidFile))

  const port = await freePort()
  // Without "unix_socket_directories" PostgreSQL can only be reached over 127.0.0.1, and no socket
  // path can be too long. Terse, because the DETAIL of an error quotes whole rows, including
  // password hashes.
  const fixed = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'fsync=on',
    'max_connections=300',
    'log_error_verbosity=terse',
  ]
  const args = [
    '-D',
    data,
    '-p',
    String(port),
    ...[...fixed, ...settings].flatMap((setting) => ['-c', setting]),
  ]
  const boot = () =>
    bootPostgres({
      ...runner.call(path.join(binaries.bin, 'postgres'), args),
      ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
      data,
      logFile,
      onStarted: (pid) => recordServer(pidFile, { ...identify(pid), port }),
    })

  let child = await boot()
  return {
    url: `postgres://postgres:${readText(passwordFile)}@127.0.0.1:${port}/${database}`,
    source: binaries.source,
    ours: true,
    ended: () => child.exited.then(() => {}),
    async stop() {
      await child.stop()
      rmSync(pidFile, { force: true })
    },
    async kill() {
      // The server processes would outlive their postmaster by a moment and hold its shared memory.
      const family = [child.pid, ...childrenOf(child.pid)]
      for (const pid of family) signal(pid, 'SIGKILL')
      await child.exited
    },
    async restart() {
      if (child.running()) throw new Error('PostgreSQL is still running: stop or kill it first')
      child = await boot()
    },
    async pause() {
      for (const pid of [child.pid, ...childrenOf(child.pid)]) signal(pid, 'SIGSTOP')
    },
    async resume() {
      for (const pid of [child.pid, ...childrenOf(child.pid)]) signal(pid, 'SIGCONT')
    },
  }
}

/** @param {string} folder @param {'any' | 'path' | 'embedded'} from */
async function chooseBinaries(folder, from) {
  const needed = majorOfData(path.join(folder, 'data'))
  const sources = {
    any: [postgresOnPath, embeddedPostgres],
    path: [postgresOnPath],
    embedded: [embeddedPostgres],
  }[from]
  for (const source of sources) {
    const found = await source()
    if (found !== undefined && (needed === undefined || needed === found.major)) return found
  }
  if (needed !== undefined) {
    throw new Plain(
      `${folder} was made by PostgreSQL ${needed}, which is no longer here. Install it, or delete the folder to start afresh.`,
    )
  }
  throw new Plain(
    'No PostgreSQL: none on PATH, and the embedded one does not know this platform. Install PostgreSQL or set DATABASE_URL.',
  )
}

/**
 * Starts the postmaster and waits until it says "ready" in its pid file, as pg_ctl does.
 *
 * @param {{ command: string, args: string[], uid?: number, gid?: number, env?: NodeJS.ProcessEnv, data: string, logFile?: string | undefined, onStarted: (pid: number) => void }} options
 */
async function bootPostgres({ data, logFile, onStarted, ...call }) {
  for (let attempt = 1; ; attempt++) {
    const log = logFile === undefined ? {} : { logFile }
    // SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
    const child = await startChild({
      name: 'PostgreSQL',
      stopSignal: 'SIGINT',
      cwd: '/',
      ...log,
      ...call,
    })
    onStarted(child.pid)
    const ready = () => {
      const lines = readText(path.join(data, 'postmaster.pid')).split('\n')
      return Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready'
    }
    const up = await until(() => !child.running() || ready(), { timeoutMs: 60_000 })
    if (up && child.running()) return child
    await child.stop()
    const said = child.tail().join('\n')
    // After a crash the last server processes need a moment to notice that their postmaster is gone.
    if (attempt < 20 && /still in use|is another postmaster/.test(said)) {
      await sleep(250)
      continue
    }
    throw explainEnd(said, data)
  }
}

/**
 * @param {string} said what PostgreSQL printed
 * @param {string} data
 * @returns {Plain} the cause first
 */
export function explainEnd(said, data) {
  const cause = /^.*?\b(?:FATAL|PANIC): +(.*)$/m.exec(said)?.[1]
  const lines = said.split('\n').slice(-10).join('\n')
  if (cause === undefined) return new Plain(`PostgreSQL did not start:\n${lines}`)
  if (/Permission denied|wrong ownership/i.test(cause)) {
    return new Plain(
      `PostgreSQL did not start: ${cause}\nThe files in ${data} were made by another user. ${takeOver(data)}`,
    )
  }
  if (/postmaster\.pid/.test(cause)) {
    const pidFile = path.join(data, 'postmaster.pid')
    const pid = readText(pidFile).split('\n')[0]
    return new Plain(
      `PostgreSQL did not start: ${cause}\n` +
        `Process ${pid} may be a PostgreSQL that still uses the data. Stop it; if it is something else, delete ${pidFile}.`,
    )
  }
  return new Plain(
    `PostgreSQL did not start: ${cause}\n` +
      `If its data in ${data} is damaged, put back a copy, or start afresh with \`npm run reset\`, which deletes the local data. ` +
      `Its last lines:\n${lines}`,
  )
}

/** @param {number} parent */
function childrenOf(parent) {
  return processes()
    .filter(([, ppid]) => ppid === parent)
    .map(([pid]) => pid)
}
