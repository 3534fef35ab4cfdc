import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { talk } from './addresses.mjs'
import { startChild } from './child.mjs'
import { readText } from './files.mjs'
import { freePort } from './ports.mjs'
import {
  commandLine,
  endProcess,
  identify,
  recordedServer,
  recordServer,
  stateOf,
} from './processes.mjs'
import { bootFirstWorking, redisSources } from './redis-sources.mjs'
import { DamagedData, takeOverHint, UserError } from './terminal.mjs'
import { until } from './wait.mjs'

/** @typedef {import('./servers.mjs').Server} Server */

/** @typedef {import('./redis-sources.mjs').RedisSource} RedisSource */

/**
 * Starts a separate Redis on a port of 127.0.0.1, with its data in `folder`. It evicts nothing. If
 * the machine crashes, it loses the last second (`appendfsync everysec`); PostgreSQL has a record
 * of what was accepted.
 *
 * @param {object} options
 * @param {string} options.folder
 * @param {'any' | 'local' | 'path' | 'private'} [options.from] "any": the one on PATH, else one in
 * Docker, else a private one; "local": the same without Docker
 * @param {import('./redis-apt.mjs').RedisProduct | undefined} [options.product] default: Redis, or
 * the Valkey on PATH
 * @param {number} [options.port] default: a free one
 * @param {string} [options.password] default: a generated one, which is kept in `folder`
 * @param {string[]} [options.settings] lines of redis.conf; the last line of a kind wins
 * @param {string} [options.logFile]
 * @param {Record<string, string> | undefined} [options.env] added to its environment
 * @returns {Promise<Server>}
 * @throws {UserError} if no Redis is available, or if it does not start
 */
export async function startRedis({
  folder,
  from = 'any',
  product,
  port: wantedPort,
  password: wantedPassword,
  settings = [],
  logFile,
  env,
}) {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const passwordFile = path.join(folder, 'password')
  // The data does not depend on the password, because Redis gets the password at every start.
  const kept = readText(passwordFile)
  const password = wantedPassword ?? (kept || randomBytes(18).toString('hex'))
  if (password !== kept) writeFileSync(passwordFile, password, { mode: 0o600 })
  await removeStaleRedis(folder, password)
  const port = wantedPort ?? (await freePort())
  const boot = (/** @type {RedisSource} */ source) =>
    bootRedis({ source, port, password, folder, settings, logFile, env })

  const sources = redisSources(folder, port, from, product)
  const { source, child: first } = await bootFirstWorking(sources, boot)
  let child = first
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    source: source.source,
    ours: true,
    ended: () => child.exited.then(() => {}),
    async stop() {
      await child.stop()
      rmSync(pidFileOf(folder), { force: true })
    },
    async kill() {
      await source.kill?.()
      await child.kill()
    },
    async restart() {
      if (child.running()) throw new Error('Redis is still running: stop or kill it first')
      child = await boot(source)
    },
    pause: async () => void (source.pause ? await source.pause() : child.signal('SIGSTOP')),
    resume: async () => void (source.resume ? await source.resume() : child.signal('SIGCONT')),
  }
}

/**
 * Quotes a value for redis.conf. Redis reads escapes within double quotes.
 *
 * @param {string} value
 */
export function quoted(value) {
  const escapes = /** @type {Record<string, string>} */ ({ '\n': '\\n', '\r': '\\r', '\t': '\\t' })
  return `"${value.replace(/["\\\n\r\t]/g, (char) => escapes[char] ?? `\\${char}`)}"`
}

/** @param {string} folder */
const pidFileOf = (folder) => path.join(folder, 'server.pid')

/**
 * @param {{ source: RedisSource, port: number, password: string, folder: string,
 *   settings: string[], logFile?: string | undefined,
 *   env?: Record<string, string> | undefined }} options
 */
