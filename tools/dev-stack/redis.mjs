import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { startChild } from './child.mjs'
import { freePort, talk, until } from './net.mjs'
import {
  commandLine,
  endProcess,
  identify,
  recordedServer,
  recordServer,
  stateOf,
} from './processes.mjs'
import { firstThatBoots, waysToRun } from './redis-ways.mjs'
import { DamagedData, Plain, takeOver } from './say.mjs'
import { readText } from './server.mjs'

/** @typedef {import('./server.mjs').Server} Server */

/** @typedef {import('./redis-ways.mjs').Way} Way */

/**
 * Starts a Redis of our own on 127.0.0.1, on a free port, with its data in `folder`. It keeps what it has acknowledged
 * (`appendfsync always`) and evicts nothing.
 *
 * @param {object} options
 * @param {string} options.folder
 * @param {'any' | 'path' | 'private'} [options.from] "any": PATH, then a Docker engine, then a private one
 * @param {string[]} [options.settings] lines of redis.conf, the last one of a kind wins
 * @param {string} [options.logFile]
 * @param {Record<string, string> | undefined} [options.env] added to its environment
 * @returns {Promise<Server>}
 * @throws {Plain} when there is none to be had, or it does not come up
 */
export async function startRedis({ folder, from = 'any', settings = [], logFile, env }) {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const passwordFile = path.join(folder, 'password')
  // The data does not depend on the password: Redis gets it at every start.
  if (readText(passwordFile) === '')
    writeFileSync(passwordFile, randomBytes(18).toString('hex'), { mode: 0o600 })
  const password = readText(passwordFile)
  await removeStale(folder, password)
  const port = await freePort()
  const boot = (/** @type {Way} */ way) =>
    bootRedis({ way, port, password, folder, settings, logFile, env })

  const { way, child: first } = await firstThatBoots(waysToRun(folder, port, from), boot)
  let child = first
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    source: way.source,
    ours: true,
    ended: () => child.exited.then(() => {}),
    async stop() {
      await child.stop()
      rmSync(pidFileOf(folder), { force: true })
    },
    async kill() {
      await way.kill?.()
      await child.kill()
    },
    async restart() {
      if (child.running()) throw new Error('Redis is still running: stop or kill it first')
      child = await boot(way)
    },
    pause: async () => void (way.pause ? await way.pause() : child.signal('SIGSTOP')),
    resume: async () => void (way.resume ? await way.resume() : child.signal('SIGCONT')),
  }
}

/**
 * A value of redis.conf that may contain any character. Redis reads escapes within double quotes.
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
 * @param {{ way: Way, port: number, password: string, folder: string, settings: string[], logFile?:
 * string | undefined, env?: Record<string, string> | undefined }} options
 */
async function bootRedis({ way, port, password, folder, settings, logFile, env: extra }) {
  const config = [
    `port ${way.inside.port}`,
    `bind ${way.inside.bind}`,
    `dir ${quoted(way.inside.dir)}`,
    // On stdin, not among the arguments: those are visible to everybody on the machine.
    `requirepass ${password}`,
    'appendonly yes',
    'appendfsync always',
    'maxmemory-policy noeviction',
    'save ""',
    ...settings,
  ].join('\n')
  const { command, args, env, cwd = '/' } = way
  const optional = {
    ...(env === undefined && extra === undefined
      ? {}
      : { env: { ...(env ?? process.env), ...extra } }),
    ...(logFile === undefined ? {} : { logFile }),
  }
  const child = await startChild({ name: 'Redis', command, args, input: config, cwd, ...optional })
  recordServer(pidFileOf(folder), { ...identify(child.pid), port })

  const ready = () => answersTo(password, port)
  // An image may have to be pulled first.
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
 * @returns {Plain} the cause first
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
      `Redis cannot use its data: ${damage}\nThe files in ${folder} were made by another user. ${takeOver(folder)}`,
    )
  }
  if (damage !== undefined) {
    return new DamagedData(
      `Redis cannot read its data: ${damage}\n` +
        `The data is in ${folder}. Repair it with redis-check-aof, put back a copy, or run \`npm run reset -- redis\`, ` +
        'which deletes it: commands that were accepted and not yet decided are lost then, bookings are not.',
    )
  }
  return new Plain(`Redis did not start:\n${lines.slice(-10).join('\n')}`)
}

/**
 * @param {string} password
 * @param {number} port
 * @returns {Promise<boolean>} rejects if nothing answers
 */
async function answersTo(password, port) {
  return /PONG/.test(await talk({ host: '127.0.0.1', port, text: `AUTH ${password}\r\nPING\r\n` }))
}

/**
 * Stops a Redis that still runs on this folder because its parent was killed. Two of them would
 * ruin each other's append-only file.
 *
 * @param {string} folder
 * @param {string} password
 * @throws {Plain} if a process may be that Redis, but this cannot be found out
 */
export async function removeStale(folder, password) {
  const pidFile = pidFileOf(folder)
  const recorded = recordedServer(pidFile)
  if (recorded !== undefined) {
    const whose = await ownerOf(recorded, password)
    if (whose === 'unknown') {
      throw new Plain(
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
  // redis-server writes its address into its process title; in a container, the process is the
  // docker client.
  const ours = /(redis|valkey)-server/.test(line) && line.includes(`:${recorded.port}`)
  return ours ? 'ours' : 'gone'
}
