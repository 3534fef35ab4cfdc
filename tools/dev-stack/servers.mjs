import path from 'node:path'
import { startPostgres } from './postgres.mjs'
import { startRedis } from './redis.mjs'
import { canFetchRedis, fetchedRedis, fetchRedis } from './redis-apt.mjs'
import { dockerAnswers } from './redis-docker.mjs'
import { which } from './run.mjs'
import { say } from './say.mjs'
import { givenServer } from './server.mjs'
import { namedServers } from './settings.mjs'

/** @typedef {import('./server.mjs').Server} Server */

/**
 * Starts the two servers of the local stack, with their data in `folder`. A server that the
 * settings name is used instead.
 *
 * @param {object} options
 * @param {NodeJS.ProcessEnv} options.env
 * @param {import('./settings.mjs').Readings} options.readings
 * @param {string} options.folder
 * @param {(server: Server) => void} options.onStarted called with each server at once, so that it
 * can be stopped even if the other
 *   one fails
 */
export async function startServers({ env, readings, folder, onStarted }) {
  const started = (/** @type {Server} */ server) => {
    onStarted(server)
    return server
  }
  const named = namedServers(env)
  const results = await Promise.allSettled([
    choosePostgres(named.database ?? 'DATABASE_URL', readings.databaseUrl, folder).then(started),
    chooseRedis(named.redis ?? 'REDIS_URL', readings.redisUrl, folder).then(started),
  ])
  const [postgres, redis] = results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
  return { postgres: /** @type {Server} */ (postgres), redis: /** @type {Server} */ (redis) }
}

/** @param {string} variable @param {string | undefined} url @param {string} folder */
async function choosePostgres(variable, url, folder) {
  if (url) return givenServer({ name: 'PostgreSQL', variable, url, defaultPort: 5432 })
  return startPostgres({
    folder: path.join(folder, 'postgres'),
    logFile: path.join(folder, 'logs/postgres.log'),
  })
}

/** @param {string} variable @param {string | undefined} url @param {string} folder */
async function chooseRedis(variable, url, folder) {
  if (url) return givenServer({ name: 'Redis', variable, url, defaultPort: 6379 })
  return startRedis({
    folder: path.join(folder, 'redis'),
    logFile: path.join(folder, 'logs/redis.log'),
  })
}

/**
 * Where Redis will have to be fetched, begins with it now: it takes some seconds, in which the dependencies install.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function fetchAhead(env) {
  const have =
    namedServers(env).redis || which('redis-server') || which('valkey-server') || fetchedRedis()
  if (have || !canFetchRedis() || dockerAnswers()) return
  // Whoever needs it asks again and gets the failure then.
  fetchRedis().catch(() => {})
}

/**
 * Starts a server of ours again when it ends by itself.
 *
 * @param {string} name
 * @param {Server} server
 * @param {() => boolean} stopping
 */
export async function keepServing(name, server, stopping) {
  for (;;) {
    await server.ended()
    if (stopping()) return
    say(`${name} ended by itself; starting it again.`)
    await server.restart().catch((error) => say(`${name} does not start again: ${error.message}`))
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    if (stopping()) return server.stop()
  }
}
