import { createHash } from 'node:crypto'
import path from 'node:path'
import { canFetchRedis, fetchedRedis, fetchRedis } from './redis-apt.mjs'
import { dockerAnswers, redisInDocker } from './redis-docker.mjs'
import { which } from './run.mjs'
import { DamagedData, Plain, step } from './say.mjs'

/**
 * A way to run redis-server: what to spawn, and where it sees its own data, port and network.
 *
 * @typedef {object} Way
 * @property {string} source
 * @property {string} command
 * @property {string[]} args
 * @property {NodeJS.ProcessEnv} [env]
 * @property {string} [cwd] default `/`
 * @property {{ port: number, dir: string, bind: string }} inside
 * @property {() => Promise<unknown>} [kill] where a signal to the spawned process does not do
 * @property {() => Promise<unknown>} [pause]
 * @property {() => Promise<unknown>} [resume]
 */

/**
 * The ways to run a Redis here, best first; each is made only when it is its turn.
 *
 * @param {string} folder
 * @param {number} port
 * @param {'any' | 'path' | 'private'} from
 * @returns {AsyncGenerator<Way>}
 */
export async function* waysToRun(folder, port, from) {
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
      fetchedRedis() ??
      (canFetchRedis() ? await step('Fetching Redis into .tools', fetchRedis) : undefined)
    if (fetched !== undefined)
      yield { source: 'private Redis in .tools', ...fetched, args: ['-'], inside }
  }
}

/**
 * An engine that answers may still be unable to get the image: then the next way is tried.
 *
 * @param {AsyncGenerator<Way>} ways
 * @param {(way: Way) => Promise<import('./child.mjs').Child>} boot
 */
export async function firstThatBoots(ways, boot) {
  const failures = []
  try {
    for await (const way of ways) {
      try {
        return { way, child: await boot(way) }
      } catch (error) {
        if (error instanceof DamagedData) throw error
        failures.push(`${way.source}: ${/** @type {Error} */ (error).message}`)
      }
    }
  } catch (error) {
    if (error instanceof DamagedData) throw error
    failures.push(/** @type {Error} */ (error).message)
  }
  const hint = 'No Redis: install redis-server (or valkey-server), start Docker, or set REDIS_URL.'
  // The failures come first: if there is a Redis, they matter more than where to get one.
  throw new Plain([...failures, hint].join('\n'))
}

/** One name a folder, so that a container left over from a crash is found again. @param {string} folder */
function containerName(folder) {
  return `ticket-line-redis-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`
}
