import { createHash } from 'node:crypto'
import path from 'node:path'
import { canUseApt } from './apt.mjs'
import { run, which, works } from './commands.mjs'
import { fetchedRedis, fetchRedis } from './redis-apt.mjs'
import { DamagedData, step, UserError } from './terminal.mjs'

/** @typedef {import('./redis-apt.mjs').RedisProduct} RedisProduct */

/** The image of Redis that docker-compose.yml uses, and one of Valkey. */
const images = { redis: 'redis:7.4-alpine', valkey: 'valkey/valkey:8-alpine' }

const names = { redis: 'Redis', valkey: 'Valkey' }

/**
 * One way to run redis-server.
 *
 * @typedef {object} RedisSource
 * @property {string} source as printed at the start
 * @property {string} command
 * @property {string[]} args
 * @property {NodeJS.ProcessEnv} [env]
 * @property {string} [cwd] default `/`
 * @property {{ port: number, dir: string, bind: string }} inside its port, data folder and address
 * as redis-server sees them, for redis.conf
 * @property {() => Promise<unknown>} [kill] present if a signal to the started process is not
 * enough
 * @property {() => Promise<unknown>} [pause]
 * @property {() => Promise<unknown>} [resume]
 */

/**
 * The ways to run a Redis on this machine, best first. Each is prepared only if the ones before it
 * failed.
 *
 * @param {string} folder
 * @param {number} port
 * @param {'any' | 'local' | 'path' | 'private'} from "local": not in Docker
 * @param {RedisProduct} [product] default: Redis, or the Valkey on PATH
 * @returns {AsyncGenerator<RedisSource>}
 */
export async function* redisSources(folder, port, from, product) {
  const inside = { port, dir: folder, bind: '127.0.0.1' }
  const local =
    product === undefined
      ? (which('redis-server') ?? which('valkey-server'))
      : which(`${product}-server`)
  const wanted = product ?? 'redis'
  if (from !== 'private' && local !== undefined) {
    yield { source: `${path.basename(local)} on PATH`, command: local, args: ['-'], inside }
  }
  if (from === 'any' && dockerAnswers()) {
    const docker = redisInDocker({ folder, port, name: containerName(folder), product: wanted })
    await docker.removeStale()
    yield { source: `${names[wanted]} in Docker`, ...docker }
  }
  if (from !== 'path') {
    const fetched = fetchedRedis(wanted) ?? (canUseApt() ? await shownFetch(wanted) : undefined)
    if (fetched !== undefined)
      yield { source: `private ${names[wanted]} in .tools`, ...fetched, args: ['-'], inside }
  }
}

/**
 * Tells why this machine cannot run a product. It fetches the product if that is necessary.
 *
 * @param {'any' | 'local'} from
 * @param {RedisProduct} [product]
 * @returns {Promise<string | undefined>} a sentence; undefined if this machine can run it
 */
export async function whyNoRedis(from, product) {
  const wanted = product ?? 'redis'
  try {
    for await (const source of redisSources('', 0, from, product)) {
      if (source.command !== '') return undefined
    }
  } catch (error) {
    return /** @type {Error} */ (error).message
  }
  return `There is no ${wanted}-server on PATH, and no package of it.`
}

/** @type {Map<RedisProduct, ReturnType<typeof fetchRedis>>} */
const shownFetches = new Map()

/**
 * Fetches a product, and shows that once for all servers that wait for it.
 *
 * @param {RedisProduct} product
 */
function shownFetch(product) {
  const show = () => step(`Fetching ${names[product]} into .tools`, () => fetchRedis(product))
  const shown = shownFetches.get(product) ?? show()
  shownFetches.set(product, shown)
  return shown
}

/**
 * Starts Redis from the first source that works. For example, a Docker engine that answers may
 * still be unable to get the image.
 *
 * @param {AsyncGenerator<RedisSource>} sources
 * @param {(source: RedisSource) => Promise<import('./child.mjs').Child>} boot
 * @throws {UserError} if none works
 * @throws {DamagedData} immediately, since Redis from another source would read the same data
 */
export async function bootFirstWorking(sources, boot) {
  const failures = []
  try {
    for await (const source of sources) {
      try {
        return { source, child: await boot(source) }
      } catch (error) {
        if (error instanceof DamagedData) throw error
        failures.push(`${source.source}: ${/** @type {Error} */ (error).message}`)
      }
    }
  } catch (error) {
    if (error instanceof DamagedData) throw error
    failures.push(/** @type {Error} */ (error).message)
  }
  const hint = 'No Redis: install redis-server (or valkey-server), start Docker, or set REDIS_URL.'
  // If there is a Redis that fails, that matters more than how to get one.
  throw new UserError([...failures, hint].join('\n'))
}

/** Tells whether a Docker engine answers. The command is often installed without one. */
export function dockerAnswers() {
  return works('docker', ['version', '--format', '{{.Server.Version}}'])
}

/**
 * A redis-server in a container, with its data in `folder`. The started process is the Docker
 * client, which passes SIGTERM on to the container.
 *
 * @param {{ folder: string, port: number, name: string, product?: RedisProduct }} options
 */
export function redisInDocker({ folder, port, name, product = 'redis' }) {
  const user =
    process.getuid === undefined ? [] : ['--user', `${process.getuid()}:${process.getgid?.()}`]
  const container = [
    '--rm',
    '-i',
    '--name',
    name,
    '-p',
    `127.0.0.1:${port}:6379`,
    // --mount reads CSV and so takes any path. -v would split the path at colons.
    '--mount',
    ['type=bind', `source=${folder}`, 'target=/data'].map(csvField).join(','),
    ...user,
  ]
  return {
    command: 'docker',
    args: ['run', ...container, images[product], `${product}-server`, '-'],
    inside: { port: 6379, dir: '/data', bind: '0.0.0.0' },
    kill: () => run('docker', ['kill', name]),
    pause: () => run('docker', ['pause', name]),
    resume: () => run('docker', ['unpause', name]),
    removeStale: () => run('docker', ['rm', '-f', name]).catch(() => ''),
  }
}

/** @param {string} text */
const csvField = (text) => `"${text.replaceAll('"', '""')}"`

/**
 * The name depends on the folder, so that a container left over from a crash is found again.
 *
 * @param {string} folder
 */
function containerName(folder) {
  return `ticket-line-redis-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`
}
