import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { serverTarget, showTarget, talk } from './addresses.mjs'
import { canUseApt } from './apt.mjs'
import { which } from './commands.mjs'
import { startPostgres } from './postgres.mjs'
import { startRedis } from './redis.mjs'
import { fetchedRedis, fetchRedis } from './redis-apt.mjs'
import { dockerAnswers } from './redis-sources.mjs'
import { namedServers } from './settings.mjs'
import { say, UserError } from './terminal.mjs'

/**
 * A PostgreSQL or Redis that `npm start` or a test uses.
 *
 * @typedef {object} Server
 * @property {string} url
 * @property {string} source where it comes from, as printed at the start
 * @property {boolean} ours true if `npm start` or the test started it, false if it was given by
 * URL. A given server is never stopped, and its `kill`, `restart`, `pause` and `resume` throw
 * @property {() => Promise<void>} stop stops it gracefully; no process of it is left
 * @property {() => Promise<void>} kill ends it like a power cut: SIGKILL, without a chance to write
 * @property {() => Promise<void>} restart after stop or kill, starts it on the same port and data
 * @property {() => Promise<void>} pause SIGSTOP: connections stay open, and nothing is answered
 * @property {() => Promise<void>} resume
 * @property {() => Promise<void>} ended resolves when it has ended, for whatever reason; never for
 * a server that was given by URL
 */

/**
 * Uses a server that somebody else runs.
 *
 * @param {{ name: string, variable: string, url: string, defaultPort: number }} given
 * @returns {Promise<Server>}
 * @throws {UserError} if nothing answers there
 */
export async function givenServer({ name, variable, url, defaultPort }) {
  const target = serverTarget(url, defaultPort)
  if (target === undefined) throw new UserError(`${variable} is not a URL.`)
  await talk({ ...target, timeoutMs: 3_000 }).catch(() => {
    throw new UserError(
      `${variable} names a ${name} at ${showTarget(target)}, but nothing answers there. ` +
        `Start it, correct ${variable}, or unset it to have a server started for you.`,
    )
  })
  return serverOfOthers({ name, variable, url })
}

/**
 * A server that somebody else runs.
 *
 * @param {{ name: string, variable: string, url: string }} given
 * @returns {Server}
 */
function serverOfOthers({ name, variable, url }) {
  const refuse = async () => {
    throw new Error(`${name} was given by ${variable}; it is not ours to kill or restart`)
  }
  return {
    url,
    source: `${name} of ${variable}`,
    ours: false,
    ended: () => new Promise(() => {}),
    stop: async () => {},
    kill: refuse,
    restart: refuse,
    pause: refuse,
    resume: refuse,
  }
}

/**
 * Starts PostgreSQL and Redis for the local stack, with their data in `folder`. If the settings
 * name a server, that one is used instead.
 *
 * @param {object} options
 * @param {NodeJS.ProcessEnv} options.env
 * @param {import('./settings.mjs').ServerUrls} options.urls
 * @param {string} options.folder
 * @param {(server: Server) => void} options.onStarted called with each server as soon as it runs,
 * so that the caller can stop it even if the other server fails
 */
export async function startServers({ env, urls, folder, onStarted }) {
  const started = (/** @type {Server} */ server) => {
    onStarted(server)
    return server
  }
  const named = namedServers(env)
  const results = await Promise.allSettled([
    choosePostgres(named.database ?? 'DATABASE_URL', urls.databaseUrl, folder).then(started),
    chooseRedis(named.redis ?? 'REDIS_URL', urls.redisUrl, folder).then(started),
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
  // The services find a cluster, or a master that Sentinels watch, by the other settings.
  if (variable !== 'REDIS_URL') return serverOfOthers({ name: 'Redis', variable, url: '' })
  return startRedis({
    folder: path.join(folder, 'redis'),
    logFile: path.join(folder, 'logs/redis.log'),
  })
}

/**
 * If Redis will have to be downloaded, starts the download now. It takes a few seconds, during
 * which the dependencies install.
 *
 * @param {NodeJS.ProcessEnv} env
 */
export function fetchRedisEarly(env) {
  const isAvailable =
    namedServers(env).redis || which('redis-server') || which('valkey-server') || fetchedRedis()
  if (isAvailable || !canUseApt() || dockerAnswers()) return
  // startRedis() awaits the same download and reports its failure.
  fetchRedis().catch(() => {})
}

/**
 * Restarts a server that `npm start` started, whenever it ends unexpectedly.
 *
 * @param {string} name
 * @param {Server} server
 * @param {() => boolean} stopping
 */
export async function keepServerRunning(name, server, stopping) {
  for (;;) {
    await server.ended()
    if (stopping()) return
    say(`${name} ended by itself; starting it again.`)
    await server.restart().catch((error) => say(`${name} does not start again: ${error.message}`))
    await sleep(1_000)
    if (stopping()) return server.stop()
  }
}