async function bootRedis({ source, port, password, folder, settings, logFile, env: extra }) {
  const config = [
    `port ${source.inside.port}`,
    `bind ${source.inside.bind}`,
    `dir ${quoted(source.inside.dir)}`,
    // Redis reads this on stdin: every user of the machine can see a process's arguments.
    `requirepass ${password}`,
    'appendonly yes',
    'appendfsync everysec',
    'maxmemory-policy noeviction',
    'save ""',
    ...settings,
  ].join('\n')
  const { command, args, env, cwd = '/' } = source
  const optional = {
    ...(env === undefined && extra === undefined
      ? {}
      : { env: { ...(env ?? process.env), ...extra } }),
    ...(logFile === undefined ? {} : { logFile }),
  }
  const child = await startChild({ name: 'Redis', command, args, input: config, cwd, ...optional })
  recordServer(pidFileOf(folder), { ...identify(child.pid), port })

  const ready = () => answersTo(password, port)
  // Docker may have to pull the image first.
  const up = await until(async () => !child.running() || (await ready()), {
    timeoutMs: command === 'docker' ? 180_000 : 30_000,
  })
  if (up && child.running()) return child
  await child.stop()
  throw explainEnd(child.tail(), folder)
}

/**
 * @param {string[]} lines what Redis printed last
 * @param {string} folder
 * @returns {UserError} with the cause first
 */
export function explainEnd(lines, folder) {
  // "#" marks warnings: "12:M 29 Nov 2026 16:00:00.000 # Bad file format reading the append only
  // file …"
  const warnings = lines.flatMap((line) => /^\d+:\w .*? # (.*)$/.exec(line)?.[1] ?? [])
  const damage = warnings.find(
    (line) =>
      /append only file|\bAOF\b|\bRDB\b|manifest|signature|checksum|corrupt/i.test(line) &&
      !/^WARNING/.test(line),
  )
  if (damage !== undefined && /Permission denied/i.test(damage)) {
    return new DamagedData(
      `Redis cannot use its data: ${damage}\nThe files in ${folder} were made by another user. ${takeOverHint(folder)}`,
    )
  }
  if (damage !== undefined) {
    return new DamagedData(
      `Redis cannot read its data: ${damage}\n` +
        `The data is in ${folder}. Repair it with redis-check-aof, restore a copy, or delete it with ` +
        '`npm run reset -- redis`. Deleting it loses nothing that was accepted or decided.',
    )
  }
  return new UserError(`Redis did not start:\n${lines.slice(-10).join('\n')}`)
}

/**
 * @param {string} password
 * @param {number} port
 * @returns {Promise<boolean>} rejects if nothing replies
 */
async function answersTo(password, port) {
  return /PONG/.test(await talk({ host: '127.0.0.1', port, text: `AUTH ${password}\r\nPING\r\n` }))
}

/**
 * Stops a Redis that still runs on this folder because its parent was killed. Two servers on one
 * append-only file would damage it.
 *
 * @param {string} folder
 * @param {string} password
 * @throws {UserError} if a process may be that Redis, and there is no way to find out
 */
export async function removeStaleRedis(folder, password) {
  const pidFile = pidFileOf(folder)
  const recorded = recordedServer(pidFile)
  if (recorded !== undefined) {
    const whose = await ownerOf(recorded, password)
    if (whose === 'unknown') {
      throw new UserError(
        `Process ${recorded.pid} may be a Redis that still uses ${folder}. Stop it; if it is something else, delete ${pidFile}.`,
      )
    }
    if (whose === 'ours') await endProcess(recorded.pid, 'SIGTERM')
  }
  rmSync(pidFile, { force: true })
}

/**
 * @param {import('./processes.mjs').Identity & { port: number }} recorded
 * @param {string} password
 * @returns {Promise<'ours' | 'gone' | 'unknown'>}
 */
async function ownerOf(recorded, password) {
  const state = stateOf(recorded)
  if (state !== 'unknown') return state === 'running' ? 'ours' : 'gone'
  if (await answersTo(password, recorded.port).catch(() => false)) return 'ours'
  const line = commandLine(recorded.pid)
  if (line === undefined) return 'unknown'
  // redis-server shows its address in its process title. If it runs in a container, the process is
  // the Docker client.
  const ours = /(redis|valkey)-server/.test(line) && line.includes(`:${recorded.port}`)
  return ours ? 'ours' : 'gone'
}
