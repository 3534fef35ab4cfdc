import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { startChild } from './child.mjs'
import { freePort, talk, until } from './net.mjs'
import { canFetchRedis, fetchedRedis, fetchRedis } from './redis-apt.mjs'
import { dockerAnswers, redisInDocker } from './redis-docker.mjs'
import { run, which } from './run.mjs'
import { Plain, step } from './say.mjs'
import { processes, readText } from './server.mjs'

/** @typedef {import('./server.mjs').Server} Server */

/**
 * A way to run redis-server: what to spawn, and where it sees its own data, port and network.
 *
 * @typedef {object} Way
 * @property {string} source
 * @property {string} command
 * @property {string[]} args
 * @property {NodeJS.ProcessEnv} [env]
 * @property {{ port: number, dir: string, bind: string }} inside
 * @property {() => Promise<unknown>} [kill] where a signal to the spawned process does not do
 * @property {() => Promise<unknown>} [pause]
 * @property {() => Promise<unknown>} [resume]
 */

/**
 * Starts a Redis of our own on 127.0.0.1, on a free port, with its data in `folder`. It keeps what it has acknowledged
 * (`appendfsync always`) and evicts nothing.
 *
 * @param {object} options
 * @param {string} options.folder
 * @param {'any' | 'path' | 'private'} [options.from] "any": PATH, then a Docker engine, then a private one
 * @param {string[]} [options.settings] lines of redis.conf, the last one of a kind wins
 * @param {string} [options.logFile]
 * @returns {Promise<Server>}
 * @throws {Plain} when there is none to be had, or it does not come up
 */
export async function startRedis({ folder, from = 'any', settings = [], logFile }) {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const passwordFile = path.join(folder, 'password')
  if (!existsSync(passwordFile)) writeFileSync(passwordFile, randomBytes(18).toString('hex'), { mode: 0o600 })
  const password = readText(passwordFile)
  await removeStale(folder)
  const port = await freePort()
  const boot = (/** @type {Way} */ way) => bootRedis({ way, port, password, folder, settings, logFile })

  const { way, child: first } = await firstThatBoots(waysToRun(folder, port, from), boot)
  let child = first
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    source: way.source,
    ours: true,
    ended: first.exited.then(() => {}),
    stop: () => child.stop(),
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
 * The ways to run a Redis here, best first; each is made only when it is its turn.
 *
 * @param {string} folder
 * @param {number} port
 * @param {'any' | 'path' | 'private'} from
 * @returns {AsyncGenerator<Way>}
 */
async function* waysToRun(folder, port, from) {
  const inside = { port, dir: folder, bind: '127.0.0.1' }
  const local = which('redis-server') ?? which('valkey-server')
  if (from !== 'private' && local !== undefined) {
    yield { source: `${path.basename(local)} on PATH`, command: local, args: ['-'], inside }
  }
  if (from === 'any' && dockerAnswers()) {
    const docker = redisInDocker({ folder, port, name: containerName(folder) })
    await docker.removeStale()
    yield { source: 'Redis in Docker', ...docker }
  }
  if (from !== 'path') {
    const fetched =
      fetchedRedis() ?? (canFetchRedis() ? await step('Fetching Redis into .tools', fetchRedis) : undefined)
    if (fetched !== undefined) yield { source: 'private Redis in .tools', ...fetched, args: ['-'], inside }
  }
}

/**
 * An engine that answers may still be unable to get the image: then the next way is tried.
 *
 * @param {AsyncGenerator<Way>} ways
 * @param {(way: Way) => Promise<import('./child.mjs').Child>} boot
 */
async function firstThatBoots(ways, boot) {
  const failures = []
  try {
    for await (const way of ways) {
      try {
        return { way, child: await boot(way) }
      } catch (error) {
        failures.push(`${way.source}: ${/** @type {Error} */ (error).message}`)
      }
    }
  } catch (error) {
    failures.push(/** @type {Error} */ (error).message)
  }
  const hint = 'No Redis: install redis-server (or valkey-server), start Docker, or set REDIS_URL.'
  throw new Plain([hint, ...failures].join('\n'))
}

/** @param {{ way: Way, port: number, password: string, folder: string, settings: string[], logFile?: string | undefined }} options */
async function bootRedis({ way, port, password, folder, settings, logFile }) {
  const config = [
    `port ${way.inside.port}`,
    `bind ${way.inside.bind}`,
    `dir ${way.inside.dir}`,
    // On stdin, not among the arguments: those are visible to everybody on the machine.
    `requirepass ${password}`,
    'appendonly yes',
    'appendfsync always',
    'maxmemory-policy noeviction',
    'save ""',
    ...settings,
  ].join('\n')
  const { command, args, env } = way
  const optional = { ...(env === undefined ? {} : { env }), ...(logFile === undefined ? {} : { logFile }) }
  const child = await startChild({ name: 'Redis', command, args, input: config, cwd: '/', ...optional })
  writeFileSync(path.join(folder, 'server.pid'), `${child.pid} ${port}`)

  const ask = `AUTH ${password}\r\nPING\r\n`
  const ready = async () => /PONG/.test(await talk({ host: '127.0.0.1', port, text: ask }))
  // An image may have to be pulled first.
  const up = await until(async () => !child.running() || (await ready()), {
    timeoutMs: command === 'docker' ? 180_000 : 30_000,
  })
  if (up && child.running()) return child
  await child.stop()
  throw new Plain(`Redis did not start:\n${child.tail().slice(-10).join('\n')}`)
}

/** A parent that was killed may have left its Redis running on this folder. @param {string} folder */
async function removeStale(folder) {
  const pidFile = path.join(folder, 'server.pid')
  const [pid, port] = readText(pidFile).split(' ')
  const listed = (await processes()).find(([id]) => id === Number(pid))
  // redis-server writes its address into its process title.
  if (listed !== undefined && /(redis|valkey)-server/.test(listed[2]) && listed[2].includes(`:${port}`)) {
    await run('kill', ['-TERM', String(pid)]).catch(() => '')
    await until(async () => !(await processes()).some(([id]) => id === Number(pid)), {
      timeoutMs: 8_000,
      everyMs: 100,
    })
  }
  rmSync(pidFile, { force: true })
}

/** One name a folder, so that a container left over from a crash is found again. @param {string} folder */
function containerName(folder) {
  return `ticket-line-redis-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`
}
