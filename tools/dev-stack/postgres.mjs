import { rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from './child.mjs'
import { readText } from './files.mjs'
import { freePort } from './ports.mjs'
import {
  embeddedPostgres,
  majorOfData,
  postgresOnPath,
  postgresRunner,
} from './postgres-binaries.mjs'
import { createData, database, removeStalePostgres } from './postgres-data.mjs'
import { identify, processes, recordedServer, recordServer, signal } from './processes.mjs'
import { takeOverHint, UserError } from './terminal.mjs'
import { until } from './wait.mjs'

/** @typedef {import('./servers.mjs').Server} Server */

/**
 * Starts a separate PostgreSQL on a free port of 127.0.0.1, with its data in `folder`. Existing
 * data is used.
 *
 * @param {object} options
 * @param {string} options.folder
 * @param {'any' | 'path' | 'embedded'} [options.from] which binaries; "any" prefers those on PATH
 * @param {string[]} [options.settings] e.g. "max_connections=300"
 * @param {string} [options.logFile]
 * @param {Record<string, string> | undefined} [options.env] added to its environment
 * @returns {Promise<Server>}
 * @throws {UserError} if no binaries are available, or if it does not start
 */
export async function startPostgres({ folder, from = 'any', settings = [], logFile, env }) {
  const binaries = await chooseBinaries(folder, from)
  const data = path.join(folder, 'data')
  const runner = postgresRunner(data)
  const passwordFile = path.join(folder, 'password')
  if (majorOfData(data) === undefined)
    await createData({ folder, data, passwordFile, bin: binaries.bin, runner })
  if (readText(passwordFile).trim() === '') {
    throw new UserError(
      `${passwordFile} is missing or empty, so nobody can sign in to the PostgreSQL in ${folder}. ` +
        'Restore it, or start over with `npm run reset`, which deletes the local data.',
    )
  }
  const pidFile = path.join(folder, 'server.pid')
  await removeStalePostgres(data, recordedServer(pidFile))

  const port = await freePort()
  // Without a Unix socket, PostgreSQL can only be reached over 127.0.0.1, and no socket path can be
  // too long. The log is terse, because the DETAIL of an error quotes whole rows, including
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
      // The server processes outlive their postmaster for a moment and hold its shared memory.
      const pids = [child.pid, ...childrenOf(child.pid)]
      for (const pid of pids) signal(pid, 'SIGKILL')
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
    throw new UserError(
      `${folder} was made by PostgreSQL ${needed}, which is no longer installed. Install it, or delete the folder to start over.`,
    )
  }
  throw new UserError(
    'No PostgreSQL: none is on PATH, and the embedded one does not support this platform. Install PostgreSQL or set DATABASE_URL.',
  )
}

/**
 * Starts the postmaster and, like pg_ctl, waits until its pid file says "ready".
 *
 * @param {{ command: string, args: string[], uid?: number, gid?: number, env?: NodeJS.ProcessEnv,
 *   data: string, logFile?: string | undefined, onStarted: (pid: number) => void }} options
 */
async function bootPostgres({ data, logFile, onStarted, ...call }) {
  for (let attempt = 1; ; attempt++) {
    const log = logFile === undefined ? {} : { logFile }
    // SIGINT is PostgreSQL's fast shutdown. SIGTERM would wait until every client has disconnected.
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
    // After a crash, the server processes need a moment to notice that their postmaster is gone.
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
 * @returns {UserError} with the cause first
 */
export function explainEnd(said, data) {
  const cause = /^.*?\b(?:FATAL|PANIC): +(.*)$/m.exec(said)?.[1]
  const lines = said.split('\n').slice(-10).join('\n')
  if (cause === undefined) return new UserError(`PostgreSQL did not start:\n${lines}`)
  if (/Permission denied|wrong ownership/i.test(cause)) {
    return new UserError(
      `PostgreSQL did not start: ${cause}\nThe files in ${data} were made by another user. ${takeOverHint(data)}`,
    )
  }
  if (/postmaster\.pid/.test(cause)) {
    const pidFile = path.join(data, 'postmaster.pid')
    const pid = readText(pidFile).split('\n')[0]
    return new UserError(
      `PostgreSQL did not start: ${cause}\n` +
        `Process ${pid} may be a PostgreSQL that still uses the data. Stop it; if it is something else, delete ${pidFile}.`,
    )
  }
  return new UserError(
    `PostgreSQL did not start: ${cause}\n` +
      `If its data in ${data} is damaged, restore a copy, or start over with \`npm run reset\`, which deletes the local data. ` +
      `Its last output:\n${lines}`,
  )
}

/** @param {number} parent */
function childrenOf(parent) {
  return processes()
    .filter(([, ppid]) => ppid === parent)
    .map(([pid]) => pid)
}
