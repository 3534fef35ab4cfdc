import { shownUrlOf } from './addresses.mjs'
import { bootstrap } from './bootstrap.mjs'
import { startChild } from './child.mjs'
import { nextFreePort, requirePort } from './ports.mjs'
import { stateOf } from './processes.mjs'
import { serviceCommand } from './services.mjs'
import {
  namedServers,
  readHost,
  readPort,
  readServerUrls,
  serviceSettings,
  withDotEnv,
} from './settings.mjs'
import { createShutdown } from './shutdown.mjs'
import { runningStack } from './stack.mjs'
import { say, UserError } from './terminal.mjs'
import { until } from './wait.mjs'

/**
 * Runs one more process of a service in this terminal. It joins the stack that `npm start` runs on
 * this data folder, or uses DATABASE_URL and REDIS_URL.
 *
 * @param {'api' | 'booking-worker' | 'notifier'} name
 */
export async function runService(name) {
  const shutdown = createShutdown()
  const joined = findStack()
  const toolchain = await bootstrap()
  const urls = await chooseServers(joined)
  const port = name === 'api' ? await choosePort() : undefined
  const settings = serviceSettings({ ...withDotEnv(toolchain.env), ...urls })
  // The ports in .env are for the processes of `npm start`.
  const ports =
    port === undefined
      ? {
          WORKER_PORT: process.env['WORKER_PORT'] ?? '0',
          NOTIFIER_PORT: process.env['NOTIFIER_PORT'] ?? '0',
        }
      : { PORT: String(port) }
  const child = await startChild({
    name,
    ...serviceCommand(name, toolchain.node),
    env: { ...settings, ...ports },
    onLine: say,
  })
  shutdown.add(() => child.stop())
  if (port !== undefined) say(`API on ${shownUrlOf(readHost(settings), port)}; Ctrl-C stops it.`)
  if (joined !== undefined) stopWithStack(joined, shutdown)

  const { code } = await child.exited
  if (!shutdown.begun()) {
    say(`The ${name} ended by itself.`)
    process.exit(code ?? 1)
  }
}

/**
 * @returns {import('./stack.mjs').Stack | undefined} the stack to join; undefined if the settings
 * name both servers
 * @throws {UserError} if the settings name too little and no stack runs
 */
function findStack() {
  const { database, redis } = namedServers(withDotEnv(process.env))
  if (database !== undefined && redis !== undefined) return undefined
  const stack = runningStack()
  if (stack !== undefined) return stack
  throw new UserError(
    'There is nothing to join: run `npm start` in another terminal first, or set DATABASE_URL and REDIS_URL.',
  )
}

/** @param {import('./stack.mjs').Stack | undefined} stack */
async function chooseServers(stack) {
  const env = withDotEnv(process.env)
  const { databaseUrl, redisUrl } = await readServerUrls(env)
  return {
    DATABASE_URL: databaseUrl ?? stack?.databaseUrl,
    REDIS_URL: namedServers(env).redis === undefined ? stack?.redisUrl : redisUrl,
  }
}

/**
 * PORT if it is set for this call, else the first free port after the port of `npm start`'s API.
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
    throw new UserError(`No port from ${first} on is free. Choose one: PORT=… npm run api`)
  return port
}

/**
 * Stops this service when the stack ends, since the servers of the stack end too, and the next
 * stack has others.
 *
 * @param {import('./processes.mjs').Identity} stack
 * @param {import('./shutdown.mjs').Shutdown} shutdown
 */
function stopWithStack(stack, shutdown) {
  const gone = () => stateOf(stack) === 'gone'
  until(gone, { timeoutMs: Infinity, everyMs: 1_000, keepAlive: false })
    .then(() => shutdown.run('`npm start` has ended; stopping as well.'))
    .then(() => process.exit(0))
}
