/**
 * `npm run api` and `npm run worker`: one more process of a service, in this terminal. It joins the stack that `npm start` runs in this
 * folder, or uses DATABASE_URL and REDIS_URL.
 */

import { shownUrlOf } from '../tools/dev-stack/addresses.mjs'
import { startChild } from '../tools/dev-stack/child.mjs'
import { nextFreePort, requirePort } from '../tools/dev-stack/net.mjs'
import { stateOf } from '../tools/dev-stack/processes.mjs'
import { Plain, runMain, say } from '../tools/dev-stack/say.mjs'
import {
  namedServers,
  readHost,
  readPort,
  readSettings,
  serviceSettings,
  withDotEnv,
} from '../tools/dev-stack/settings.mjs'
import { createShutdown } from '../tools/dev-stack/shutdown.mjs'
import { runningStack } from '../tools/dev-stack/stack.mjs'
import { serviceCommand } from '../tools/dev-stack/supervise.mjs'
import { bootstrap } from './bootstrap.mjs'

const services = /** @type {Record<string, string>} */ ({ api: 'api', worker: 'booking-worker' })

runMain(async () => {
  const name = services[process.argv[2] ?? '']
  if (name === undefined) throw new Plain('Say which: node scripts/run-service.mjs api|worker')
  const shutdown = createShutdown()
  const joined = findStack()
  const toolchain = await bootstrap()
  const urls = await chooseServers(joined)
  const port = name === 'api' ? await choosePort() : undefined
  const settings = serviceSettings({ ...withDotEnv(toolchain.env), ...urls })
  const ports =
    port === undefined ? { WORKER_PORT: process.env['WORKER_PORT'] ?? '0' } : { PORT: String(port) }
  const child = await startChild({
    name,
    ...serviceCommand(name, toolchain.node),
    // A port of .env belongs to the processes of `npm start`.
    env: { ...settings, ...ports },
    onLine: say,
  })
  shutdown.add(() => child.stop())
  if (port !== undefined) say(`API on ${shownUrlOf(readHost(settings), port)}; Ctrl-C stops it.`)
  if (joined !== undefined) stopWithStack(joined, shutdown)

  const { code } = await child.exited
  if (!shutdown.begun()) {
    say(`The ${process.argv[2]} ended by itself.`)
    process.exit(code ?? 1)
  }
})

/**
 * Finds the stack to join. There is none if the settings name both servers.
 *
 * @returns {import('../tools/dev-stack/stack.mjs').Stack | undefined}
 * @throws {Plain} if nothing says where the servers are
 */
function findStack() {
  const { database, redis } = namedServers(withDotEnv(process.env))
  if (database !== undefined && redis !== undefined) return undefined
  const stack = runningStack()
  if (stack !== undefined) return stack
  throw new Plain(
    'There is nothing to join: run `npm start` in another terminal first, or set DATABASE_URL and REDIS_URL.',
  )
}

/** @param {import('../tools/dev-stack/stack.mjs').Stack | undefined} stack */
async function chooseServers(stack) {
  const { databaseUrl, redisUrl } = await readSettings(withDotEnv(process.env))
  return { DATABASE_URL: databaseUrl ?? stack?.databaseUrl, REDIS_URL: redisUrl ?? stack?.redisUrl }
}

/**
 * PORT if it is set for this call, else the first free port after that of the API of `npm start`.
 */
async function choosePort() {
  if (process.env['PORT']?.trim()) {
    const port = readPort(process.env)
    const host = readHost(withDotEnv(process.env))
    await requirePort({ port, host, variable: 'PORT', command: 'npm run api' })
    return port
  }
  const first = readPort(withDotEnv({})) + 1
  const port = await nextFreePort(first)
  if (port === undefined)
    throw new Plain(`No free port from ${first} on. Choose one: PORT=… npm run api`)
  return port
}

/**
 * Stops this service when the stack ends: its servers end with it, and the next stack has others.
 *
 * @param {import('../tools/dev-stack/processes.mjs').Identity} stack
 * @param {import('../tools/dev-stack/shutdown.mjs').Shutdown} shutdown
 */
function stopWithStack(stack, shutdown) {
  const timer = setInterval(() => {
    if (stateOf(stack) !== 'gone') return
    clearInterval(timer)
    shutdown.run('`npm start` has ended; stopping as well.').then(() => process.exit(0))
  }, 1_000)
  timer.unref()
}
